"""Is a task fit to be tuned, and what will tuning cost? Before any money is spent."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from trainables.checkup import Finding, checkup
from trainables.machine import settle
from trainables.task import load_task
from tuner.forecast import forecast
from tuner.settings import Settings


def check(settings: Settings) -> Iterator[Finding]:
    """One finding after another; the cost at last, if nothing is wrong.

    Raises: InputError, TaskError if the task cannot be loaded or trained at all.
    """
    workload = load_task(settings.task, settings.data)
    device = settle(settings.device, settings.threads)
    settings = settings.resolve(workload)
    fit = True
    for finding in checkup(workload, settings.start, device):
        fit = fit and finding.verdict != "wrong"
        yield finding
    if fit:
        workers = settings.workers or max(1, (os.cpu_count() or 1) // settings.threads)
        stages = forecast(settings, workload, device, workers)
        hours = sum(stage.device_hours for stage in stages)
        told = ", ".join(f"{stage.stage} {stage.steps:,} steps" for stage in stages)
        yield Finding("what tuning costs at most", "ok", f"{told}: {hours * 60:.3g} minutes with {workers} at a time")


def summary(task: str, findings: list[Finding]) -> dict[str, Any]:
    """As `--json` shows it."""
    fit = all(finding.verdict != "wrong" for finding in findings)
    return {"task": task, "fit": fit, "findings": [asdict(finding) for finding in findings]}
