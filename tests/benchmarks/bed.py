"""What do the benchmarks run things with?"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studies.decision import Decision
from studies.plan import Plan
from studies.trial import Progress, State, Trial
from tests.benchmarks.table import Absent
from trainables.task import load_task
from trainables.trainable import Workload
from tuner.runners.job import Job
from tuner.runners.serial import SerialRunner
from tuner.settings import Settings

ROOT = Path(__file__).parents[2]


def curves(pattern: str) -> list[Path]:
    """Recorded tables, from $TUNER_DATA or ../shared/data beside the repository.

    Raises: Absent.
    """
    folder = Path(os.environ.get("TUNER_DATA", ROOT.parent / "shared" / "data")) / "curves"
    found = sorted(folder.glob(pattern))
    if not found:
        raise Absent(f"there is no {folder / pattern}; set TUNER_DATA to the folder of the recorded curves")
    return found


@dataclass
class MemoryStudy:
    """A study that is forgotten afterwards (studies.study.Study)."""

    rows: dict[str, Trial] = field(default_factory=dict)

    def plan(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            row = self.rows.setdefault(plan.line, Trial(len(self.rows), plan, begun=-1))
            if plan.steps > row.plan.steps:
                self.rows[plan.line] = replace(row, plan=plan)

    def record(self, progress: Progress) -> None:
        row = self.rows[progress.plan.line]
        known = {point.step: point for point in (*progress.points, *row.points)}
        broken = progress.ended in (State.DIVERGED, State.FAILED)
        self.rows[progress.plan.line] = replace(
            row,
            points=tuple(known[step] for step in sorted(known)),
            begun=progress.begun if row.begun < 0 else row.begun,
            state=progress.ended if broken else row.state,
            error=progress.error or row.error,
        )

    def trials(self) -> list[Trial]:
        return list(self.rows.values())

    def decide(self, decision: Decision) -> None:
        """The caller has it."""


@contextmanager
def serial(task: str, settings: Settings, workload: Workload, checkpoints: Path | None = None) -> Iterator[SerialRunner]:
    """The product's serial runner; its checkpoints in a folder that vanishes, if none is given."""
    with tempfile.TemporaryDirectory() as folder:
        place = checkpoints or Path(folder)
        runner = SerialRunner(
            Job(
                task,
                place,
                workload.fingerprint,
                settings.eval_examples,
                place,
                early_looks=settings.early_looks,
                device="cpu",
                fuse=settings.fuse,
            )
        )
        try:
            yield runner
        finally:
            runner.close()


def prepared(task: str, **given: Any) -> tuple[Settings, Workload]:
    """Settings as the pipeline resolves them, and the task."""
    workload = load_task(task)
    return Settings.of({}, {"task": task, "runner": "serial", **given}).resolve(workload), workload


def answer(*arguments: str, **environment: str) -> Any:
    """The last line of what `python -m ...` prints, read as JSON.

    Raises: RuntimeError with the end of its stderr, if it fails.
    """
    ran = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {ran.returncode}\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.strip().splitlines()[-1])
