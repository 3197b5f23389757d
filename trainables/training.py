"""How are plans carried out? From the deepest state on the path, to the end, point by point."""

import math
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from studies.errors import Interrupted, StorageError, TaskError
from studies.failpoints import failpoint
from studies.plan import LOOKS, Plan
from studies.trial import Point, Progress, State
from studies.words import last_line
from trainables.checkpoints import Checkpoint, Checkpoints
from trainables.fused import Fused
from trainables.trainable import Trainable, Workload

FORK_EVERY = 4
"""Every so many evaluations a state is kept, so that later stages find one near wherever they fork."""

SAVING_SHARE = 0.01
"""Saving states that are not kept may cost this share of the time."""

REPORT_SECONDS = 0.2
"""Points closer together than this are reported together."""

ASK_SECONDS = 0.2
"""Training goes on for about this long before it asks again whether to stop."""


def carry_out(
    workload: Workload,
    cohort: Sequence[Plan],
    checkpoints: Checkpoints,
    *,
    eval_examples: float,
    early_looks: int = 0,
    device: str,
    keep: Collection[int] = (),
    fused: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train the plans and report on each until it has ended: one after another, or fused, in lockstep.

    eval_examples: training examples between two evaluations; early_looks: so many more lie before the first (Plan.early).
    keep: steps at which a state must be left. fused: see trainables.fused, whose arithmetic rounds in its own way, but for
    each plan the same whoever else is in the cohort. stop: asked several times a second; when it says so, the training saves
    at its step and returns without having ended.

    Raises: StorageError if a state cannot be kept. What the task raises ends its plan as FAILED.
    """
    for together in [cohort] if fused else [[plan] for plan in cohort]:
        runs = []
        for plan in together:
            every, early = plan.every(eval_examples), plan.early(eval_examples, early_looks)
            runs.append(Run(workload, plan, checkpoints, every, early, frozenset(keep), device, stop))
        yield from _lockstep(runs, Fused if fused else Alone)
        if stop():
            return


class Alone:
    """A training by itself, as a company of one."""

    def __init__(self, lanes: Sequence[Trainable]):
        self.lanes = lanes

    def train(self, steps: int, rates: Sequence[float]) -> list[float]:
        return [float(lane.train(steps, rate)) for lane, rate in zip(self.lanes, rates)]

    def evaluate(self, place: int) -> Mapping[str, float]:
        """What is measured of the lane in this place."""
        return self.lanes[place].evaluate()

    def part(self) -> None:
        """Nothing to do: each has its tensors to itself."""


@dataclass(eq=False)
class Run:
    """One plan under way, until it has ended or stop says so.

    every: steps between evaluations; early: steps of those before the first of these. at: where it stands. begun: where it
    stood at first. ended: how, once it has, and error: why. fresh: points not yet reported. passing: the state that the next
    one makes superfluous. saving: seconds the last one took; unsaved: seconds of training since then.
    """

    workload: Workload
    plan: Plan
    checkpoints: Checkpoints
    every: int
    early: tuple[int, ...]
    keep: frozenset[int]
    device: str
    stop: Callable[[], bool]
    at: Checkpoint = Checkpoint(0, {})
    begun: int = 0
    trainable: Trainable | None = None
    ended: State | None = None
    error: str = ""
    fresh: list[Point] = field(default_factory=list)
    reported: float = 0.0
    passing: tuple[int, ...] = ()
    saving: float = 0.0
    unsaved: float = 0.0

    def begin(self) -> Progress:
        """Stand where the deepest state on the path is."""
        self.at = self.checkpoints.deepest(self.plan) or self.at
        self.begun, self.reported = self.at.step, time.monotonic()
        self.attempt(self._build if self.at.step < self.plan.steps else self._end)
        return Progress(self.plan, () if self._only_looks else self.at.points, self.begun)

    @property
    def _only_looks(self) -> bool:
        """Whether the plan only looks at the end of a training, which is what its points are about."""
        return isinstance(self.plan.finish, LOOKS)

    def _build(self) -> None:
        self.trainable = self.workload.trainable(self.plan, self.device)
        if self.begun:
            self.trainable.restore(self.at.state)
            self.at = replace(self.at, state={})  # which would be held until the end
        if getattr(self.plan.finish, "teachers", ()):
            self.trainable.enlist(self._others(self.plan.finish.teachers))

    def _end(self) -> None:
        if self._only_looks:
            if self.trainable is None:
                self._build()
            seen, end = self.trainable.finished(self._others(getattr(self.plan.finish, "members", ()))), self.at.points[-1]
            self.fresh = [replace(end, values={**end.values, **seen})]
        self.ended = State.COMPLETE

    def _others(self, plans: Sequence[Plan]) -> list[Trainable]:
        """Other trainings at their ends; one whose state is gone is trained once more."""
        others = []
        for plan in plans:
            at = self.checkpoints.deepest(plan)
            if at is None or at.step < plan.steps:
                self._train_again(plan)
                at = self.checkpoints.deepest(plan)
            others.append(self.workload.trainable(plan, self.device))
            others[-1].restore(at.state)
        return others

    def _train_again(self, plan: Plan) -> None:
        """Raises: TaskError if it does not come to its end; Interrupted if it was told to stop on the way."""
        every = plan.every(self.every * self.plan.batch_size)
        run = Run(self.workload, plan, self.checkpoints, every, (), self.keep, self.device, self.stop)
        for _ in _lockstep([run], Alone):
            pass
        if not run.ended:
            raise Interrupted
        if run.ended is not State.COMPLETE:
            gone = f"{self.plan.finish.words}: lr {plan.lr:g}, seed {plan.seed}, whose state was gone"
            why = f"{run.ended} when trained again: {last_line(run.error)}"
            raise TaskError(f"{gone}, {why}") from RuntimeError(run.error)

    def anew(self) -> "Run":
        """The same, to begin once more from its states."""
        return Run(self.workload, self.plan, self.checkpoints, self.every, self.early, self.keep, self.device, self.stop)

    def fail(self) -> None:
        """What the task has just raised ends this plan."""
        self.ended, self.error = State.FAILED, traceback.format_exc()

    def attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StorageError:
            raise
        except Interrupted:  # all that is left to do is to leave
            pass
        except (Exception, SystemExit):
            self.fail()

    def goal(self) -> int:
        """The next step at which there is something to do besides training."""
        wanted = [step for step in (*self.keep, *self.early) if step > self.at.step]
        return min((self.at.step // self.every + 1) * self.every, self.plan.steps, *wanted)

    def _due(self, step: int) -> bool:
        """Whether every path along here is evaluated at this step."""
        return step % self.every == 0 or step in self.early

    def advance(self, steps: int, loss: float, seconds: float) -> None:
        """It has been trained: so many steps at this mean loss."""
        total, count = self.at.partial
        partial = (total + loss * steps, count + steps)
        self.at = replace(self.at, step=self.at.step + steps, seconds=self.at.seconds + seconds, partial=partial)
        self.unsaved += seconds

    def arrive(self, evaluate: Callable[[], Mapping[str, float]]) -> None:
        """Evaluate, end and save, if this is where to."""
        step, end = self.at.step, self.at.step == self.plan.steps
        if self._due(step) or end:
            self._measure(evaluate)
            loss = self.fresh[-1].values["train_loss"]
            if not math.isfinite(loss):
                self.ended, self.error = State.DIVERGED, f"train loss is {loss} at step {step}"
                return
        elif step not in self.keep:
            return
        kept = end or step in self.keep or step % (self.every * FORK_EVERY) == 0
        if kept or self.unsaved > self.saving / SAVING_SHARE:
            self.save(kept)
        if end:
            self._end()

    def tell(self) -> Iterator[Progress]:
        """What there is to report, if it is time to."""
        if self.ended or (self.fresh and not self._only_looks and time.monotonic() - self.reported > REPORT_SECONDS):
            failpoint("plan.told")
            yield Progress(self.plan, tuple(self.fresh), self.begun, self.ended, self.error)
            self.fresh, self.reported = [], time.monotonic()

    def leave(self) -> Progress:
        """Save on the way, and report what is left to."""
        if self.at.step > self.begun:
            self.attempt(self.save)
        return Progress(self.plan, () if self._only_looks else tuple(self.fresh), self.begun, self.ended, self.error)

    def save(self, kept: bool = False) -> None:
        began = time.perf_counter()
        self.checkpoints.save(self.plan, replace(self.at, state=self.trainable.state()))
        self.checkpoints.drop(self.plan, set(self.passing) - {self.at.step})  # told to stop where it has just saved
        self.passing = () if kept else (self.at.step,)
        self.saving, self.unsaved = time.perf_counter() - began, 0.0

    def _measure(self, evaluate: Callable[[], Mapping[str, float]]) -> None:
        """Add the point where the training stands."""
        began = time.perf_counter()
        total, count = self.at.partial
        # Losses have no more digits than single precision; the rest would tell where the path was cut into pieces.
        loss = torch.tensor(total / count, dtype=torch.float32).item()
        measured = self._evaluated(evaluate, must=math.isfinite(loss))
        seconds = self.at.seconds + time.perf_counter() - began
        own = {"train_loss": loss, "lr": self.plan.at(self.at.step - 1)}
        point = Point(self.at.step, own | measured | own, seconds)
        self.fresh.append(point)
        # A plan's end between two regular evaluations is an extra point: whoever goes on from there counts from the regular one.
        partial = (0.0, 0) if self._due(self.at.step) else self.at.partial
        self.at = replace(self.at, points=(*self.at.points, point), seconds=seconds, partial=partial)

    def _evaluated(self, evaluate: Callable[[], Mapping[str, float]], must: bool) -> dict[str, float]:
        """What is measured now; nothing if it raises and need not: metrics of a diverged model often do.

        Raises: TaskError if the metric is not there.
        """
        try:
            measured = {name: float(value) for name, value in evaluate().items()}
        except Exception:
            if must:
                raise
            return {}
        name = self.workload.target.name
        if name not in measured:
            there = ", ".join(sorted(measured))
            raise TaskError(f"evaluate: expected the metric {name!r} among the results; there are: {there}")
        return measured


def _lockstep(runs: Sequence[Run], company: type[Alone] | type[Fused]) -> Iterator[Progress]:
    """Train all until they have ended or are to stop. Those furthest behind go on until they meet the next ones, and from
    there on together."""
    for run in runs:
        yield run.begin()
        yield from run.tell()
    pack, together, pace, apart = [], Alone([]), ASK_SECONDS, []
    while live := [run for run in runs if not run.ended and run not in apart]:
        if live[0].stop():
            for run in live:
                yield run.leave()
            return
        step = min(run.at.step for run in live)
        behind = [run for run in live if run.at.step == step]
        until = min([step + max(1, int(ASK_SECONDS / pace)), *(run.goal() if run in behind else run.at.step for run in live)])
        try:
            if behind != pack:
                together.part()
                pack, together = behind, company([run.trainable for run in behind])
            pace = _advance(pack, together, until)
        except (Exception, SystemExit) as error:
            if len(behind) > 1 and not isinstance(error, torch.OutOfMemoryError):
                apart += behind
                continue
            for run in behind:
                run.fail()
        for place, run in enumerate(behind):
            if not run.ended:
                run.attempt(partial(run.arrive, partial(together.evaluate, place)))
            yield from run.tell()
    for run in apart:  # one of them raised: it shows which when each goes by itself
        yield from _lockstep([run.anew()], company)


def _advance(pack: Sequence[Run], together: Alone | Fused, until: int) -> float:
    """Train these, which stand at one step, up to another. Seconds per step."""
    while (step := pack[0].at.step) < until:
        stretches = [next(run.plan.stretches(step, until)) for run in pack]
        steps = min(length for length, _ in stretches)
        began = time.perf_counter()
        losses = together.train(steps, [lr for _, lr in stretches])
        took = time.perf_counter() - began
        for run, loss in zip(pack, losses):
            run.advance(steps, loss, took / len(pack))
    return max(took / steps, 1e-7)
