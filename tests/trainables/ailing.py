"""Tasks, each of them wrong in one way."""

import os

import torch
from torch import nn

from tests.trainables.problems import Bandit
from trainables import Task


class Healthy(Task):
    """Two classes in the plane, with two hidden layers."""

    def points(self, count, seed):
        inputs = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
        return inputs, (inputs[:, 0] * inputs[:, 1] > 0).long()

    def data(self):
        return self.points(1600, 0), self.points(400, 1)

    def model(self):
        return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))


class Numbers(Healthy):
    """Regression on normalised targets."""

    def data(self):
        return tuple((inputs, inputs[:, 2] + 0.1 * inputs[:, 3]) for inputs, _ in super().data())

    def model(self):
        return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))


class Leaky(Healthy):
    def data(self):
        train, _ = super().data()
        return train, (train[0][:400], train[1][:400])


class Sorted(Healthy):
    """Stored by label, split where it is stored."""

    def data(self):
        inputs, targets = self.points(2000, 0)
        order = targets.argsort(stable=True)
        inputs, targets = inputs[order], targets[order]
        return (inputs[:1600], targets[:1600]), (inputs[1600:], targets[1600:])


class Unseen(Healthy):
    """A class of the validation is not trained."""

    def data(self):
        train, (inputs, targets) = super().data()
        return train, (inputs, targets + (torch.arange(400) % 7 == 0))

    def model(self):
        return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))


class Loud(Healthy):
    def points(self, count, seed):
        inputs, targets = super().points(count, seed)
        return 300 * inputs, targets


class Uneven(Healthy):
    """One feature in millimetres, the others in kilometres."""

    def points(self, count, seed):
        inputs, targets = super().points(count, seed)
        return inputs * torch.tensor([1e-3, 10.0, 1, 1, 1, 1, 1, 1]), targets


class Twice(Healthy):
    """One feature is another one in other units."""

    def points(self, count, seed):
        inputs, targets = super().points(count, seed)
        inputs[:, 5] = 1 - 2 * inputs[:, 1]
        return inputs, targets


class Holes(Healthy):
    def points(self, count, seed):
        inputs, targets = super().points(count, seed)
        inputs[3, 2] = float("nan")
        return inputs, targets


class Rare(Healthy):
    def points(self, count, seed):
        inputs, _ = super().points(count, seed)
        return inputs, (inputs[:, 0] > 1.5).long()


class Alike(Healthy):
    def points(self, count, seed):
        return super().points(count, seed)[0], torch.ones(count).long()


class Few(Healthy):
    def data(self):
        return self.points(160, 0), self.points(100, 1)


class Short(Healthy):
    """One output too few."""

    def model(self):
        return nn.Linear(8, 1)


class Huge(Healthy):
    """A GPU would have no room for more than some examples."""

    def loss(self, outputs, targets):
        if outputs.requires_grad and len(outputs) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss(outputs, targets)


class Confident(Healthy):
    def model(self):
        model = super().model()
        model[-1].weight.data *= 100
        return model


class Heights(Numbers):
    """Targets far from 0."""

    def data(self):
        return tuple((inputs, targets + 170) for inputs, targets in super().data())


class Idle(Healthy):
    def model(self):
        model = super().model()
        model.idle = nn.Parameter(torch.ones(2))
        return model


class Cut(nn.Module):
    def forward(self, inputs):
        return inputs.detach()


class Detached(Healthy):
    def model(self):
        *body, last = super().model()
        return nn.Sequential(*body, Cut(), last)


class Dead(Healthy):
    def model(self):
        model = super().model()
        model[2].bias.data -= 100
        return model


class Deep(Healthy):
    """Sigmoids, one upon the other."""

    def model(self):
        layers = [part for _ in range(8) for part in (nn.Linear(8, 8), nn.Sigmoid())]
        return nn.Sequential(*layers, nn.Linear(8, 2))


class Dropping(Healthy):
    def model(self):
        return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 2))


class Decaying(Healthy):
    def optimizer(self, model, plan):
        return torch.optim.SGD(model.parameters(), lr=1.0, momentum=plan.momentum, weight_decay=5e-4)


class Forgotten(Healthy):
    """The optimizer has the last layer alone."""

    def optimizer(self, model, plan):
        return torch.optim.SGD(model[-1].parameters(), lr=1.0)


class Deaf(Healthy):
    """It does not look at its inputs."""

    def loss(self, outputs, targets):
        return super().loss(outputs.mean(0, keepdim=True).expand_as(outputs), targets)


class Normed(Healthy):
    """Without its norm, and as long as that knows no data, its loss would begin far above chance."""

    loud = 30

    def model(self):
        first = nn.Linear(8, 32)
        first.weight.data *= self.loud
        return nn.Sequential(first, nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))


class NormedDeaf(Deaf, Normed):
    loud = 1000


class Mute(Healthy):
    """Its loss does not depend on what it is to learn."""

    def loss(self, outputs, targets):
        return super().loss(0 * outputs, targets)


class Moody(Healthy):
    """Randomness that nobody seeds."""

    def loss(self, outputs, targets):
        return super().loss(outputs, targets) * (1 + os.urandom(1)[0] / 1000)


class Tired(nn.Sequential):
    calls = 0

    def forward(self, inputs):
        self.calls += self.training
        return super().forward(inputs) / (1 + self.calls)


class Restless(torch.utils.data.TensorDataset):
    def __getitem__(self, index):
        row, label = super().__getitem__(index)
        for _ in range(20):
            row = row + 0.001 * torch.randn(8)
        return row, label


class Slow(Healthy):
    """Most of a step goes by in making its batch."""

    def data(self):
        train, valid = super().data()
        return Restless(*train), valid


class Counting(Healthy):
    """Its model counts, but not in its state_dict."""

    def model(self):
        return Tired(*super().model())


class Elsewhere(Healthy):
    metric, mode = "f1", "max"


class Nervous(Bandit):
    """Looking at it changes it."""

    def evaluate(self):
        self.policy = self.policy + 0.01
        return super().evaluate()


class Forgetful(Bandit):
    """What it was before is not in its state."""

    def state(self):
        return {"step": self.step}

    def restore(self, state):
        self.step = state["step"]


class Keeps(Bandit):
    """Its state is no plain data."""

    def state(self):
        return {"policy": self.policy.numpy(), "step": self.step}
