"""What of a path do other trainers have words for? A warm-up, a stretch at one rate, a decay: each once or not at all."""

from dataclasses import dataclass, replace
from typing import Any

from studies.plan import Plan, Segment
from studies.schedule import Constant, Cosine, Exponential, Linear, Sqrt, Warmup

Glide = Linear | Cosine | Sqrt


class Unsayable(ValueError):
    """What a trainer cannot say, and why: a line."""


@dataclass(frozen=True)
class Phases:
    """A path as its phases.

    steps: all of it, in optimizer updates. lr: the rate at which it stays between the others. warmup: None if there is none.
    begin: the step of the first decayed rate, or the end. glide, drop: how it decays, from there to the end; None if not so.
    """

    steps: int
    lr: float
    warmup: Warmup | None
    begin: int
    glide: Glide | None
    drop: Exponential | None

    @property
    def first(self) -> float:
        """The rate of the first step of the warm-up."""
        return self.warmup.at(0) if self.warmup else self.lr

    @property
    def rise(self) -> int:
        """Updates from the first step to the one at which the rate is reached; 0 without a warm-up."""
        return self.warmup.over - 1 if self.warmup else 0

    @property
    def drops(self) -> list[int]:
        """The steps at which the rate drops."""
        return list(range(self.begin, self.steps, self.drop.interval)) if self.drop else []

    def rising(self, rise: int) -> "Phases":
        """The same phases, with another length of the warm-up."""
        return replace(self, warmup=self.warmup and self.warmup.model_copy(update={"over": rise + 1}))

    def to(self, steps: int) -> "Phases":
        """The same phases, the last one prolonged: a glide ends with the path."""
        glide = self.glide and self.glide.model_copy(update={"over": steps - self.begin})
        return replace(self, steps=steps, begin=self.begin if glide or self.drop else steps, glide=glide)


def phases(plan: Plan) -> tuple[Phases, tuple[str, ...]]:
    """The plan's phases, rates computed anew at every step; and, if that changes them, by how much.

    Raises: Unsayable if it has others.
    """
    rest, lr, warmup, decay = list(plan.segments), plan.lr, None, None
    if rest and isinstance(rest[0].rate, Warmup):
        warmup = rest.pop(0)
    if rest and isinstance(rest[0].rate, Constant):
        rest.pop(0)
    if rest and isinstance(rest[0].rate, Glide | Exponential):
        decay = rest.pop(0)
    if rest or not plan.segments:
        raise Unsayable("the path is not a warm-up, a constant rate and a decay, in this order")
    if any(segment.rate.lr != lr for segment in plan.segments):
        raise Unsayable("the rate jumps where one part of the schedule ends and the next begins")
    if warmup and isinstance(warmup.rate, Warmup) and warmup.steps < warmup.rate.over:
        raise Unsayable("the warm-up breaks off before it has reached its rate")
    if decay and isinstance(decay.rate, Glide) and decay.steps != decay.rate.over:
        raise Unsayable("the decay does not end with the path")
    stairs = [part for part in (warmup, decay) if part and part.rate.interval > 1 and not isinstance(part.rate, Exponential)]
    rise, glide, drop = (_smooth(part, kind) for part, kind in ((warmup, Warmup), (decay, Glide), (decay, Exponential)))
    begin = plan.steps - (decay.steps if decay else 0)
    return Phases(plan.steps, lr, rise, begin, glide, drop), tuple(map(_note, stairs))


def _smooth(segment: Segment | None, kind: Any) -> Any:
    """The segment's rate, if it is of this kind, computed at every step. (Drops are no computation.)"""
    if segment is None or not isinstance(segment.rate, kind):
        return None
    return segment.rate if kind is Exponential else segment.rate.model_copy(update={"interval": 1})


def _note(segment: Segment) -> str:
    rate, smooth = segment.rate, segment.rate.model_copy(update={"interval": 1})
    # within an interval they grow apart, as rates rise or fall all the way
    ends = (min(step + rate.interval, segment.steps) - 1 for step in range(0, segment.steps, rate.interval))
    apart = max(abs(rate.at(step) - smooth.at(step)) for step in ends)
    told = f"the {rate.shape} part is computed anew at every step, in the plan every {rate.interval}"
    return f"{told}: they differ by up to {apart:.3g}"
