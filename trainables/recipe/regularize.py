"""How is a model kept from learning by heart? What is not in the batch (mixing.py) or the optimizer (layers.py): dropout."""

from torch import nn

from studies.errors import InputError


def set_dropout(model: nn.Module, p: float) -> None:
    """Give all dropout layers this probability.

    Raises: InputError if there are none.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.modules.dropout._DropoutNd)]
    if not layers:
        raise InputError(f"recipe: dropout: expected a model with dropout layers; {type(model).__name__} has none")
    for layer in layers:
        layer.p = p
