"""Which residual networks does method/002 recommend? ResNet-50-vd; and what is it for images of 32 x 32?

"vd" (He et al. 2018, arXiv:1812.01187, ResNet-D): three 3x3 convolutions in the stem in place of one 7x7; where a stage halves
the image, the 3x3 does so, not the 1x1 before it, and the shortcut takes means of 2x2 before its 1x1. So nothing is skipped.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from trainables.models.shaking import ShakeDrop, ShakeShake, Shaking


def _convolution(before: int, after: int, size: int, stride: int = 1) -> list[nn.Module]:
    """With batch norm."""
    return [nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after)]


def stem(width: int, stride: int) -> nn.Sequential:
    """Three 3x3 convolutions, to so many channels. stride: 1 keeps the image; 2 leaves a quarter of each side."""
    first, second = _convolution(3, width // 2, 3, stride), _convolution(width // 2, width // 2, 3)
    layers = [*first, nn.ReLU(), *second, nn.ReLU(), *_convolution(width // 2, width, 3), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, padding=1)] if stride > 1 else []))


def basic(before: int, after: int, stride: int) -> nn.Sequential:
    """Two 3x3 convolutions."""
    return nn.Sequential(*_convolution(before, after, 3, stride), nn.ReLU(), *_convolution(after, after, 3))


def bottleneck(before: int, after: int, stride: int) -> nn.Sequential:
    """A 3x3 convolution on a quarter of the channels, between two 1x1."""
    inner = after // 4
    first, second = _convolution(before, inner, 1), _convolution(inner, inner, 3, stride)
    return nn.Sequential(*first, nn.ReLU(), *second, nn.ReLU(), *_convolution(inner, after, 1))


Body = Callable[[int, int, int], nn.Module]
"""Makes a branch, of (channels before, channels after, stride)."""


class Block(nn.Module):
    """A shortcut, and a branch or two beside it.

    shaken: how branches are joined; None for one branch as it is. A shaken block has its ReLU before the branches and none on
    the sum: both papers want the sum to go on as it is.
    """

    def __init__(self, before: int, after: int, stride: int, body: Body, shaken: Shaking | None):
        super().__init__()
        self.branches = nn.ModuleList(body(before, after, stride) for _ in range(shaken.branches if shaken else 1))
        pool = [nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)] if stride > 1 else []
        changed = before != after or stride > 1
        self.shortcut = nn.Sequential(*pool, *_convolution(before, after, 1)) if changed else nn.Identity()
        self.shaken = shaken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: shape (batch, before, height, width); the answer's: (batch, after, height / stride, width / stride)."""
        if self.shaken is None:
            return nn.functional.relu(self.shortcut(x) + self.branches[0](x))
        active = nn.functional.relu(x)
        return self.shortcut(x) + self.shaken(*(branch(active) for branch in self.branches))


class ResNet(nn.Module):
    """He et al. 2015 (arXiv:1512.03385), as vd.

    width: channels after the stem; channels: after the first stage, twice as many after each of the others, which halve the
    image. depths: blocks a stage. small: for images of 32 x 32, whose size the stem keeps. shaken: makes what joins a block's
    branches, of how deep the block lies, above 0 and up to 1; None for plain blocks.
    """

    def __init__(
        self,
        classes: int,
        depths: Sequence[int],
        width: int,
        channels: int,
        small: bool,
        body: Body,
        shaken: Callable[[float], Shaking] | None = None,
    ):
        super().__init__()
        self.stem = stem(width, stride=1 if small else 2)
        sizes = [width, *(channels * 2**number for number in range(len(depths)))]
        ends = [sum(depths[: number + 1]) for number in range(len(depths))]
        self.stages = nn.Sequential()
        for number, ((before, after), depth, end) in enumerate(zip(pairwise(sizes), depths, ends)):
            joins = [shaken((end - depth + place + 1) / ends[-1]) if shaken else None for place in range(depth)]
            first = Block(before, after, 2 if number else 1, body, joins[0])
            self.stages.append(nn.Sequential(first, *(Block(after, after, 1, body, join) for join in joins[1:])))
        self.head = nn.Linear(sizes[-1], classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: shape (batch, 3, height, width), normalised. The answer's: (batch, classes)."""
        features = nn.functional.relu(self.stages(self.stem(images)))  # of shaken blocks; those of others are above 0
        return self.head(features.mean((2, 3)))


def resnet50vd(classes: int) -> ResNet:
    """ResNet-50-vd, for images of about 224 x 224. 25.6 million parameters for 1,000 classes."""
    return ResNet(classes, (3, 4, 6, 3), 64, 256, small=False, body=bottleneck)


def small_resnet_vd(classes: int, depth: int, shaken: Callable[[float], Shaking] | None = None) -> ResNet:
    """For images of 32 x 32: 16, 32 and 64 channels (arXiv:1512.03385, 4.2), as vd.

    depth: 6 n + 2 for n blocks a stage, as the original counts: 20, 32, 44, 56, 110.

    Raises: ValueError.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth must be 6 n + 2 for n blocks a stage, got {depth}")
    return ResNet(classes, ((depth - 2) // 6,) * 3, 16, 16, small=True, body=basic, shaken=shaken)


def shakeshake26(classes: int, channels: int = 32) -> ResNet:
    """Shake-Shake-26 2x32d (arXiv:1705.07485, table 1): four blocks a stage, of two branches, from 32 channels on."""
    return ResNet(classes, (4, 4, 4), 16, channels, small=True, body=basic, shaken=lambda deep: ShakeShake())


def shakedrop110(classes: int) -> ResNet:
    """ResNet-110 with ShakeDrop (arXiv:1802.02375): what is kept falls linearly with the depth, to a half in the last block."""
    return small_resnet_vd(classes, 110, shaken=lambda deep: ShakeDrop(1 - deep / 2))
