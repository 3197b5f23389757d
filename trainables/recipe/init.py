"""How are a model's layers filled at first? (Text 001: "which initialisation for which layer".)

Sources: Glorot and Bengio 2010 (xavier), He et al. 2015, arXiv:1502.01852 (kaiming), Saxe et al. 2013, arXiv:1312.6120
(orthogonal); all of them torch.nn.init's.
"""

import torch
from torch import nn

from studies.errors import InputError
from studies.recipe import Filling, Init

LAYERS = {"conv": nn.modules.conv._ConvNd, "linear": nn.Linear, "embedding": nn.Embedding}


def initialise(model: nn.Module, init: Init) -> None:
    """Fill the layers of each kind that is named, in place.

    Raises: InputError if the model has none of a kind.
    """
    for kind in type(init).model_fields:
        if (filling := getattr(init, kind)) is None:
            continue
        layers = [layer for layer in model.modules() if isinstance(layer, LAYERS.get(kind, tuple(LAYERS.values())))]
        named = [getattr(layer, "bias" if kind == "bias" else "weight", None) for layer in layers]
        tensors = [tensor for tensor in named if tensor is not None]
        if not tensors:
            has = ", ".join(sorted({type(layer).__name__ for layer in model.modules() if not list(layer.children())}))
            raise InputError(f"recipe: init.{kind}: expected a model with such layers; got one of {has or 'none'}")
        for tensor in tensors:
            fill(tensor, filling)
        for layer in layers:
            if kind == "embedding" and layer.padding_idx is not None:  # which stands for nothing, and never learns
                nn.init.zeros_(layer.weight[layer.padding_idx])


def fill(tensor: torch.Tensor, filling: Filling) -> None:
    """See studies.recipe.Filling."""
    way, value = filling.way, filling.value
    if way.startswith("kaiming"):
        getattr(nn.init, f"{way}_")(tensor, a=value or 0.0)
    elif way == "constant":
        nn.init.constant_(tensor, value or 0.0)
    elif way == "normal":
        nn.init.normal_(tensor, std=0.01 if value is None else value)
    elif way == "uniform":
        half = 0.01 if value is None else value
        nn.init.uniform_(tensor, -half, half)
    else:
        getattr(nn.init, f"{way}_")(tensor, gain=1.0 if value is None else value)
