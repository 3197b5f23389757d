"""How does a model compute in half the bits? By torch's autocast, which knows for which operations that is enough."""

from collections.abc import Callable
from typing import Any

import torch

from studies.errors import InputError


def check(device: str) -> None:
    """Raises: InputError if the device cannot."""
    if device != "cpu" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("recipe: precision: expected a GPU that computes in bf16 (NVIDIA's from Ampere on); this one does not")


def in_half(model: Callable[[Any], Any], inputs: Any, device: str) -> Any:
    """What the model says of the inputs, in single precision again, for a loss that may need it."""
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        outputs = model(inputs)
    return _single(outputs)


def _single(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    if type(outputs) is dict:
        return {key: _single(part) for key, part in outputs.items()}
    return type(outputs)(_single(part) for part in outputs) if type(outputs) in (list, tuple) else outputs
