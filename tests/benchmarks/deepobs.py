"""Does the race of stage 1 find the rate that six full trainings find, for a fraction of the steps?

Compared: stage 1 with the pipeline's own settings on the four DeepOBS problems under three optimizers each, against all six
rates 1 ... 1e-5 to the end of the table; a second line has the peer stop those that diverge where they do, as ours would.
Fair: the grid is not widened, so that both choose among the same six. A pick is right if what was recorded at its end lies
within two seed deviations of the best of the six; the deviation is that of the ten seeds recorded at the best rate of all.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import numpy as np
import pandas as pd

from studies.trial import State
from tests.benchmarks.bed import MemoryStudy, curves, prepared, serial
from tests.benchmarks.table import Figure, Result, less
from trainables.trainable import Workload
from tuner.settings import Settings
from tuner.stages.stage import run_stage
from tuner.stages.stage1 import Stage1

NAMES = ("quadratic_deep", "mnist_vae", "fmnist_2c2d", "cifar10_3c3d")


class Six(Stage1):
    """Stage 1 on the grid that it is given."""

    def _beyond(self, rates, best):
        return None


def measure(runs: int = 1, small: bool = False, tables: Sequence[Path] = ()) -> Result:
    """One run: nothing in it is random or timed. tables: in place of DeepOBS's."""
    tables = tables or [curves(f"{name}.parquet")[0] for name in NAMES[: 1 if small else None]]
    ours, peer, whole, apart, told = [], [], [], [], []
    for path in tables:
        runs_of = pd.read_parquet(path)
        for optimizer, momentum in sorted(set(zip(runs_of.optimizer, runs_of.momentum))):
            settings, workload = prepared(f"replay:{path}", optimizer=optimizer, momentum=momentum)
            picked, raced, _ = _sweep(settings, workload, exhaustive=False)
            _, full, finals = _sweep(settings, workload, exhaustive=True)
            own = runs_of[(runs_of.optimizer == optimizer) & (runs_of.momentum == momentum)]
            ours.append(raced)
            peer.append(full)
            whole.append(len(settings.lrs) * settings.max_steps)
            apart.append((max(finals.values()) - finals.get(picked, -np.inf)) / _deviation(own, settings, workload))
            best = max(finals, key=finals.get)
            found = f"{whole[-1] / raced:.1f}x, {picked:g} (best {best:g}, {apart[-1]:.1f})"
            told.append(f"{path.stem} {optimizer} {momentum:g}: {found}")
    right = sum(distance <= 2 for distance in apart)
    goal = round(11 / 12 * len(apart))
    wanted = f"of {len(apart)}"
    total = f"in all {sum(whole) / sum(ours):.1f}x; behind the best, in seed deviations, in brackets; " + "; ".join(told)
    return Result(
        (
            less("DeepOBS, stage 1, steps", ours, whole, 4.5, note=total),
            less("the same, against stopping what diverges", ours, peer, None),
            Figure("DeepOBS, stage 1, right picks", (right,), (len(apart),), (right,), goal, scale=f" {wanted}"),
        )
    )


def _sweep(settings: Settings, workload: Workload, exhaustive: bool) -> tuple[float, int, dict[float, float]]:
    """(the rate picked, steps trained, what each sound rate had at its last point, higher being better)."""
    stage = settings.stage("stage1", workload)
    stage = Six(**{name: getattr(stage, name) for name in stage.__dataclass_fields__})
    stage, study = replace(stage, exhaustive=exhaustive), MemoryStudy()
    with serial(settings.task, settings, workload) as runner:
        decision = run_stage(stage, settings.start, study, runner)
    metric, trials = workload.target, study.trials()
    finals = {t.plan.lr: metric.gain(t.curve(metric.name)[-1][1], 0.0) for t in trials if t.state is State.RUNNING}
    finals = {lr: value for lr, value in finals.items() if np.isfinite(value)}
    return decision.winner.lr, sum(trial.last for trial in trials), finals


def _deviation(own: pd.DataFrame, settings: Settings, workload: Workload) -> float:
    """Of the final values of the seeds at the rate that was recorded with the most."""
    seeds = own.groupby("lr").seed.nunique()
    last = own[own.lr == seeds.idxmax()].sort_values("step").groupby("seed")[workload.target.name].last()
    return stdev(last)
