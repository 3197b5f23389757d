"""Is a task fit to be tuned, and what will tuning cost? Before any money is spent."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from trainables.checkup import Finding, Verdict, checkup
from trainables.machine import settle
from trainables.task import blamed, load_task
from tuner.forecast import at_a_time, forecast
from tuner.settings import Settings


def check(settings: Settings, seconds: float) -> Iterator[Finding]:
    """One finding after another; the cost at last, if nothing is wrong.

    seconds: about so long may it take; what there is no time for is told as unseen.
    Raises: InputError, TaskError if the task cannot be loaded or trained at all.
    """
    workload = load_task(settings.task, settings.data)
    device = settle(settings.device, settings.threads)
    settings = settings.resolve(workload)
    fit, until = True, time.monotonic() + seconds
    with blamed(f"--task {settings.task}"):
        workload.trainable(settings.start, device)  # what cannot be built is told alone
        for finding in checkup(workload, settings.start, device, seconds):
            fit = fit and finding.verdict is not Verdict.WRONG
            yield finding
    name = "what tuning costs at most"
    if fit and time.monotonic() > until:
        yield Finding(name, Verdict.UNSEEN, "no time was left to measure it", "ask: tune run --dry-run")
    elif fit:
        workers = at_a_time(settings, device)
        stages = forecast(settings, workload, device, settings.start, measuring=until - time.monotonic())
        hours = sum(stage.device_hours for stage in stages)
        told = ", ".join(f"{stage.stage} {stage.steps:,} steps" for stage in stages)
        yield Finding(name, Verdict.OK, f"{told}: {hours * 60:.3g} minutes with {workers} at a time")


def summary(task: str, findings: list[Finding]) -> dict[str, Any]:
    """As `--json` shows it."""
    fit = all(finding.verdict is not Verdict.WRONG for finding in findings)
    return {"task": task, "fit": fit, "findings": [asdict(finding) for finding in findings]}
