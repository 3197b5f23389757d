"""Is a task fit to be tuned? What is measured of it before any money is spent (method/001, method/004)."""

from collections.abc import Callable, Iterator

import torch

from studies.plan import Plan
from trainables.checkup import data, memory, model, purity
from trainables.checkup.finding import Finding, Verdict
from trainables.task import Supervision
from trainables.trainable import Workload

__all__ = ["Finding", "Verdict", "checkup"]

OUTSIDE = "data, loss, gradients, regularisation: it trains in its own way, so these cannot be seen from outside"


def checkup(workload: Workload, plan: Plan, device: str, seconds: float) -> Iterator[Finding]:
    """The findings, one by one as they are made, cheap ones first.

    plan: untrained, with the batch size, momentum, optimizer and recipe in question. seconds: about so long may it take; what
    there is no time for is said to be unseen.
    Raises: TaskError, whatever the task raises.
    """
    if not isinstance(workload, Supervision):
        yield from purity.checks(workload, plan, device)
        yield Finding("the rest", Verdict.UNSEEN, OUTSIDE)
        return
    try:
        for checks, share in _checks(workload, plan, device):
            for check in checks(seconds * share):
                yield check
                if (check.name, check.verdict) == ("outputs", Verdict.WRONG):
                    return  # no step can be done
        return
    except torch.OutOfMemoryError:
        pass  # what was under way is given up only after this
    yield memory.ran_out(workload, plan, device)


def _checks(workload: Supervision, plan: Plan, device: str) -> list[tuple[Callable[[float], Iterator[Finding]], float]]:
    """What is looked at, and the share of the time that it may take; the rest is for what comes after."""
    return [
        (lambda seconds: data.checks(workload, seconds), 0.15),
        (lambda seconds: model.checks(workload, plan, device), 0.1),
        (lambda seconds: model.overfits(workload, plan, device, seconds), 0.35),
        (lambda seconds: purity.checks(workload, plan, device), 0.1),
        (lambda seconds: memory.checks(workload, plan, device, seconds), 0.1),
    ]
