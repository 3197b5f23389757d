"""Which parameters are trained, at which share of the rate, and which of them decay? (Texts 001, 002 and 004.)"""

from collections import defaultdict
from fnmatch import fnmatchcase
from math import prod
from typing import Any

from torch import nn

from studies.errors import InputError
from studies.recipe import Recipe

GROUPED = ("weight_decay", "layer_rates", "layer_decay")
"""The parts that treat parameters differently, and so need an optimizer that is made for them."""


def freeze(model: nn.Module, names: tuple[str, ...]) -> None:
    """These are not trained any more.

    Raises: InputError if a name is none, or if nothing is left to train.
    """
    for pattern in names:
        for parameter in named(model, pattern, "freeze"):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"recipe: freeze: expected something left to train; got all of it: {', '.join(names)}")


def still(model: nn.Module, names: tuple[str, ...]) -> tuple[nn.Module, ...]:
    """The norm layers that are frozen, by their own name or with all of their parameters: their running statistics stay what
    they were, too."""
    return tuple(
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase)
        and (_is_one_of(name, names) or {parameter.requires_grad for parameter in layer.parameters()} == {False})
    )


def named(model: nn.Module, pattern: str, part: str) -> list[nn.Parameter]:
    """The parameters that a pattern names, by themselves or by their layer.

    Raises: InputError if there are none.
    """
    names = dict(model.named_parameters())
    found = [parameter for name, parameter in names.items() if _is_one_of(name, (pattern,))]
    if not found:
        there = f"there are {_list(names)}"
        raise InputError(f"recipe: {part}: expected the names of parameters or layers; got {pattern!r}; {there}")
    return found


def groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The parameters that are trained, as a torch optimizer's groups, alike ones together: with their weight_decay and, as
    timm has it, their lr_scale."""
    scales, decay = scales_of(model, recipe), recipe.weight_decay
    together: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for parameter in model.parameters():
        if parameter.requires_grad:
            spared = decay is not None and not decay.biases_and_norms and parameter.dim() <= 1
            together[scales[parameter], spared].append(parameter)
    rate = decay.rate if decay else 0.0
    return [
        {"params": parameters, "weight_decay": 0.0 if spared else rate, "lr_scale": scale, "always_adapt": not spared}  # LARS's
        for (scale, spared), parameters in together.items()
    ]


def scales_of(model: nn.Module, recipe: Recipe) -> dict[nn.Parameter, float]:
    """Each parameter's share of the rate."""
    factors = defaultdict(list)
    for pattern, factor in recipe.layer_rates.factors if recipe.layer_rates else ():
        for parameter in named(model, pattern, "layer_rates"):
            factors[parameter].append(factor)
    if recipe.layer_decay:
        for depth, layer in enumerate(reversed(layers(model))):
            for parameter in layer:
                factors[parameter].append(recipe.layer_decay.factor**depth)
    return {parameter: prod(factors[parameter]) for parameter in model.parameters()}


def layers(model: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters layer by layer, in the order in which the model has them; norms and other vectors go with what is before."""
    found: list[list[nn.Parameter]] = []
    seen = set[nn.Parameter]()
    for module in model.modules():
        own = [parameter for parameter in module.parameters(recurse=False) if parameter not in seen]
        seen.update(own)
        if found and all(parameter.dim() <= 1 for parameter in own):
            found[-1] += own
        elif own:
            found.append(own)
    return found


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in patterns)


def _list(names: dict[str, Any]) -> str:
    shown = list(names)[:12]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
