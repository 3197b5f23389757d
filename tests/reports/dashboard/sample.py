"""The study that all tests of reports look at, written into a real storage by the store's own driver."""

from pathlib import Path

from reports.stages import StageResults
from studies.ledger import Driver, Store
from studies.trial import Progress, State
from tests.reports.sample import HOSTILE, METRIC, SETTINGS, stage1, stage2, stage3

__all__ = ["HOSTILE", "METRIC", "SETTINGS", "stage1", "stage2", "stage3", "study", "write"]


def write(driver: Driver, results: StageResults) -> None:
    study = driver.stage(results.name, results.metric)
    for trial in results.trials:
        study.plan([trial.plan])
        ended = trial.state if trial.broken else State.COMPLETE if trial.last == trial.plan.steps else None
        study.record(Progress(trial.plan, trial.points, trial.begun, ended, trial.error))
    if results.decision:
        study.decide(results.decision)


def study(store: Store, name: str, *stages: StageResults, workdir: Path | None = None, done: bool = False) -> None:
    """A study that has stopped, or is done; of stage 1, if nothing else is said."""
    settings = {**SETTINGS, "workdir": str(workdir) if workdir else None}
    with store.drive(name, settings) as driver:
        for results in stages or [stage1()]:
            write(driver, results)
        if done:
            driver.done()
