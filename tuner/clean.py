"""What do a study's states take, and which of them can go?"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studies.ledger import Store
from studies.plan import Plan
from studies.workspace import Workspace
from trainables.checkpoints import Checkpoints, Use, uses
from trainables.parallel import load_spread
from tuner.settings import Settings

TOLD = {
    Use.NEEDED: "needed: the last of each path, and those where another one forks",
    Use.PASSED: "only passed by: no trial that is known would start from them",
    Use.SPOILT: "spoilt: put aside, as their content was not what had been written",
    Use.UNFINISHED: "unfinished: left by writers that were killed",
    Use.OUTDATED: "of the task as it was before it was edited",
}


@dataclass(frozen=True)
class Litter:
    """What lies among a study's states. count, size: files and bytes, by use. removed: what could go is gone;
    command: what removes it."""

    study: str
    place: str
    count: Mapping[Use, int]
    size: Mapping[Use, int]
    removed: bool
    command: str

    def lines(self) -> list[str]:
        """For a terminal."""
        count, size = (sum(by.values()) - by.get(Use.NEEDED, 0) for by in (self.count, self.size))
        can = "are gone" if self.removed else "can go"
        head = f"{self.study}: {count} of {sum(self.count.values())} files {can}, {_bytes(size)} of"
        again = [f"remove them with: {self.command}"] if count and not self.removed else []
        uses = [f"  {self.count[use]} {told}, {_bytes(self.size[use])}" for use, told in TOLD.items() if use in self.count]
        return [f"{head} {_bytes(sum(self.size.values()))}, in {self.place}", *uses, *again]

    def summary(self) -> dict[str, Any]:
        """For `--json`."""
        files = {use.value: {"files": self.count[use], "bytes": self.size[use]} for use in self.count}
        return {"study": self.study, "place": self.place, "removed": self.removed, "files": files}


def clean(store: Store, workspace: Workspace, remove: bool = False) -> Litter:
    """Look through a study's states; remove those that going on with it, as its task is now, does not need.

    Results do not depend on it: what is removed too much is trained again. (So it does no harm that a driver may start
    while this is under way; while one is at work, it has plans that are not known here.)

    Raises: BusyError naming the driver that is running it; InputError, TaskError if its task cannot be loaded; StorageError.
    """
    study = workspace.study
    record = store.record(study)
    store.check_free(study)
    settings = Settings.of(record.settings, {})
    fingerprint = load_spread(settings.task, settings.data, settings.processes).fingerprint
    place = workspace.checkpoints(settings.checkpoints)
    checkpoints = Checkpoints(place, fingerprint)
    files = checkpoints.files()
    found = uses(files, fingerprint, _plans(store, study))
    if remove:
        checkpoints.remove(file for file, use in found.items() if use is not Use.NEEDED)
    size = Counter[Use]()
    for file, use in found.items():
        size[use] += files[file]
    return Litter(study, str(place), Counter(found.values()), size, remove, record.command("clean", study, "--yes"))


def _plans(store: Store, study: str) -> set[Plan]:
    """Of all trials that are known, and those that the next stage starts from."""
    trials = [trial for stage in store.stages(study) for trial in store.trials(study, stage, points=1)]
    return {trial.plan for trial in trials} | {decision.winner for decision in store.decisions(study)}


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
