"""Which learning rate does a step get? A pure function of the step, as a value.

Steps are optimizer updates, counted from 0 within a segment. A schedule is never an object that is advanced or
restored: training may stop and go on anywhere, and the rate of a step stays what it was.

What the texts (002, 003, 004) name is one of these, or a path of several: constant warm-up is a Constant at a low rate and then
what follows; gradual warm-up is Warmup; step decay is Exponential with an interval, exponential decay the same with interval 1;
fastText's lazy decay is Linear.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from studies.value import Count, NonNegative, Positive, Value


class _Schedule(Value):
    """A rate over the steps of one segment.

    lr: the rate the segment is named after, above 0: where a decay starts from, where a warm-up ends.
    interval: the rate is recomputed every so many steps, and constant in between.
    """

    lr: Positive
    interval: Count = 1

    def at(self, step: int) -> float:
        """The rate of update number `step` (from 0) of the segment."""
        return self._rate(step // self.interval * self.interval)

    def _rate(self, step: int) -> float:
        raise NotImplementedError

    def until(self, step: int) -> float:
        """The first step after `step` at which the rate may be another one."""
        return (step // self.interval + 1) * self.interval


class Constant(_Schedule):
    """The same rate at every step."""

    shape: Literal["constant"] = "constant"
    interval: Literal[1] = 1

    def _rate(self, step):
        return self.lr

    def until(self, step):
        return math.inf


class Warmup(_Schedule):
    """Gradual warm-up (Goyal et al. 2017, arXiv:1706.02677, 2.2): from `start` linearly up to `lr` in `over` steps."""

    shape: Literal["warmup"] = "warmup"
    start: NonNegative
    over: Count

    def _rate(self, step):
        return self.start + (self.lr - self.start) * min(1.0, (step + 1) / self.over)


class Linear(_Schedule):
    """fastText's lazy schedule: linearly from `lr` to `end` in `over` steps."""

    shape: Literal["linear"] = "linear"
    over: Count
    end: NonNegative = 0.0

    def _rate(self, step):
        return self.lr + (self.end - self.lr) * min(1.0, step / self.over)


class Exponential(_Schedule):
    """The classic decay: times `factor` every `interval` steps, the first time at the segment's first step."""

    shape: Literal["exponential"] = "exponential"
    factor: Annotated[float, Field(strict=True, gt=0, lt=1)]

    def _rate(self, step):
        return self.lr * self.factor ** (step // self.interval + 1)


class Cosine(_Schedule):
    """Half a cosine from `lr` to `end` in `over` steps (Loshchilov and Hutter 2016, arXiv:1608.03983, no restart)."""

    shape: Literal["cosine"] = "cosine"
    over: Count
    end: NonNegative = 0.0

    def _rate(self, step):
        return self.end + (self.lr - self.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.over)))


class Restarts(_Schedule):
    """Cosines from `lr` to `end`, each anew from the top: the first in `over` steps, each next one `growth` times as long
    (Loshchilov and Hutter 2016, arXiv:1608.03983, 3; text 002)."""

    shape: Literal["restarts"] = "restarts"
    over: Count
    growth: Count = 1
    end: NonNegative = 0.0

    def _rate(self, step):
        over = self.over
        if self.growth == 1:
            step %= over
        while step >= over:
            step, over = step - over, over * self.growth
        return self.end + (self.lr - self.end) * 0.5 * (1 + math.cos(math.pi * step / over))


class Sqrt(_Schedule):
    """The (1 - sqrt) cooldown (Haegele et al. 2024, arXiv:2405.18392): from `lr` to `end` in `over` steps."""

    shape: Literal["sqrt"] = "sqrt"
    over: Count
    end: NonNegative = 0.0

    def _rate(self, step):
        return self.end + (self.lr - self.end) * (1 - math.sqrt(min(1.0, step / self.over)))


Schedule = Annotated[Constant | Warmup | Linear | Exponential | Cosine | Restarts | Sqrt, Field(discriminator="shape")]
