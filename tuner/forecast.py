"""What will it cost? The most that each stage can want, at the speed that a few real steps show."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from studies.decision import Decision
from studies.plan import Plan, constant, distinct_steps
from trainables.machine import count
from trainables.trainable import Workload
from tuner.settings import Settings

PROBED_STEPS = 10
SETTLED_SHARE = 0.5
"""Of its longest path, where stage 1 is not decided yet: about where curves have converged, with the margin."""


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
    its speed), else one on each core; so many processes and threads each."""
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
    measuring: float = math.inf,
) -> list[Forecast]:
    """The stages that are still to come, in order; those decided already cost nothing more.

    settings: resolved. start: what the first stage starts from. Trains a few steps at each batch
    size, evaluates once, and throws it away.
    measuring: seconds after which no further batch size is tried; its steps then count by their examples.
    """
    until = time.monotonic() + measuring
    workers = at_a_time(settings, device)
    winners = {decision.stage: decision.winner for decision in decided}
    plan, told, speeds = start, [], {}
    for name in settings.stages:
        if name in winners:
            plan = winners[name]
            continue
        most = settings.stage(name, workload).most(plan)
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
        plan = plan if plan.segments else constant(plan, settings.lrs[0], max(1, int(SETTLED_SHARE * settings.max_steps)))
    return told


def _seconds_per_step(settings: Settings, workload: Workload, plan: Plan, device: str) -> float:
    """A step, with its share of an evaluation."""
    trainable = workload.trainable(plan, device)
    trainable.train(2, min(settings.lrs))  # the first steps set up memory and kernels
    step = _timed(lambda: trainable.train(PROBED_STEPS, min(settings.lrs))) / PROBED_STEPS
    return step + _timed(trainable.evaluate) / plan.every(settings.eval_examples)


def _timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
