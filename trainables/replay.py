"""What would the method have done on curves that were recorded? A workload that answers from a table instead of training.

The table's columns: optimizer, lr, batch_size, momentum, seed, step, train_loss, val_loss, val_accuracy (parquet or csv).
"""

import hashlib
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from studies.errors import InputError
from studies.plan import Plan, constant
from studies.recipe import Recipe
from studies.schedule import Constant
from studies.trial import Metric
from studies.value import LARGEST

COLUMNS = ("optimizer", "lr", "batch_size", "momentum", "seed", "step", "train_loss", "val_loss", "val_accuracy")
CHOICES = ("optimizer", "batch_size", "momentum", "seed")
MEASURED = ("train_loss", "val_loss", "val_accuracy")


def _whole(least: int) -> tuple[str, Callable[[Any], bool]]:
    return f"whole numbers from {least}", lambda value: least <= value <= LARGEST and value % 1 == 0


EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "optimizer": ("names", lambda value: isinstance(value, str) and bool(value)),
    "lr": ("finite numbers above 0", lambda value: 0 < value < math.inf),
    "batch_size": _whole(1),
    "momentum": ("numbers from 0 to below 1", lambda value: 0 <= value < 1),
    "seed": _whole(0),
    "step": _whole(1),
}
"""What each value of a column has to be."""


@dataclass(frozen=True)
class Recording:
    """One recorded run. steps: ascending; columns: the values at these steps, by name."""

    steps: Sequence[int]
    columns: Mapping[str, Sequence[float]]

    def mean(self, name: str, after: int, upto: int) -> float:
        """The mean over the steps in (after, upto], each having the value recorded first at it or after it; NaN if the run
        breaks off before."""
        values, place, step, total = self.columns[name], bisect_left(self.steps, after + 1), after, 0.0
        while step < upto and place < len(self.steps):
            until = min(upto, self.steps[place])
            total += values[place] * (until - step)
            step, place = until, place + 1
        return total / (upto - after) if step == upto else math.nan

    def latest(self, name: str, step: int) -> float:
        """The value recorded last at or before a step; the first one before that."""
        return self.columns[name][max(0, bisect_right(self.steps, step) - 1)]


class Replay:
    """A recorded table as a workload (trainables.trainable.Workload).

    holds: the recorded optimizers, batch sizes, momenta and seeds. point_examples: training examples from one recorded point
    to the next, where these lie furthest apart.

    Raises: InputError if the file is no such table.
    """

    train_examples = valid_examples = 0
    recipe = Recipe()

    def __init__(self, path: Path):
        table = _read(path)
        self.name, self._path = path.stem, path
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
        accurate = table.val_accuracy.notna().any()
        self.target = Metric(name="val_accuracy", mode="max") if accurate else Metric(name="val_loss", mode="min")
        self._runs: dict[tuple, dict[float, Recording]] = {}
        for (*choices, lr), rows in table.groupby([*CHOICES, "lr"]):
            run = Recording(rows.step.tolist(), {name: rows[name].tolist() for name in MEASURED})
            self._runs.setdefault(tuple(choices), {})[lr] = run
        self._ends = table.groupby("batch_size").step.max().to_dict()
        self.holds = self.holding()
        runs = ((choices[1], run) for choices, rates in self._runs.items() for run in rates.values())
        self.point_examples = max(batch_size * run.steps[-1] / len(run.steps) for batch_size, run in runs)

    def holding(self, **given: Any) -> dict[str, list]:
        """The choices there are among the runs with these values: holding(optimizer="adam")["momentum"]."""
        runs = [dict(zip(CHOICES, choices)) for choices in self._runs]
        runs = [run for run in runs if all(run[name] == value for name, value in given.items())]
        return {name: sorted({run[name] for run in runs}) for name in CHOICES}

    def max_steps(self, batch_size: int) -> int:
        """Where the table ends for this batch size, in steps. Raises: InputError if it holds none of it."""
        if batch_size not in self._ends:
            self._refuse("batch_size", batch_size, sorted(self._ends))
        return self._ends[batch_size]

    def nearest(self, plan: Plan) -> Plan | None:
        """The plan at the nearest rate that the table can answer, and no longer than that; None if it holds none of the
        plan's other choices together."""
        rates = self._runs.get(tuple(getattr(plan, name) for name in CHOICES))
        if not rates:
            return None
        steps = min(plan.steps, self.max_steps(plan.batch_size))
        return constant(plan, min(max(plan.lr, min(rates)), max(rates)), steps)

    def trainable(self, plan: Plan, device: str = "cpu") -> "Replayed":
        """Raises: InputError if the table cannot answer the plan, saying what it holds."""
        if plan.recipe:
            self._refuse("recipe", ", ".join(name for name, _ in plan.recipe.parts()), "trainings without a recipe")
        if plan.finish:
            self._refuse("finish", plan.finish.words, "trainings as they were")
        for name in CHOICES:
            if getattr(plan, name) not in self.holds[name]:
                self._refuse(name, getattr(plan, name), self.holds[name])
        if plan.steps > self.max_steps(plan.batch_size):
            self._refuse("step_nums", plan.steps, f"{self.max_steps(plan.batch_size)} with batch size {plan.batch_size}")
        runs = self._runs.get((plan.optimizer, plan.batch_size, plan.momentum, plan.seed), {})
        rates = sorted(runs)
        if not rates:
            there = sorted(choices[:3] for choices in self._runs if choices[3] == plan.seed)
            self._refuse("plan", self._shown(plan), f"of this seed only (optimizer, batch_size, momentum) {there}")
        if any(not isinstance(segment.rate, Constant) for segment in plan.segments) or len(plan.segments) > 1:
            self._refuse("schedule", "a rate that changes", "constant rates only")
        if plan.segments and not rates[0] * (1 - 1e-9) <= plan.lr <= rates[-1] * (1 + 1e-9):
            self._refuse("lr", plan.lr, f"rates from {rates[0]:g} to {rates[-1]:g} with {self._shown(plan)}")
        return Replayed(runs, rates, self.target)

    def _shown(self, plan: Plan) -> str:
        return ", ".join(f"{name} {getattr(plan, name)}" for name in CHOICES)

    def _refuse(self, key: str, came: Any, holds: Any) -> None:
        raise InputError(f"{key}: {self._path} cannot answer {came}; it holds {holds}")


