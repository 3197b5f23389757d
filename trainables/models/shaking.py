"""How are a residual block's branches shaken? By random factors, others on the way back than on the way there.

Numbers come from torch's generator, which is seeded at every step. The two directions are told apart by what is detached, not
by an autograd function, so that many models can be trained as one (trainables.fused).
"""

import torch
from torch import nn


class ShakeShake(nn.Module):
    """Gastaldi 2017 (arXiv:1705.07485): two branches, mixed by a share from [0, 1), and their gradients by another one.

    Both are drawn anew for each image at each step ("Shake-Shake-Image"). When evaluated, a half of each.
    """

    branches = 2

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """one, other: shape (batch, channels, height, width)."""
        if not self.training:
            return 0.5 * (one + other)
        there, back = _uniform(one), _uniform(one)
        return _turned(there * one + (1 - there) * other, back * one + (1 - back) * other)


class ShakeDrop(nn.Module):
    """Yamada et al. 2018 (arXiv:1802.02375): one branch; left alone with probability `kept`, else times a factor from [-1, 1),
    and its gradient times one from [0, 1).

    Whether, is drawn for the block; by what, for each image. When evaluated, the branch times its expectation, `kept`.
    """

    branches = 1

    def __init__(self, kept: float):
        super().__init__()
        self.kept = kept

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        """branch: shape (batch, channels, height, width)."""
        if not self.training:
            return self.kept * branch
        shaken = (torch.rand(1, device=branch.device) >= self.kept).to(branch.dtype)
        there, back = 2 * _uniform(branch) - 1, _uniform(branch)
        return _turned(branch * (1 - shaken + shaken * there), branch * (1 - shaken + shaken * back))


Shaking = ShakeShake | ShakeDrop


def _uniform(like: torch.Tensor) -> torch.Tensor:
    """A number from [0, 1) for each image. Shape (batch, 1, 1, 1)."""
    return torch.rand(len(like), 1, 1, 1, device=like.device, dtype=like.dtype)


def _turned(value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The value of one, with the gradient of the other."""
    return gradient + (value - gradient).detach()
