"""Are 12 learning rates of a small perceptron sooner trained as one fused model than one after another?

Compared on the CPU, one thread: the product's path for a fused cohort, the probe that finds it faster included, against its
path for one plan, rate after rate; evaluations and saved states are in both. Fair: the same process, steps, batches and
evaluations; the peer keeps its data and code warm over the twelve, and both do a few steps beforehand. The clock is this
process's CPU time, so that neighbours on the machine do not count. Curves must be the peer's, to rounding.
"""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from studies.plan import Plan, constant
from tests.benchmarks.bed import ROOT, prepared
from tests.benchmarks.table import Figure, Result, less
from trainables.trainable import Workload
from tuner.runners.bench import Bench
from tuner.runners.job import Errand, Job

TASK = str(ROOT / "tests" / "benchmarks" / "tasks.py") + ":SmallMLP"
SHARES = tuple(10 ** (-i / 6) for i in range(12))
EVERY = 50


def measure(runs: int = 5, small: bool = False) -> Result:
    _, workload = prepared(TASK)
    figures = []
    for optimizer, highest in (("sgd", 0.1), ("adam", 0.01)):
        base, steps = Plan(optimizer=optimizer), 100 if small else 500
        plans = [constant(base, highest * share, steps) for share in SHARES]
        figures += _compared(workload, plans, 1 if small else runs)
    return Result(tuple(figures))


def _compared(workload: Workload, plans: list[Plan], runs: int) -> Iterator[Figure]:
    for fuse in (None, False):
        _trained(workload, [plan.upto(EVERY) for plan in plans], fuse)
    ours, peer, apart = [], [], []
    for _ in range(runs):
        (seconds, losses), (their_seconds, their_losses) = (_trained(workload, plans, fuse) for fuse in (None, False))
        ours.append(seconds)
        peer.append(their_seconds)
        apart.append(max(abs(losses[plan] - loss) / abs(loss) for plan, loss in their_losses.items() if math.isfinite(loss)))
    yield less(f"12 rates of a small MLP, CPU, {plans[0].optimizer}", ours, peer, 3, " s")
    yield Figure("the same, lanes' first losses apart from solo runs, relative", (), (), apart, 1e-4, scale="", limit=True)


def _trained(workload: Workload, plans: list[Plan], fuse: bool | None) -> tuple[float, dict[Plan, float]]:
    """(CPU seconds, each plan's mean loss over the first steps). fuse: None is probed for, False is not.

    Raises: RuntimeError if the probe finds that fusing does not pay.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = Job(TASK, Path(folder), workload.fingerprint, EVERY * plans[0].batch_size, Path(folder), device="cpu", fuse=fuse)
        bench, losses = Bench(job), {}
        began = time.process_time()
        if fuse is None and (probe := bench.probe(plans)).fused_from > len(plans):
            raise RuntimeError(f"the product does not fuse here: {probe.words}")
        cohorts = [plans] if fuse is None else [[plan] for plan in plans]
        for cohort in cohorts:
            for progress in bench.carry_out([Errand(plan) for plan in cohort], fuse is None, lambda: False):
                for point in progress.points:
                    losses.setdefault(progress.plan, point.values["train_loss"])
        return time.process_time() - began, losses
