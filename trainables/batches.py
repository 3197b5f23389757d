"""Which examples does a step get? The data's order, a pure function of (seed, step)."""

from functools import lru_cache

import torch

from trainables.randomness import mixed


@lru_cache(maxsize=8)
def _epoch(examples: int, seed: int, epoch: int) -> torch.Tensor:
    """The permutation of one epoch. Shape (examples,), int64."""
    return torch.randperm(examples, generator=torch.Generator().manual_seed(mixed("epoch", seed, epoch)))


def batch(examples: int, batch_size: int, seed: int, step: int) -> torch.Tensor:
    """Indices of the examples of one step. Shape (batch_size,), int64.

    The epochs follow one another as one endless stream, each a permutation of its own, and a step takes the next batch_size
    of it. So every batch is full, every example comes once an epoch, and a batch may be larger than the data.
    """
    first, last = step * batch_size, (step + 1) * batch_size
    parts = []
    for epoch in range(first // examples, (last - 1) // examples + 1):
        offset = epoch * examples
        parts.append(_epoch(examples, seed, epoch)[max(0, first - offset) : min(examples, last - offset)])
    return parts[0] if len(parts) == 1 else torch.cat(parts)
