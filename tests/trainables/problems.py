"""Small tasks with everything that makes going on difficult, as a user would write them."""

import random
import threading
import time

import numpy as np
import torch
from torch import nn

from trainables import Task, Trainable


def gaussian(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Augmented:
    """A map-style data set that draws from all three global generators."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, augment: bool):
        self.images, self.labels, self.augment = images, labels, augment

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        if self.augment:
            image = image.roll(random.randrange(-1, 2), -1) * np.random.uniform(0.8, 1.2) + 0.1 * torch.randn_like(image)
        return image.float(), int(self.labels[index])


class Images(Task):
    """Augmentation, batch norm and dropout; 37 examples, so that batches cross the borders of epochs."""

    metric, mode = "accuracy", "max"

    def data(self):
        images = gaussian(53, 1, 6, 6, seed=0)
        labels = (images.mean((1, 2, 3)) > 0).long()
        return Augmented(images[:37], labels[:37], True), Augmented(images[37:], labels[37:], False)

    def model(self):
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 2))


class Colours(Task):
    """Small pictures, and a model with one of everything that a recipe can be about."""

    def data(self):
        images = gaussian(53, 3, 6, 6, seed=0).sigmoid()
        labels = (images[:, 0].mean((1, 2)) > images[:, 1].mean((1, 2))).long()
        return (images[:37], labels[:37]), (images[37:], labels[37:])

    def model(self):
        stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
        return nn.Sequential(stem, nn.Flatten(), nn.Linear(64, 2))


class Line(Task):
    """Regression, from a column of float64 targets, with every default."""

    def data(self):
        inputs = gaussian(80, 3, seed=1)
        targets = inputs.double() @ torch.tensor([[1.0], [-2.0], [0.5]]).double()
        return (inputs[:64], targets[:64]), (inputs[64:], targets[64:])

    def model(self):
        return nn.Linear(3, 1)


class Words(Task):
    """Tokens as 32-bit integers, with their lengths, as named inputs; does the word 7 come before the end?"""

    metric, mode = "accuracy", "max"

    def data(self):
        tokens = torch.randint(0, 20, (300, 9), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
        lengths = torch.randint(4, 10, (300,), generator=torch.Generator().manual_seed(4))
        there = (tokens == 7) & (torch.arange(9) < lengths[:, None])
        rows = [({"tokens": t, "lengths": n}, int(label)) for t, n, label in zip(tokens, lengths, there.any(1))]
        return rows[:240], rows[240:]

    def model(self):
        return Bag()


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 8), nn.Linear(8, 2)

    def forward(self, tokens, lengths):
        there = (torch.arange(tokens.shape[1]) < lengths[:, None]).unsqueeze(-1)
        return self.head((self.embedding(tokens) * there).sum(1))


class Tied(Line):
    """A layer that is there twice, and a running mean that is a new tensor at every step."""

    def model(self):
        return Folded()


class Folded(nn.Module):
    def __init__(self):
        super().__init__()
        square = nn.Linear(3, 3)
        self.inner, self.outer, self.head = square, square, nn.Linear(3, 1)
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, inputs):
        if self.training:
            self.seen = 0.9 * self.seen + 0.1 * inputs.detach().mean(0)
        return self.head(self.outer(self.inner(inputs).tanh()) - self.seen)


class Bandit(Trainable):
    """A policy that learns which of four arms pays best: no data set, no epochs, its own randomness."""

    metric, mode = "reward", "max"

    def __init__(self, seed, batch_size, device):
        self.seed, self.pulls, self.step = seed, batch_size, 0
        self.policy = torch.zeros(4, dtype=torch.float64, device=device)

    def train(self, steps, lr):
        total = 0.0
        for _ in range(steps):
            draw = torch.Generator().manual_seed(self.seed * 100_003 + self.step)
            chances = self.policy.softmax(0)
            arms = chances.multinomial(self.pulls, replacement=True, generator=draw)
            gain = torch.nn.functional.one_hot(arms, 4).double().mean(0) * torch.arange(4) - chances * arms.double().mean()
            self.policy = self.policy + lr * gain
            total -= float(arms.double().mean())
            self.step += 1
        return total / steps

    def evaluate(self):
        return {"reward": float(self.policy.softmax(0) @ torch.arange(4).double())}

    def state(self):
        return {"policy": self.policy, "step": self.step}

    def restore(self, state):
        self.policy, self.step = state["policy"], state["step"]


class Plain(Task):
    """What the hostile ones below have in common: a few numbers, learnt at once."""

    def data(self):
        inputs = gaussian(48, 3, seed=5)
        targets = (inputs.sum(1) > 0).long()
        return (inputs[:32], targets[:32]), (inputs[32:], targets[32:])

    def model(self):
        return nn.Linear(3, 2)


class Stumbles(Plain):
    """Raises at its 25th step."""

    def model(self):
        self.calls = 0
        return super().model()

    def loss(self, outputs, targets):
        self.calls += outputs.requires_grad
        if self.calls == 25:
            raise ArithmeticError("out of luck")
        return super().loss(outputs, targets)


class Overflows(Line):
    """Its metrics, like many, refuse what is too large."""

    metric, mode = "error", "min"

    def metrics(self, outputs, targets):
        if outputs.abs().max() > 1e9:
            raise ValueError("input contains values too large")
        return {"error": (outputs - targets).abs().mean()}


class Elsewhere(Plain):
    metric, mode = "f1", "max"


class Vector(Plain):
    def loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, reduction="none")


class Keeps(Bandit):
    """Its state is no plain data."""

    def state(self):
        return {"policy": self.policy.numpy(), "step": self.step}


class Quits(Plain):
    def model(self):
        raise SystemExit("no licence")


class NoModel(Plain):
    def model(self):
        nn.Linear(3, 2)


class NoOptimizer(Plain):
    def optimizer(self, model, plan):
        return [torch.optim.SGD(model.parameters())]


class NoNumbers(Plain):
    def metrics(self, outputs, targets):
        return {"accuracy": 1.0, "per_class": torch.ones(2)}


class NoDict(Plain):
    def metrics(self, outputs, targets):
        return 0.5


class Flat(Colours):
    """A model without batch norm and dropout."""

    def model(self):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


class Seasoned(Plain):
    recipe = {"weight_decay": 0.1}


class Misspelt(Plain):
    recipe = {"wait_decay": 0.1}


class Hinged(Plain):
    """A loss that takes labels only."""

    def loss(self, outputs, targets):
        return nn.functional.multi_margin_loss(outputs, targets)


class TwoRates(Plain):
    """The bias learns at a tenth of the rate."""

    def optimizer(self, model, plan):
        return torch.optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.3}], lr=3.0)


class Momenta(TwoRates):
    """And it has a momentum of its own, Nesterov's."""

    def optimizer(self, model, plan):
        bias = {"params": [model.bias], "lr": 0.3, "momentum": 0.5, "nesterov": True}
        return torch.optim.SGD([bias, {"params": [model.weight]}], lr=3.0, momentum=plan.momentum, weight_decay=0.01)


class Betas(TwoRates):
    """An Adam of its own."""

    def optimizer(self, model, plan):
        groups = [{"params": [model.bias], "weight_decay": 0.1}, {"params": [model.weight], "eps": 1e-3}]
        return torch.optim.Adam(groups, betas=(plan.momentum, 0.9), fused=True)


class Damped(Plain):
    def optimizer(self, model, plan):
        return torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, dampening=0.5)