class Replayed:
    """One run read from the table (trainables.trainable.Trainable); between two recorded rates, interpolated in log lr."""

    def __init__(self, runs: dict[float, Recording], rates: list[float], target: Metric):
        self._runs, self._rates, self._target = runs, rates, target
        self._step, self._lr = 0, rates[0]

    def train(self, steps: int, lr: float) -> float:
        before, self._step, self._lr = self._step, self._step + steps, lr
        return self._between(lambda run: run.mean("train_loss", before, self._step))

    def evaluate(self) -> dict[str, float]:
        names = ("val_loss", "val_accuracy") if self._target.name == "val_accuracy" else ("val_loss",)
        return {name: self._between(lambda run, name=name: run.latest(name, self._step)) for name in names}

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "lr": self._lr}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._step, self._lr = state["step"], state["lr"]

    def _between(self, read: Any) -> float:
        """What the runs on either side of the rate say, weighted by their distance in log lr."""
        place = min(max(bisect_left(self._rates, self._lr * (1 - 1e-9)), 0), len(self._rates) - 1)
        above = self._rates[place]
        if place == 0 or math.isclose(above, self._lr, rel_tol=1e-6):
            return read(self._runs[above])
        below = self._rates[place - 1]
        weight = math.log(self._lr / below) / math.log(above / below)
        return (1 - weight) * read(self._runs[below]) + weight * read(self._runs[above])


def _read(path: Path) -> pd.DataFrame:
    if not os.path.isfile(path):  # False, and no error, where there can be no such name
        raise InputError(f"--task: there is no file {path}")
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except Exception as error:
        raise InputError(
            f"{path}: expected a parquet or csv table; {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from None
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    if table.empty:
        raise InputError(f"{path}: expected at least one row")
    for name in COLUMNS[1:]:
        if not pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_bool_dtype(table[name]):
            raise InputError(f"{path}: {name}: expected numbers")
    for name, (expected, holds) in EXPECTED.items():
        values = table[name].drop_duplicates()
        wrong = values[[not holds(value) for value in values]]
        if len(wrong):
            raise InputError(f"{path}: {name}: expected {expected}; got {wrong.iloc[0]} in row {wrong.index[0] + 1}")
    if table.train_loss.isna().all() or (table.val_loss.isna() & table.val_accuracy.isna()).all():
        raise InputError(f"{path}: expected values of train_loss, and of val_loss or val_accuracy")
    return table.astype({"batch_size": int, "seed": int, "step": int}).sort_values("step")
