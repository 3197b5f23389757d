"""Does the checkup find what is wrong with a task, and nothing where nothing is?"""

import itertools

import pytest
import torch
from torch import nn

from studies.plan import Plan
from trainables import Task
from trainables.checkup import checkup
from trainables.task import Custom, Supervision

PLAN = Plan(batch_size=32)


class Sound(Task):
    """Three clouds of points."""

    def data(self):
        draw = torch.Generator().manual_seed(0)
        labels = torch.randint(3, (600,), generator=draw)
        points = torch.randn(600, 4, generator=draw) + torch.eye(4)[labels] * 2
        return (points[:400], labels[:400]), (points[400:], labels[400:])

    def model(self):
        return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


class Leaks(Sound):
    def data(self):
        train, valid = super().data()
        return train, tuple(part[:100] for part in train)


class Unnormalised(Sound):
    def data(self):
        (train, labels), valid = super().data()
        return (train * torch.tensor([1.0, 1e4, 1.0, 1.0]), labels), valid


class NotFinite(Sound):
    def data(self):
        (train, labels), valid = super().data()
        return (train.index_fill(0, torch.tensor([0]), torch.nan), labels), valid


class Unbalanced(Sound):
    def data(self):
        def thinned(points, labels):
            kept = (labels != 2) | (torch.arange(len(labels)) % 20 == 0)
            return points[kept], labels[kept]

        return tuple(thinned(*half) for half in super().data())


class Sorted(Sound):
    def data(self):
        train, valid = super().data()
        points, labels = (torch.cat(parts) for parts in zip(train, valid))
        order = labels.argsort()
        return (points[order][:400], labels[order][:400]), (points[order][400:], labels[order][400:])


class Cut(Sound):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 16), nn.Linear(16, 3)

        def forward(self, points):
            return self.last(self.first(points).relu().detach())

    def model(self):
        return self.Net()


class Vanishing(Sound):
    def model(self):
        layers = itertools.chain.from_iterable((nn.Linear(16, 16), nn.Sigmoid()) for _ in range(12))
        return nn.Sequential(nn.Linear(4, 16), *layers, nn.Linear(16, 3))


class Dead(Sound):
    def model(self):
        model = super().model()
        nn.init.constant_(model[0].bias, -100.0)
        return model


class TooSure(Sound):
    def model(self):
        model = super().model()
        nn.init.normal_(model[2].weight, std=30.0)
        return model


class Regularised(Sound):
    def model(self):
        return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


class Blind(Sound):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, points):
            return self.bias.expand(len(points), 3)  # whatever it is shown, all classes are alike

    def model(self):
        return self.Net()


class Unseeded(Sound):
    draws = itertools.count()

    def loss(self, outputs, targets):
        return super().loss(outputs, targets) * (1 + next(self.draws))


class Forgetful(Sound):
    class Net(nn.Sequential):
        calls = 0

        def forward(self, points):
            self.calls += self.training
            return super().forward(points) * (1 + self.calls)

    def model(self):
        return self.Net(nn.Linear(4, 3))


def findings(task, plan=PLAN):
    return {finding.name: finding for finding in checkup(Supervision(task(), "task", "f" * 64), plan, "cpu")}


def test_nothing_is_wrong_with_a_sound_task():
    assert {finding.verdict for finding in findings(Sound).values()} == {"ok"}


@pytest.mark.parametrize(
    ("task", "name", "verdict", "saw"),
    [
        (Leaks, "nothing leaks into validation", "wrong", "100 of 100"),
        (Unnormalised, "inputs are normalised", "doubt", "fold apart"),
        (NotFinite, "inputs are normalised", "wrong", "NaN"),
        (Unbalanced, "labels are balanced", "doubt", "3 classes"),
        (Sorted, "both halves have the same labels", "doubt", "would have to change"),
        (Cut, "gradients reach every parameter", "wrong", "none reaches first.weight, first.bias"),
        (Vanishing, "gradients are of one scale", "doubt", "(0.weight)"),
        (Dead, "units are alive", "doubt", "100 % of the ReLUs"),
        (TooSure, "the loss begins at chance", "doubt", "where guessing has 1.1 (ln 3)"),
        (Regularised, "regularisation is off", "doubt", "dropout 0.3 (2)"),
        (Blind, "learns 8 examples by heart", "wrong", "at every rate"),
        (Unseeded, "the same plan, twice", "wrong", "different"),
        (Forgetful, "evaluated and resumed on the way", "wrong", "in another way"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_is_named_with_what_to_do(task, name, verdict, saw):
    found = findings(task)[name]
    assert (found.verdict, saw in found.saw) == (verdict, True), found
    assert found.do


def test_a_batch_that_does_not_fit_is_told(monkeypatch):
    monkeypatch.setattr("trainables.checkup.free_bytes", lambda device: 1_000)
    assert findings(Sound)["a batch fits"].verdict == "wrong"


def test_of_a_training_of_its_own_the_methods_are_tried():
    class Walk:
        metric, mode = "height", "min"

        def __init__(self):
            self.height = 1.0

        def train(self, steps, lr):
            self.height *= (1 - lr) ** steps
            return self.height

        def evaluate(self):
            self.height += 1  # as it should not
            return {"height": self.height}

        def state(self):
            return {"height": self.height}

        def restore(self, state):
            self.height = state["height"]

    twice, resumed, rest = checkup(Custom(Walk, "walk", "f" * 64), PLAN, "cpu")
    assert (twice.verdict, resumed.verdict, rest.verdict) == ("ok", "wrong", "unseen")
    assert "evaluating changes the training" in resumed.saw
