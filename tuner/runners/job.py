"""What does every runner need to know, and who waits for whom so that shared beginnings are trained once?"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from studies.plan import Plan
from studies.trial import Progress, State


@dataclass(frozen=True)
class Job:
    """What carrying plans out takes besides the plans; the same for every runner, so that their results are the same.

    task, data: as the command line names them. checkpoints: folder or URL of the states, shared by all machines. fingerprint:
    of the task, part of the states' names. eval_examples: training examples between two evaluations; early_looks: more of
    them, before the first (Plan.early). folder: of the run's other files, such as what its workers print; shared by all
    machines, too. threads: of torch, per process; sums depend on it, so it is the same everywhere. processes: that share each
    training, on a GPU each if there are any. readers: processes that read ahead for each worker; None: as its device asks for.
    fuse: plans that can be, in lockstep; None: where a probe says that it is faster.
    """

    task: str
    checkpoints: str | Path
    fingerprint: str
    eval_examples: float
    folder: Path
    data: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    early_looks: int = 0
    threads: int = 1
    processes: int = 1
    readers: int | None = None
    fuse: bool | None = None

    @property
    def cpus(self) -> int:
        """For one training."""
        return self.threads * self.processes


@dataclass(frozen=True)
class Errand:
    """One plan to be carried out, as part of a set.

    keep: the steps at which others fork from it, so that a checkpoint must be left there.
    after: (the plan whose path it forks from, the step of the fork); None if it waits for nobody.
    """

    plan: Plan
    keep: frozenset[int] = frozenset()
    after: tuple[Plan, int] | None = None


def errands(plans: Iterable[Plan]) -> list[Errand]:
    """The plans as errands, long ones first, each after the one that it forks from; the order of the input is nothing.

    Carried out so, no step that two of them share is trained twice: each forks from the earlier one it has most in
    common with, which trains past the fork itself, since else that one's own origin would have as much in common.
    """
    kin: dict[Plan, list[Plan]] = defaultdict(list)
    keep: dict[Plan, set[int]] = defaultdict(set)
    after: dict[Plan, tuple[Plan, int] | None] = {}
    for plan in sorted(set(plans), key=lambda plan: (-plan.examples, plan.id)):
        family = kin[plan.upto(min(1, plan.steps))]
        step, origin = max(((plan.common(other), other) for other in family), key=lambda fork: fork[0], default=(0, None))
        after[plan] = (origin, step) if origin else None
        if origin and step < origin.steps:
            keep[origin].add(step)
        family.append(plan)
    return [Errand(plan, frozenset(keep[plan]), fork) for plan, fork in after.items()]


class Agenda:
    """The errands of one run, given out as soon as what they wait for has happened.

    Only speed depends on it: whoever starts an errand too early trains its beginning once more.
    """

    def __init__(self, plans: Collection[Plan], company: Collection[Plan] = ()):
        self._waiting = {errand.plan: errand for errand in errands(plans)}
        self._company: dict[tuple, list[Plan]] = defaultdict(list)
        for plan in sorted({*plans, *company}, key=lambda plan: plan.id):
            self._company[_kin(plan)].append(plan)
        self._reached: dict[Plan, float] = defaultdict(float)

    def __len__(self) -> int:
        return len(self._waiting)

    def company(self, plan: Plan) -> list[Plan]:
        """The plans of this run, those carried out before included, that see the same batches as this one, itself among them."""
        return self._company[_kin(plan)]

    def ready(self) -> list[list[Errand]]:
        """The errands whose beginnings are there, in order, those that see the same batches together."""
        together: dict[tuple, list[Errand]] = defaultdict(list)
        for errand in self._waiting.values():
            if errand.after is None or self.reached(errand.after[0]) >= errand.after[1]:
                together[_kin(errand.plan)].append(errand)
        return list(together.values())

    def begin(self, cohort: Iterable[Errand]) -> None:
        """These are being carried out."""
        for errand in cohort:
            del self._waiting[errand.plan]

    def take(self) -> Errand | None:
        """Begin the next errand whose beginning is there; None if there is none for now."""
        for errand, *_ in self.ready():
            self.begin([errand])
            return errand
        return None

    def put_back(self, errand: Errand) -> None:
        """It was not carried out; it is the next to be taken."""
        self._waiting = {errand.plan: errand, **self._waiting}

    def reached(self, plan: Plan) -> float:
        """The step up to which the plan's checkpoints are certainly there."""
        return self._reached[plan]

    def note(self, progress: Progress) -> None:
        """Learn from a report how far its plan is; those who wait for one that broke get another to wait for."""
        plan = progress.plan
        saved = progress.points and progress.ended is not State.DIVERGED  # what has diverged is not kept
        last = progress.points[-1].step if saved else 0
        self._reached[plan] = max(self._reached[plan], progress.begun, last)
        if progress.ended is State.COMPLETE:
            self._reached[plan] = math.inf
        elif progress.ended:
            orphans = [e for e in self._waiting.values() if e.after and e.after[0] == plan and e.after[1] > self._reached[plan]]
            for errand in errands(orphan.plan for orphan in orphans):
                keep = errand.keep | self._waiting[errand.plan].keep
                self._waiting[errand.plan] = replace(errand, keep=keep)


def _kin(plan: Plan) -> tuple:
    """What has to be the same for plans to see the same batches, and to be trained by one optimizer."""
    return plan.batch_size, plan.seed, plan.optimizers, plan.recipe, plan.finish
