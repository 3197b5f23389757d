"""What does the machinery cost where it has nothing to wait for?

Absolute figures, without a peer. A unit of work: trials of no length through run_stage's parts, as the pipeline does it: a
study in SQLite on disk, warm Ray workers; the driver's own CPU time, and (told beside it) the wall-clock with everything in it. A
stored point: reports of 100 points into a study on disk, the commits included, in SQLite and (where its server is installed)
in PostgreSQL without fsync. The share: evaluating and saving, over the
training alone, on digits with the pipeline's own settings, one plan in this process.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studies.ledger import Store
from studies.plan import Plan, constant
from studies.study import Study
from studies.trial import Metric, Point, Progress
from studies.workspace import default_storage
from tests.benchmarks.bed import ROOT, prepared
from tests.benchmarks.table import Figure, Result, under
from tests.conftest import running_postgresql
from trainables.checkpoints import Checkpoints
from trainables.machine import settle
from trainables.training import carry_out

TASKS = ROOT / "tests" / "benchmarks" / "tasks.py"


def measure(runs: int = 5, small: bool = False) -> Result:
    runs = 1 if small else runs
    stored = list(_stored(runs, 10 if small else 100))
    shares = [_share(200 if small else 999) for _ in range(runs)]
    share = under("evaluation and checkpoints, share of the training", shares, 5, " %")
    if small:
        return Result((*stored, share))
    units = [_units(200) for _ in range(runs)]
    cpu, wall = zip(*units)
    return Result(
        (
            under("the driver's cost of a unit of work", cpu, 10, " ms"),
            Figure("the same, wall-clock with the worker's part", wall, (), wall, None, " ms", " ms"),
            *stored,
            share,
        )
    )


def _stored(runs: int, reports: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, running_postgresql() as server:
        places = {"SQLite": lambda: default_storage(Path(tempfile.mkdtemp(dir=folder)))}
        places |= {"PostgreSQL": server.database} if server else {}
        for name, fresh in places.items():
            wall, cpu = zip(*(_point(fresh(), reports) for _ in range(runs)))
            yield under(f"a stored point, {name}", wall, 50, " us")
            yield Figure("the same, the driver's CPU time alone", cpu, (), cpu, None, " us", " us")


def _point(url: str, reports: int, each: int = 100) -> tuple[float, float]:
    """Microseconds a point: on the wall, and of CPU time."""
    plans = [constant(Plan(), 1.0 + i, each) for i in range(reports)]
    values = {"train_loss": 0.5, "lr": 0.1, "val_loss": 0.6, "accuracy": 0.9, "update_ratio": 1e-3}
    with Store(url).drive("bench", {}) as driver:
        study = driver.stage("stage1", Metric(name="accuracy", mode="max"))
        study.plan(plans)
        reported = [Progress(plan, tuple(Point(step + 1, values, step / 10) for step in range(each))) for plan in plans]
        clocks = time.perf_counter(), time.process_time()
        for progress in reported:
            study.record(progress)
        spent = [now - then for now, then in zip((time.perf_counter(), time.process_time()), clocks)]
        return tuple(seconds / (reports * each) * 1e6 for seconds in spent)


def _units(trials: int) -> tuple[float, float]:
    """Milliseconds a trial: of the driver's CPU, and on the wall."""
    from tuner.runners.job import Job
    from tuner.runners.workers import RayRunner

    os.environ["TUNER_BENCH_SLEEP"] = "0"
    task = f"{TASKS}:Sleeper"
    _, workload = prepared(task, max_steps=1, eval_examples=64)
    with tempfile.TemporaryDirectory() as folder, Store(default_storage(Path(folder))).drive("bench", {}) as driver:
        study = driver.stage("stage1", workload.target)
        runner = RayRunner(Job(task, Path(folder) / "checkpoints", workload.fingerprint, 64, Path(folder), device="cpu"))
        try:
            _work(study, runner, [constant(Plan(seed=1), 1.0 + i, 1) for i in range(4)])  # until the workers are there
            clocks = time.process_time(), time.perf_counter()
            _work(study, runner, [constant(Plan(), 1.0 + i, 1) for i in range(trials)])
            spent = [now - then for now, then in zip((time.process_time(), time.perf_counter()), clocks)]
            return tuple(seconds / trials * 1e3 for seconds in spent)
        finally:
            runner.close()


def _work(study: Study, runner: Any, plans: list[Plan]) -> None:
    study.plan(plans)
    runner.run(plans, study.record)
    study.trials()


def _share(steps: int) -> float:
    """Percent: what is not training, over what is."""
    settings, workload = prepared("digits")
    settle("cpu", settings.threads)
    clock = Clock(workload)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), workload.fingerprint)
        plan = constant(settings.start, 0.01, steps)
        looks = {"eval_examples": settings.eval_examples, "early_looks": settings.early_looks}
        carry = carry_out(clock, [plan], checkpoints, **looks, device="cpu")
        workload.trainable(plan, "cpu").train(10, 0.01)  # torch's own first steps
        began = time.perf_counter()
        list(carry)
        whole = time.perf_counter() - began
    return (whole - clock.seconds) / clock.seconds * 100


class Clock:
    """A workload whose training is timed."""

    def __init__(self, workload: Any):
        self._workload, self.seconds = workload, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workload, name)

    def trainable(self, plan: Plan, device: str) -> Any:
        trainable = self._workload.trainable(plan, device)
        train = trainable.train

        def timed(steps: int, lr: float) -> float:
            began = time.perf_counter()
            loss = train(steps, lr)
            self.seconds += time.perf_counter() - began
            return loss

        trainable.train = timed
        return trainable
