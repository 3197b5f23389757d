"""Does the winner deliver? The exported plan, carried out once more, and held against what tuning promised."""

import csv
import io
import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from reports.export import Export, read_export
from reports.progress import ProgressView
from studies.errors import Interrupted, StageError, TaskError
from studies.files import write_whole
from studies.plan import Plan
from studies.trial import Point, Progress, State
from studies.words import last_line
from trainables.checkpoints import Checkpoints, save_weights
from trainables.machine import settle
from trainables.parallel import gathered, load_spread
from trainables.training import carry_out
from tuner.pipeline import interruptible, try_out
from tuner.settings import Settings
from tuner.stages.rules import quantile


@dataclass(frozen=True)
class Outcome:
    """value: the metric at the end; tuned_by: the one that tuning went by. expected: where one more run lies, 95 times in 100;
    None where one seed, or another metric, says nothing. notes: what of the plan was carried out only nearly."""

    plan: Plan
    metric: str
    tuned_by: str
    value: float
    expected: tuple[float, float] | None
    folder: Path
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.metric != self.tuned_by:
            return f"tuned by {self.tuned_by}, which this task does not measure, so there is nothing to hold it against"
        if self.expected is None:
            return "tuned with one seed, so there is no interval to hold it against"
        low, high = self.expected
        place = "within" if low <= self.value <= high else "OUTSIDE"
        return f"{place} the tuned interval, {low:.4g} to {high:.4g} for one more run"

    def summary(self) -> dict[str, Any]:
        """For `--json` and metrics.json."""
        return {
            "plan": self.plan.describe(),
            "metric": self.metric,
            "value": self.value,
            "expected": self.expected,
            "within": None if self.expected is None else self.expected[0] <= self.value <= self.expected[1],
            "weights": str(self.folder / "weights.pt"),
            "notes": self.notes,
        }


def train(
    config: Path,
    view: ProgressView,
    *,
    out: Path | None = None,
    task: str | None = None,
    data: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int = 1,
    processes: int = 1,
    readers: int | None = None,
    checkpoints: str | None = None,
) -> Outcome:
    """Train an exported plan; write weights.pt, metrics.json and curve.csv into a folder. Run again, it goes on.

    out: trained/ beside the file if not given; task, data, seed: in place of the file's; a task that does not measure what the
    file was tuned by is judged by its own metric. processes: that share every batch; readers: that read ahead.
    checkpoints: folder or URL of the states; a folder in out if not given.

    Raises: InputError, TaskError, StorageError; StageError if the training diverges; Interrupted, and it has been saved.
    """
    export = read_export(config)
    spec = export.task if task is None else task
    device = settle(device, threads, processes)
    workload = load_spread(spec, data or export.data, processes, device, threads, readers)
    plan = export.plan if seed is None else export.plan.but(seed=seed)
    notes, _ = try_out(workload, plan, spec)
    folder = out or config.parent / "trained"
    states = Checkpoints(checkpoints or folder / "checkpoints", workload.fingerprint)
    if checkpoints:
        states.check()
    states.sweep()
    eval_examples = Settings().resolve(workload).eval_examples
    points: list[Point] = []
    asked = threading.Event()
    with gathered(workload), view, interruptible(asked.set):
        view.stage("train", f"{plan.steps} steps of {config.name}")
        view.planned([plan])
        for progress in carry_out(workload, [plan], states, eval_examples=eval_examples, device=device, stop=asked.is_set):
            points += progress.points
            view.record(progress)
    _check_ended(progress)
    tuned_by, values = export.metric.name, points[-1].values
    metric, promised = (tuned_by, expected(export)) if tuned_by in values else (workload.target.name, None)
    outcome = Outcome(plan, metric, tuned_by, values[metric], promised, folder, notes)
    write_whole(folder / "curve.csv", _table(points))
    write_whole(folder / "metrics.json", json.dumps(outcome.summary(), indent=2) + "\n")
    save_weights(folder / "weights.pt", states.deepest(plan))
    return outcome


def expected(export: Export) -> tuple[float, float] | None:
    """Where one more run with a fresh seed lies, 95 times in 100 (Student's t prediction interval of the tuned seeds)."""
    n = len(export.values)
    if n < 2:
        return None
    half = quantile(n - 1) * stdev(export.values) * math.sqrt(1 + 1 / n)
    return fmean(export.values) - half, fmean(export.values) + half


def _check_ended(progress: Progress) -> None:
    if not progress.ended:
        raise Interrupted("stopped; everything is saved: run again to go on")
    if progress.ended is State.FAILED:
        raise TaskError(f"the training failed: {last_line(progress.error)}", progress.error)
    if progress.ended is State.DIVERGED:
        raise StageError(f"the training diverged: {progress.error}")


def _table(points: Sequence[Point]) -> str:
    names = list(dict.fromkeys(name for point in points for name in point.values))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["step", "seconds", *names])
    rows.writerows([point.step, round(point.seconds, 3), *(point.values.get(name, "") for name in names)] for point in points)
    return text.getvalue()
