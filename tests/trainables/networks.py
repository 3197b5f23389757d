"""Tasks of random images, each class of a colour, for the networks that are built in, small."""

import torch

from tests.trainables.problems import gaussian
from trainables import Task
from trainables.models import ResNet, small_resnet_vd
from trainables.models.resnet import bottleneck
from trainables.models.shaking import ShakeDrop, ShakeShake


class _Random(Task):
    def data(self):
        labels = torch.arange(30) % 3
        images = gaussian(30, 3, 12, 12, seed=0) + torch.eye(3)[labels].reshape(30, 3, 1, 1)
        return (images[:22], labels[:22]), (images[22:], labels[22:])


class Small(_Random):
    def model(self):
        return small_resnet_vd(3, 8)


class Narrow(_Random):
    def model(self):
        return ResNet(3, (1, 2), 4, 8, small=False, body=bottleneck)


class Shaken(_Random):
    def model(self):
        return small_resnet_vd(3, 8, shaken=lambda deep: ShakeShake())


class Dropped(_Random):
    def model(self):
        return small_resnet_vd(3, 8, shaken=lambda deep: ShakeDrop(1 - deep / 2))
