"""Where does what is random come from? From generators seeded by a key: equal keys, equal draws, in any process."""

import hashlib
import random
from typing import Any

import numpy as np
import torch


def mixed(*key: int | str) -> int:
    """64 well-mixed bits of the key, the same in every process and every version of Python: a seed for a generator."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big")


def seed_everything(*key: int | str) -> None:
    """Make all that is random from here on a function of the key: dropout, augmentation, initialisation."""
    seed = mixed(*key)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also queues a call for a CUDA that may never come: 0.5 ms
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed & 0xFFFF_FFFF)


class Place:
    """Where the generators stand that a data set draws from: torch's on the CPU, numpy's and Python's. Equal where they are."""

    def __init__(self) -> None:
        self._torch, self._numpy, self._python = torch.get_rng_state(), np.random.get_state(), random.getstate()

    def __eq__(self, other: Any) -> bool:
        return (
            isinstance(other, Place)
            and torch.equal(self._torch, other._torch)
            and self._python == other._python
            and all(map(np.array_equal, self._numpy, other._numpy))
        )

    def go(self) -> None:
        """Have them stand here again."""
        torch.set_rng_state(self._torch)
        np.random.set_state(self._numpy)
        random.setstate(self._python)
