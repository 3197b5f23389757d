"""What does it cost to read a data set item by item, of which torchvision's are the usual ones?

Compared: the product's path for one plan, evaluations and saved states included, against the usual loop over DataLoaders with the
same model, optimizer, number of steps and evaluations. Fair: one process, one thread of torch; the peer has what suits it better
in this run, no worker processes or two that are kept; both have what they import and the data's files in memory.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from studies.plan import Plan, constant
from tests.benchmarks.bed import ROOT
from tests.benchmarks.table import Result, less
from trainables.task import load_task
from tuner.runners.bench import Bench
from tuner.runners.job import Errand, Job

TASKS = str(ROOT / "tests" / "benchmarks" / "tasks.py")
EXAMPLES, HELD, EPOCHS = 12_000, 2_000, 8
PLAN = Plan(batch_size=64)
RATE = 0.05


def measure(runs: int = 5, small: bool = False) -> Result:
    examples, held, epochs = (640, 64, 2) if small else (EXAMPLES, HELD, EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), examples, held)
        os.environ["TUNER_BENCH_DATA"] = folder
        try:
            return Result(
                tuple(
                    less(what, *_pairs(f"{TASKS}:{name}", examples, epochs, readers, runs), goal, " s")
                    for what, name, readers, goal in (
                        (f"{epochs} epochs of {examples:,} of torchvision's items, a loop over DataLoaders", "Pictures", 0, 3),
                        ("the same, augmented as they are read, --readers 2", "Augmented", 2, 0.9),
                    )
                )
            )
        finally:
            del os.environ["TUNER_BENCH_DATA"]


def _pairs(spec: str, examples: int, epochs: int, readers: int, runs: int) -> tuple[list[float], list[float]]:
    ours, peer = [], []
    for _ in range(runs):
        ours.append(_ours(spec, examples, epochs, readers))
        peer.append(min(_theirs(spec, epochs, workers) for workers in (0, 2)))
    return ours, peer


def _ours(spec: str, examples: int, epochs: int, readers: int) -> float:
    """Seconds, from the task's first use on."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        job = Job(spec, place, load_task(spec).fingerprint, examples, place, device="cpu", readers=readers)
        bench, plan = Bench(job), constant(PLAN, RATE, epochs * examples // PLAN.batch_size)
        began = time.perf_counter()
        for progress in bench.carry_out([Errand(plan)], False, lambda: False):
            if progress.error:
                raise RuntimeError(progress.error)
        return time.perf_counter() - began


def _theirs(spec: str, epochs: int, workers: int) -> float:
    """Seconds of the usual loop. workers: processes that read."""
    task = load_task(spec).task
    train, valid = task.data()
    began = time.perf_counter()
    batches = DataLoader(
        train, PLAN.batch_size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    held = DataLoader(valid, 512, num_workers=workers, persistent_workers=workers > 0)
    model = task.model()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=PLAN.momentum)
    for _ in range(epochs):
        model.train()
        for inputs, targets in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(inputs).argmax(1) == targets).sum() for inputs, targets in held)
    if not right / len(valid) > 0.5:
        raise RuntimeError(f"the peer has learnt nothing: {right} of {len(valid)}")
    return time.perf_counter() - began


def _write(folder: Path, examples: int, held: int) -> None:
    """Files in MNIST's format (yann.lecun.com/exdb/mnist): noise around a bright square, whose place is the class."""
    raw, draw = folder / "MNIST" / "raw", np.random.default_rng(0)
    raw.mkdir(parents=True)
    for name, count in (("train", examples), ("t10k", held)):
        labels = draw.integers(0, 10, count)
        images = draw.integers(0, 128, (count, 28, 28))
        for image, label in zip(images, labels):
            image[2 + 2 * label : 8 + 2 * label, 4 + label : 12 + label] += 100
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = np.array([0x800 + values.ndim, *values.shape], ">i4")
            (raw / f"{name}-{kind}-ubyte").write_bytes(head.tobytes() + values.astype(np.uint8).tobytes())
