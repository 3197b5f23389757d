"""Carry plans out and look at what is left of them."""

import subprocess
import sys
from pathlib import Path

import torch

from studies.plan import Plan
from studies.trial import Point, Progress, State
from trainables import load_task
from trainables.checkpoints import Checkpoint, Checkpoints
from trainables.training import carry_out

ROOT = Path(__file__).parents[2]
EXAMPLES = 40
"""Training examples between two evaluations: every 5 steps at the batch size of 8 that these tests use."""


def workload(name: str):
    return load_task(f"tests.trainables.{'imbalanced' if name == 'Rare' else 'problems'}:{name}")


def train(name: str, plan: Plan, folder: Path, **options) -> list[Progress]:
    task = workload(name)
    options = {"eval_examples": EXAMPLES, "device": "cpu", **options}
    return list(carry_out(task, [plan], Checkpoints(folder, task.fingerprint), **options))


def left(name: str, plan: Plan, folder: Path) -> Checkpoint:
    """What the path's end has left; it must be there."""
    checkpoint = Checkpoints(folder, workload(name).fingerprint).deepest(plan)
    assert checkpoint and checkpoint.step == plan.steps
    return checkpoint


def points(reports: list[Progress]) -> list[Point]:
    return [point for progress in reports for point in progress.points]


def values(told) -> dict[int, dict[str, float]]:
    """What was measured, by step, without how long it took."""
    return {point.step: dict(point.values) for point in told}


def completed(reports: list[Progress]) -> bool:
    return reports[-1].ended is State.COMPLETE and all(progress.ended is None for progress in reports[:-1])


def same(one, other) -> bool:
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    return one == other or (one != one and other != other)


def in_another_process(code: str, *arguments: str) -> subprocess.Popen:
    """code has sys.argv and what this module has."""
    start = f"import sys, torch; torch.set_num_threads(1); from tests.trainables.helpers import *\n{code}"
    return subprocess.Popen([sys.executable, "-c", start, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
