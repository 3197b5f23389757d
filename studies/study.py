"""What does a study promise? The seam between those who find out and those who keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from studies.decision import Decision
from studies.plan import Plan
from studies.trial import Progress, Trial
from studies.workspace import WORKDIR, command


class Study(Protocol):
    """What is known of one stage of a tuning run.

    Whatever a method has returned from is kept, whoever is killed afterwards. Every write is guarded by the driver's
    lease: BusyError if it has been lost. StorageError if the store cannot be reached or is full.
    """

    def plan(self, plans: Sequence[Plan]) -> None:
        """See to it that every plan has a row. Planning twice adds nothing; a plan that prolongs a row's line is that
        trial going on (a row that was closed continues in a new one that names it)."""

    def record(self, progress: Progress) -> None:
        """Keep what a runner reports, from the first point or end on. A step already known is left as it is; steps never go
        backwards."""

    def trials(self) -> Sequence[Trial]:
        """All that is known, in the order of the rows' numbers."""

    def decide(self, decision: Decision) -> None:
        """Write the decision down and close the rows, each as its candidate's state says; a row without a candidate
        as COMPLETE where it has reached its end, else as PRUNED."""


class StudyState(StrEnum):
    """Of a whole tuning run. STALE: it says running, but its driver's lease has run out or its driver is dead."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    STALE = "stale"


@dataclass(frozen=True)
class StudyRecord:
    """One tuning run as its storage lists it.

    settings: what it was started with, so that it can be resumed: {"task": ..., "workdir": ..., option: value, ...}.
    reason: why it is in this state, for a reader ("" if there is nothing to say).
    owner: who drives it or drove it last, "host:pid"; created, updated: seconds since the epoch, UTC.
    storage: the URL that it is read from, without a password.
    """

    name: str
    settings: Mapping[str, Any]
    state: StudyState
    reason: str
    owner: str
    created: float
    updated: float
    storage: str = ""

    def command(self, *words: str) -> str:
        """A command of `tune` on this study, as a person types it."""
        return command(*words, workdir=Path(self.settings.get("workdir") or WORKDIR), storage=self.storage)
