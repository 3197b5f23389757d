"""Handwritten digits: scikit-learn's 1,797 real images of 8 x 8, and a small convolutional network."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainables.task import Task


class Digits(Task):
    """Ten classes; 1,438 images to train on, 359 to validate with, always the same ones."""

    metric, mode = "accuracy", "max"

    def data(self):
        table = np.loadtxt(_file(), delimiter=",")
        inputs = torch.tensor(table[:, :-1], dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
        targets = torch.tensor(table[:, -1], dtype=torch.int64)
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
        train, valid = order[:1438], order[1438:]
        return (inputs[train], targets[train]), (inputs[valid], targets[valid])

    def model(self):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, 10),
        )


def _file() -> Path:
    """What sklearn.datasets.load_digits reads; importing that would take longer than all of a short training."""
    return Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
