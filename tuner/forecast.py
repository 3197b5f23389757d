"""What will it cost? The most that each stage can want, at the speed that a few real steps show."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from studies.decision import Decision
from studies.plan import Plan, distinct_steps
from studies.trial import Trial
from studies.wish import WishRecord
from trainables.machine import count
from trainables.task import blamed
from trainables.trainable import Workload
from tuner.settings import Settings
from tuner.stages.asked import heed
from tuner.stages.stage import Results, Search

PROBED_STEPS = 10


@dataclass(frozen=True)
class Forecast:
    """One stage at most. steps: shared beginnings counted once; seconds: of training, divided among the workers."""

    stage: str
    trials: int
    steps: int
    examples: int
    seconds: float

    @property
    def device_hours(self) -> float:
        return self.seconds / 3600


def at_a_time(settings: Settings, device: str) -> int:
    """Trials that are trained at full speed together, on this machine: one on each GPU, where there are any (more of them share
    its speed), else one on each core; so many processes and threads each. In one process, one."""
    if settings.runner == "serial":
        return 1
    if device == "cuda":
        room = max(1, count(device) // settings.processes)
        return min(settings.workers or room, room)
    return settings.workers or max(1, count(device) // (settings.threads * settings.processes))


def forecast(
    settings: Settings,
    workload: Workload,
    device: str,
    start: Plan,
    decided: Sequence[Decision] = (),
    trials: Mapping[str, Sequence[Trial]] = MappingProxyType({}),
    wishes: Sequence[WishRecord] = (),
    measuring: float = math.inf,
) -> list[Forecast]:
    """The stages that are still to come, in order; those that are decided and want nothing new cost nothing more.

    settings: resolved. start: what the first stage starts from; the next one after a stage that is still to come starts from the
    longest plan that may win there. trials: by stage, those there are of the task as it is; wishes: what people asked for.
    Trains a few steps at each batch size, evaluates once, and throws it away.
    measuring: seconds after which no further batch size is tried; its steps then count by their examples.
    """
    until = time.monotonic() + measuring
    workers = at_a_time(settings, device)
    winners = {decision.stage: decision.winner for decision in decided}
    plan, told, speeds = start, [], {}
    for name in settings.stages:
        stage = heed(settings.stage(name, workload), wishes)
        if not told and name in winners and _over(stage, plan, trials.get(name, ())):
            plan = winners[name]
            continue
        most = stage.most(plan)
        groups = {size: [p for p in most if p.batch_size == size] for size in {p.batch_size for p in most}}
        for size in sorted(groups.keys() - speeds.keys()):
            if speeds and time.monotonic() > until:
                near = min(speeds, key=lambda known: abs(math.log(known / size)))
                speeds[size] = speeds[near] * size / near
            else:
                speeds[size] = _seconds_per_step(settings, workload, groups[size][0], device)
        steps = {size: distinct_steps(plans) for size, plans in groups.items()}
        seconds = sum(speeds[size] * count for size, count in steps.items()) / workers
        told.append(Forecast(name, len(most), sum(steps.values()), sum(size * n for size, n in steps.items()), seconds))
        plan = max(most, key=lambda one: one.steps).but(seed=plan.seed)
    return told


def _over(stage: Search, start: Plan, trials: Sequence[Trial]) -> bool:
    """Whether it wants nothing that is not there."""
    results = Results(trials)
    return all(results.of(plan) for plan in stage.wants(start, trials))


def _seconds_per_step(settings: Settings, workload: Workload, plan: Plan, device: str) -> float:
    """A step, with its share of an evaluation."""
    with blamed(f"--task {settings.task}"):
        trainable = workload.trainable(plan, device)
        trainable.train(2, min(settings.lrs))  # the first steps set up memory and kernels
        step = _timed(lambda: trainable.train(PROBED_STEPS, min(settings.lrs))) / PROBED_STEPS
        return step + _timed(trainable.evaluate) / plan.every(settings.eval_examples)


def _timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
