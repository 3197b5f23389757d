"""Handwritten digits: scikit-learn's 1,797 real images of 8 x 8, and a small convolutional network."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from trainables.task import Task


class Digits(Task):
    """Ten classes; 1,438 images to train on, 359 to validate with, always the same ones."""

    metric, mode = "accuracy", "max"

    def data(self):
        images, labels = load_digits(return_X_y=True)
        inputs = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
        targets = torch.tensor(labels, dtype=torch.int64)
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
