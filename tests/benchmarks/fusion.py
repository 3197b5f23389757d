"""Are 12 learning rates of a small perceptron sooner trained as one fused model than one after another?

Compared on the CPU, one thread: the product's fused path, its own short measurement included, against the product's path for
one plan, rate after rate. Fair: the same process, steps, batches and evaluations; the peer keeps its data and code warm
over the twelve, and both do a few steps beforehand. The clock is this process's CPU time, so that neighbours on the machine
do not count. Lanes' losses over the first steps must be the peer's, to rounding.
"""

import math
import time

import torch

from studies.plan import Plan
from tests.benchmarks.bed import ROOT, prepared
from tests.benchmarks.table import Absent, Figure, Result, less
from trainables.trainable import Trainable, Workload

TASK = str(ROOT / "tests" / "benchmarks" / "tasks.py") + ":SmallMLP"
RATES = tuple(0.1 * 10 ** (-i / 6) for i in range(12))
EVERY = 50


def measure(runs: int = 5, small: bool = False) -> Result:
    """Raises: Absent, where there is no fused path."""
    if not (ROOT / "trainables" / "fused.py").exists():
        raise Absent("there is no trainables/fused.py")
    steps = 100 if small else 500
    _, workload = prepared(TASK)
    torch.set_num_threads(1)
    for path in (_fused, _alone):
        path(workload, EVERY)
    ours, peer, apart = [], [], []
    for _ in range(1 if small else runs):
        (seconds, losses), (their_seconds, their_losses) = _fused(workload, steps), _alone(workload, steps)
        ours.append(seconds)
        peer.append(their_seconds)
        apart.append(max(abs(a - b) / abs(b) for a, b in zip(losses, their_losses) if math.isfinite(b)))
    return Result(
        (
            less("12 rates of a small MLP, CPU", ours, peer, 3, " s"),
            Figure("the same, lanes' first losses apart from solo runs, relative", (), (), apart, 1e-4, scale="", limit=True),
        )
    )


def _lanes(workload: Workload) -> list[Trainable]:
    return [workload.trainable(Plan(), "cpu") for _ in RATES]


def _fused(workload: Workload, steps: int) -> tuple[float, list[float]]:
    """(CPU seconds, the lanes' mean losses over the first steps)."""
    from trainables.fused import fused

    began = time.process_time()
    lanes = _lanes(workload)
    company = fused(lanes)
    if company is None:
        raise RuntimeError("the product finds fusion no faster here")
    first = []
    for _ in range(0, steps, EVERY):
        losses = company.train(EVERY, RATES)
        first = first or losses
        for lane in lanes:
            lane.evaluate()
    return time.process_time() - began, first


def _alone(workload: Workload, steps: int) -> tuple[float, list[float]]:
    began, first = time.process_time(), []
    for lane, lr in zip(_lanes(workload), RATES):
        losses = []
        for _ in range(0, steps, EVERY):
            losses.append(lane.train(EVERY, lr))
            lane.evaluate()
        first.append(losses[0])
    return time.process_time() - began, first
