"""What a person's code does to a tuner: one task whose momentum says what is wrong with a plan."""

import ctypes
import itertools
import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import torch
from torch import nn

from trainables import Task

PIDS = Path(__file__).parent / "pids.txt"
LATE = 15
"""The step at which the patient ones begin."""


def calm(model, outputs):
    return outputs


def nan_at_once(model, outputs):
    return outputs * float("nan")


def infinite_late(model, outputs):
    return outputs * float("inf") if model.steps > LATE else outputs


def raises_in_the_model(model, outputs):
    raise RuntimeError("no model today")


def raises_late(model, outputs):
    if model.steps > LATE:
        raise RuntimeError("no longer")
    return outputs


def raises_in_evaluate(model, outputs):
    if not model.training:
        raise RuntimeError("not to be judged")
    return outputs


def raises_what_cannot_be_pickled(model, outputs):
    error = RuntimeError("not to be carried")
    error.lock = threading.Lock()
    raise error


class Mute(Exception):
    def __str__(self):
        raise ValueError("nothing to say")


def raises_what_cannot_be_shown(model, outputs):
    raise Mute


def recurses(model, outputs):
    return recurses(model, outputs)


def asks_for_an_exabyte(model, outputs):
    return torch.empty(1 << 58)


def leaves_by_system_exit(model, outputs):
    sys.exit(3)


def interrupts(model, outputs):
    raise KeyboardInterrupt


def exits(model, outputs):
    print("these are the last words", flush=True)
    os._exit(1)


def aborts(model, outputs):
    os.abort()


def kills_itself(model, outputs):
    os.kill(os.getpid(), signal.SIGKILL)


def crashes_in_native_code(model, outputs):
    ctypes.string_at(0)


def loops_for_ever(model, outputs):
    while model.steps > LATE:
        pass
    return outputs


def loops_for_ever_in_c(model, outputs):
    return sum(itertools.repeat(0)) if model.steps > LATE else outputs


def leaks(model, outputs):
    vars(model).setdefault("leak", []).append(bytearray(1 << 20))
    return outputs


def forks(model, outputs):
    if model.steps == LATE and model.training and not (pid := os.fork()):
        time.sleep(600)
        os._exit(0)
    if model.steps == LATE and model.training:
        with open(PIDS, "a") as file:
            file.write(f"{pid}\n")
    return outputs


def prints_without_end(model, outputs):
    print("all work and no play " * 20_000)
    return outputs


def warns_without_end(model, outputs):
    for number in range(100):
        warnings.warn(f"{model.steps} {number}", stacklevel=1)
    return outputs


def closes_stdout(model, outputs):
    sys.stdout.close()
    return outputs


def starts_threads(model, outputs):
    threading.Thread(target=time.sleep, args=(600,)).start()
    return outputs


def wrong_shape(model, outputs):
    return outputs[:3]


def nothing(model, outputs):
    return None


def a_pair(model, outputs):
    return outputs, outputs


def integers(model, outputs):
    return outputs.long()


def detached(model, outputs):
    return outputs.detach()


def sets_global_seeds(model, outputs):
    torch.manual_seed(0)
    random.seed(0)
    return outputs


def changes_directory(model, outputs):
    os.chdir("/")
    return outputs


def changes_the_default_type(model, outputs):
    torch.set_default_dtype(torch.float64)
    return outputs


def takes_all_threads(model, outputs):
    torch.set_num_threads(8)
    return outputs


def turns_gradients_off(model, outputs):
    torch.set_grad_enabled(False)
    return outputs


def keeps_what_cannot_be_pickled(model, outputs):
    model.__dict__["secret"] = lambda: threading.Lock()
    return outputs


def changes_its_parameters(model, outputs):
    model.head = nn.Linear(4, 2) if model.steps > LATE else model.head
    return outputs


WAYS = [
    way
    for name, way in list(globals().items())
    if getattr(way, "__code__", None) and way.__code__.co_varnames[:2] == ("model", "outputs")
]


def momentum(way) -> float:
    """The one that makes a plan go this way."""
    return WAYS.index(way) / 1000


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.steps, self.way = nn.Linear(4, 1), 0, calm

    def forward(self, inputs):
        self.steps += self.training
        return self.way(self, self.head(inputs))


class Hostile(Task):
    metric, mode = "val_loss", "min"

    def data(self):
        inputs = torch.randn(48, 4, generator=torch.Generator().manual_seed(1))
        targets = inputs.sum(1, keepdim=True)
        return (inputs[:32], targets[:32]), (inputs[32:], targets[32:])

    def model(self):
        return Net()

    def loss(self, outputs, targets):
        return nn.functional.mse_loss(outputs, targets)

    def optimizer(self, model, plan):
        model.way = WAYS[round(plan.momentum * 1000)]
        return torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5)
