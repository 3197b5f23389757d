"""What does a killed driver leave behind, and what does the next one make of it? A folder in which drivers live and die."""

import shutil
from collections import Counter
from pathlib import Path

import psutil

from reports.tensorboard import last_step
from studies.ledger import Store
from studies.study import StudyState
from studies.trial import State
from tests import program
from tests.waiting import until

TASK = Path(__file__).with_name("slope.py")
STUDY = "Slope"
GRIDS = ["--max-steps", "160", "--lrs", "1,0.1,0.01", "--batch-sizes", "32,64", "--momenta", "0.5,0.9", "--repeats", "2"]


class Home:
    """One study, its drivers, and every point that was ever seen of it."""

    def __init__(self, folder: Path, storage: str | None = None):
        self.folder, self.storage = folder, storage or f"sqlite:///{folder}/studies.db"
        self._failpoint, self._drivers, self._seen = folder / "failpoint", [], {}
        shutil.copy(TASK, folder)

    def start(self, *more: str, at: str = ""):
        """A driver that goes on with the study. at: "NAME COUNT SIGNAL" of a failpoint that awaits it or its workers."""
        self._failpoint.write_text(at) if at else self._failpoint.unlink(missing_ok=True)
        (said := self.folder / "said").unlink(missing_ok=True)
        runner = [] if "--runner" in more else ["--runner", "serial"]
        options = [*GRIDS, "--fuse", "--storage", self.storage, *runner]
        options = ["--task", "slope.py:Slope", *options, *more]
        driver = program.start(self.folder, "run", *options, out=said, err=said, TUNE_FAILPOINT=str(self._failpoint))
        self._drivers.append(driver)
        return driver

    def run(self, *more: str, at: str = "") -> int:
        """The exit code of a driver: minus the signal that ended it, if one did."""
        return self.exit_code(self.start(*more, at=at))

    def exit_code(self, driver) -> int:
        driver.join(120)
        assert driver.exitcode is not None, self.said
        return driver.exitcode

    def met(self) -> bool:
        """Whether the failpoint was come to."""
        return not self._failpoint.exists()

    def end(self):
        for driver in self._drivers:
            driver.kill()
        for process in self.survivors():
            process.kill()

    @property
    def said(self) -> str:
        """The last driver's words."""
        return said.read_text() if (said := self.folder / "said").exists() else ""

    @property
    def best(self) -> bytes:
        return (self.folder / "tune-runs" / STUDY / "best.yaml").read_bytes()

    def check(self):
        """What holds whenever no driver is alive: no point that was seen is lost, no result is there twice, nobody is left."""
        until(lambda: not self.survivors())
        store = Store(self.storage)
        assert all(record.state is not StudyState.RUNNING for record in store.studies())
        found = {stage: store.trials(STUDY, stage) for stage in store.stages(STUDY)}
        store.close()
        for trials in found.values():
            _check_once(trials)
        now = {
            (stage, trial.plan.line, point.step): dict(point.values)
            for stage, trials in found.items()
            for trial in trials
            for point in trial.points
        }
        assert {key: now.get(key) for key in self._seen} == self._seen
        self._seen = now
        return found

    def check_done(self):
        """And when one has come to its end: nothing is open, TensorBoard shows no more and no less, nothing lies about."""
        found = self.check()
        store = Store(self.storage)
        assert [record.state for record in store.studies()] == [StudyState.DONE]
        store.close()
        folder = self.folder / "tune-runs" / STUDY
        for stage, trials in found.items():
            assert all(trial.state is not State.RUNNING for trial in trials)
            ends = {trial.plan.line[:6]: trial.last for trial in trials}
            shown = {events.name[-6:]: last_step(events) for events in (folder / "tensorboard" / stage).iterdir()}
            assert shown == ends, stage
        assert [path for pattern in (".*", "*.tmp", "*-journal") for path in self.folder.rglob(pattern)] == []

    def survivors(self) -> list[psutil.Process]:
        """The processes that drivers of this home have started, and that are still there."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TUNE_FAILPOINT") == str(self._failpoint) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


def _check_once(trials):
    for trial in trials:
        steps = [point.step for point in trial.points]
        assert steps == sorted(set(steps)) and all(step <= trial.plan.steps for step in steps)
    accepted = Counter(trial.plan.id for trial in trials if trial.state is State.COMPLETE)
    going_on = Counter(trial.plan.line for trial in trials if trial.state is State.RUNNING)
    assert max([*accepted.values(), *going_on.values()], default=1) == 1
