"""What of a path do other trainers have words for? A warm-up, a stretch at one rate, a decay: each once or not at all."""

from dataclasses import dataclass, replace

from studies.plan import Plan, Segment
from studies.schedule import Constant, Cosine, Exponential, Linear, Sqrt, Warmup

Decay = Linear | Cosine | Sqrt | Exponential


class Unsayable(ValueError):
    """What a trainer cannot say, and why: a line."""


@dataclass(frozen=True)
class Phases:
    """A path as its phases.

    steps: all of it, in optimizer updates. lr: the rate at which it stays between the others. warmup: None if there is none.
    begin: the step of the first decayed rate; decay: None if there is none.
    """

    steps: int
    lr: float
    warmup: Warmup | None
    begin: int
    decay: Decay | None

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
        """The steps at which the rate drops by the decay's factor."""
        return list(range(self.begin, self.steps, self.decay.interval)) if isinstance(self.decay, Exponential) else []

    @property
    def glides(self) -> bool:
        """Whether there is a decay other than by drops."""
        return self.decay is not None and not isinstance(self.decay, Exponential)

    def to(self, steps: int) -> "Phases":
        """The same phases, the last one prolonged: a decay that glides ends with the path."""
        decay = self.decay.model_copy(update={"over": steps - self.begin}) if self.glides else self.decay
        return replace(self, steps=steps, begin=self.begin if decay else steps, decay=decay)


def phases(plan: Plan) -> tuple[Phases, tuple[str, ...]]:
    """The plan's phases, rates computed anew at every step; and, if that changes them, by how much.

    Raises: Unsayable if it has others.
    """
    rest, lr, warmup, decay = list(plan.segments), plan.lr, None, None
    if rest and isinstance(rest[0].rate, Warmup):
        warmup = rest.pop(0)
    if rest and isinstance(rest[0].rate, Constant):
        rest.pop(0)
    if rest and isinstance(rest[0].rate, Decay):
        decay = rest.pop(0)
    if rest or not plan.segments:
        raise Unsayable("the path is not a warm-up, a constant rate and a decay, in this order")
    if any(segment.rate.lr != lr for segment in plan.segments):
        raise Unsayable("the rate jumps where one part of the schedule ends and the next begins")
    if warmup and warmup.steps < warmup.rate.over:
        raise Unsayable("the warm-up breaks off before it has reached its rate")
    if decay and not isinstance(decay.rate, Exponential) and decay.steps != decay.rate.over:
        raise Unsayable("the decay does not end with the path")
    risen, fallen = (part and _every_step(part) for part in (warmup, decay))
    begin = plan.steps - (decay.steps if decay else 0)
    notes = [_note(old, new) for old, new in ((warmup, risen), (decay, fallen)) if old != new]
    return Phases(plan.steps, lr, risen and risen.rate, begin, fallen and fallen.rate), tuple(notes)


def _every_step(segment: Segment) -> Segment:
    """The segment with its rate computed at every step. (Drops are no computation.)"""
    if isinstance(segment.rate, Exponential):
        return segment
    return Segment(steps=segment.steps, rate=segment.rate.model_copy(update={"interval": 1}))


def _note(old: Segment, new: Segment) -> str:
    # within an interval they grow apart, as rates rise or fall all the way
    ends = (min(step + old.rate.interval, old.steps) - 1 for step in range(0, old.steps, old.rate.interval))
    apart = max(abs(old.rate.at(step) - new.rate.at(step)) for step in ends)
    shape, interval = old.rate.shape, old.rate.interval
    return f"the {shape} part is computed anew at every step, in the plan every {interval}: they differ by up to {apart:.3g}"
