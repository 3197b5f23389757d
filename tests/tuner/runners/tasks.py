"""What do the runners carry out here? A regression that notes every step it takes, and fails in the ways its momentum names."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import torch

from trainables import Task

NOTES = Path(__file__).parent / "steps.txt"
RAISES, REFUSES, DIES_ONCE, EXITS, SLOW, FORKS, LOSES = (
    0.11,
    0.12,
    0.13,
    0.14,
    0.15,
    0.16,
    0.17,
)  # a momentum says what is wrong with a plan


def lose_gpu():
    """As CUDA does, once it has failed in a kernel."""

    def raises(*given):
        raise RuntimeError("CUDA error: device-side assert triggered")

    torch.cuda.is_initialized, torch.cuda.synchronize, torch.cuda.empty_cache = lambda: True, raises, raises


class Line(Task):
    """Through the supervised path, with dropout: what it trains depends on every bit."""

    metric, mode = "val_loss", "min"

    def data(self):
        inputs = torch.randn(96, 8, generator=torch.Generator().manual_seed(1))
        targets = inputs @ torch.arange(8.0) + 1
        return (inputs[:64], targets[:64]), (inputs[64:], targets[64:])

    def model(self):
        return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))


class Falls:
    """Downhill on one weight; steps.txt gets a line "seed momentum step pid" for each step."""

    metric, mode = "distance", "min"

    def __init__(self, momentum, seed):
        if momentum == REFUSES:
            raise ValueError("this momentum is not liked")
        self._name, self._fails, self._step, self._weight = f"{seed} {momentum}", momentum, 0, 1.0 + seed
        print("constructed", self._name)

    def train(self, steps, lr):
        losses = []
        for _ in range(steps):
            with open(NOTES, "a") as notes:
                notes.write(f"{self._name} {self._step} {os.getpid()}\n")
            self._fail_if_due()
            losses.append(self._weight * self._weight)
            self._weight -= lr * 2 * self._weight
            self._step += 1
        return sum(losses) / steps

    def _fail_if_due(self):
        if self._fails == SLOW:
            time.sleep(0.03)
        if self._fails == EXITS and self._step == 5:
            print("these are the last words", flush=True)
            os._exit(3)
        if self._fails == FORKS and self._step == 5:
            if not (child := os.fork()):
                time.sleep(600)
            with open(NOTES.with_suffix(".children"), "a") as notes:
                notes.write(f"{child}\n")
            os._exit(3)
        if self._fails == LOSES and self._step == 5:
            lose_gpu()
            raise RuntimeError("CUDA error: device-side assert triggered\nand more words")
        if self._fails == RAISES and self._step == 30:
            raise RuntimeError("raised at step 30")
        if self._fails == DIES_ONCE and self._step == 30 and not (died := NOTES.with_suffix(".died")).exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def evaluate(self):
        return {"distance": abs(self._weight)}

    def state(self):
        return {"step": self._step, "weight": self._weight}

    def restore(self, state):
        self._step, self._weight = state["step"], state["weight"]


class Even(Line):
    """Without dropout, so that several processes can train it as one does; each notes its pid. One that is named dies, once."""

    steps = 0

    def model(self):
        with open(NOTES.with_suffix(".pids"), "a") as notes:
            notes.write(f"{os.getpid()}\n")
        return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))

    def loss(self, outputs, targets):
        self.steps += outputs.requires_grad
        doomed = NOTES.with_suffix(".first" if multiprocessing.parent_process() is None else ".other")
        if self.steps % 40 == 0 and doomed.exists():
            doomed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(outputs, targets)
