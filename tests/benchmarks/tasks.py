"""What do the benchmarks train? Small tasks, found by `--task tests/benchmarks/tasks.py:Name`."""

import os
import time

import torch
from torch import nn

from trainables import Task
from trainables.tasks.digits import Digits


class Noisy(Task):
    """Linear regression in 100 dimensions whose scales span a factor of 30, with noise in the targets: the rate that brings the
    narrow ones forward in time keeps the weights jumping about the optimum of the wide ones, so decaying it helps."""

    def data(self):
        draw, scales = torch.Generator().manual_seed(0), torch.logspace(0, -1.5, 100)
        inputs = torch.randn(4096, 100, generator=draw) * scales
        targets = inputs @ (torch.randn(100, generator=draw) / scales) + 4 * torch.randn(4096, generator=draw)
        return (inputs[:2048], targets[:2048]), (inputs[2048:], targets[2048:])

    def model(self):
        return nn.Linear(100, 1)


class SmallMLP(Task):
    """Digits' images for a perceptron with one hidden layer."""

    metric, mode = "accuracy", "max"

    def data(self):
        return Digits().data()

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


class Pictures(Task):
    """torchvision's MNIST as its own examples read it, an item at a time, from the folder $TUNER_BENCH_DATA; and a perceptron."""

    augmented = False

    def data(self):
        from torchvision import transforms  # it takes two seconds, which whoever is here for another task is not to wait
        from torchvision.datasets import MNIST

        anew = [transforms.RandomAffine(10, (0.1, 0.1))] if self.augmented else []
        usual = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        train = MNIST(os.environ["TUNER_BENCH_DATA"], transform=transforms.Compose([*anew, *usual]))
        return train, MNIST(os.environ["TUNER_BENCH_DATA"], train=False, transform=transforms.Compose(usual))

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


class Augmented(Pictures):
    """The same, each training image turned and shifted anew whenever it is read."""

    augmented = True


class Marked(Digits):
    """Digits, noting the time of the first training step in the file $TUNER_BENCH_MARK."""

    def loss(self, outputs, targets):
        mark = os.environ["TUNER_BENCH_MARK"]
        if not os.path.exists(mark):
            with open(mark, "x") as file:
                file.write(repr(time.time()))
        return super().loss(outputs, targets)


class Sleeper:
    """Nothing but time: every step sleeps $TUNER_BENCH_SLEEP seconds. Its metric, `ended`, is when the last one ended."""

    metric, mode = "ended", "max"

    def __init__(self):
        self._ended = 0.0

    def train(self, steps, lr):
        time.sleep(steps * float(os.environ["TUNER_BENCH_SLEEP"]))
        self._ended = time.time()
        return 0.0

    def evaluate(self):
        return {"ended": self._ended}

    def state(self):
        return {"ended": self._ended}

    def restore(self, state):
        self._ended = state["ended"]
