"""A task judged by torchmetrics, which takes seconds to import: apart from the others."""

from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryF1Score, BinaryRecall

from tests.trainables.problems import gaussian
from trainables import Task


class Rare(Task):
    """One example in ten is positive; judged by F1, in torchmetrics' streaming form."""

    metric, mode = "f1", "max"
    metrics = MetricCollection({"f1": BinaryF1Score(), "recall": BinaryRecall()})

    def data(self):
        inputs = gaussian(1700, 4, seed=2)
        targets = (inputs.sum(1) > 2.5).float()
        return (inputs[:1000], targets[:1000]), (inputs[1000:], targets[1000:])

    def model(self):
        return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))

    def loss(self, outputs, targets):
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets)