class Hooked(Plain):
    """Something is done before every update."""

    def optimizer(self, model, plan):
        optimizer = super().optimizer(model, plan)
        optimizer.register_step_pre_hook(lambda *given: model.weight.grad.clamp_(-0.01, 0.01))
        return optimizer


class Varying(Plain):
    """The decay depends on the plan."""

    def optimizer(self, model, plan):
        return torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=plan.momentum)


class Partly(Plain):
    """The optimizer has not got all that has gradients."""

    def optimizer(self, model, plan):
        return torch.optim.SGD([model.weight], lr=1.0)


class Frozen(Plain):
    """Most of the model is not trained, batch norm among it, whose statistics are followed; there is more of it at the end."""

    def model(self):
        backbone = nn.Sequential(nn.Linear(3, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 99), nn.ReLU())
        return nn.Sequential(backbone.requires_grad_(False), nn.Linear(99, 2), nn.BatchNorm1d(2).requires_grad_(False))


class Wandering(Frozen):
    """What is frozen is another one in every model."""

    begun = 0

    def model(self):
        model = super().model()
        Wandering.begun += 1
        model[0][0].bias += Wandering.begun
        return model


class Branches(Plain):
    """Its loss looks at a value, which a batched model does not have."""

    def loss(self, outputs, targets):
        loss = super().loss(outputs, targets)
        return loss if loss > 0.1 else 2 * loss


class Attentive(Plain):
    """Attention with dropout, whose outputs lie in memory in another order than their indices."""

    def model(self):
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.3, batch_first=True)
        return nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (3, 4)), layer, nn.Flatten(), nn.Linear(12, 2))


class Transposed(Plain):
    """Its dropout draws in the order of the memory, which is another one when it is batched."""

    def model(self):
        return nn.Sequential(nn.Linear(3, 2), Sideways())


class Sideways(nn.Module):
    def forward(self, inputs):
        return nn.functional.dropout(inputs.T, 0.3, self.training).T


class Remembering(Plain):
    """Its model keeps what it has computed of a buffer."""

    def model(self):
        return Waves()


class Waves(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.known = nn.Linear(3, 2), None
        self.register_buffer("frequencies", torch.arange(1.0, 4.0))

    def forward(self, inputs):
        if self.known is None:
            self.known = self.frequencies.cos()
        return self.head(inputs * self.known)


class Bagged(Plain):
    """torch knows no fast way of batching what it does."""

    def data(self):
        return [((inputs > 0).long(), labels) for inputs, labels in super().data()]

    def model(self):
        return nn.Sequential(nn.EmbeddingBag(2, 4), nn.Linear(4, 2))


class Idle(Plain):
    """A parameter of the model is never used."""

    def model(self):
        model = super().model()
        model.idle = nn.Parameter(torch.ones(2))
        return model


class Listed(Plain):
    """Its model finds its weights in a list of its own, too."""

    def model(self):
        return Stack()


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Parameter(torch.eye(3)), nn.Parameter(torch.eye(3))
        self.weights, self.head = [self.first, self.second], nn.Linear(3, 2)

    def forward(self, inputs):
        for weight in self.weights:
            inputs = (inputs @ weight).tanh()
        return self.head(inputs)


class Hiccups(Plain):
    """Raises at its 25th step, the first time."""

    calls = 0

    def loss(self, outputs, targets):
        self.calls += outputs.requires_grad
        if self.calls == 25:
            raise ArithmeticError("out of luck")
        return super().loss(outputs, targets)


class Lingers(Flat):
    """Where others take part, the second one runs out of memory, and something of the task goes on there."""

    calls = 0

    def loss(self, outputs, targets):
        self.calls += 1
        if self.calls == 3 and torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            threading.Thread(target=time.sleep, args=(60,)).start()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss(outputs, targets)


class Spare(Flat):
    """What is hard to share: a parameter that is never used; a smaller model to distil into."""

    def model(self):
        model = super().model()
        model.spare = nn.Parameter(torch.ones(2))
        return model

    def student(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
