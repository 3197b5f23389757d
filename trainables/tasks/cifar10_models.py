"""The images of cifar10 for larger networks: `--task cifar10:resnet20vd`, and so on.

Each is a task of its own, with a name and so with studies of its own.
"""

import torch
from torch import nn

from trainables.models import ResNet, shakedrop110, shakeshake26, small_resnet_vd
from trainables.tasks.cifar10 import Cifar10


class Normalised(nn.Module):
    """Bytes, shape (batch, 3, height, width), as numbers with the mean and deviation of CIFAR-10's colours taken off."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([63.0, 62.1, 66.7]).reshape(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images - self.mean) / self.deviation


class _Network(Cifar10):
    def model(self):
        return nn.Sequential(Normalised(), self.network(self.classes))

    def network(self, classes: int) -> ResNet:
        raise NotImplementedError


class ResNet20vd(_Network):
    """ResNet-20-vd: 0.28 million parameters."""

    def network(self, classes):
        return small_resnet_vd(classes, 20)


class ResNet56vd(_Network):
    """ResNet-56-vd: 0.86 million parameters."""

    def network(self, classes):
        return small_resnet_vd(classes, 56)


class ShakeShake26(_Network):
    """Shake-Shake-26 2x32d: 2.9 million parameters."""

    def network(self, classes):
        return shakeshake26(classes)


class ShakeDrop110(_Network):
    """ResNet-110-vd with ShakeDrop: 1.7 million parameters."""

    def network(self, classes):
        return shakedrop110(classes)
