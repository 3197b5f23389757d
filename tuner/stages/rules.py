"""How are curves read to decide? Pure functions of trials, and of their curves (studies.curves)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from studies.curves import Curve, best_so_far, settled, smooth, tenth
from studies.trial import Metric, Trial

MARGIN = 1.5
"""The safety margin of method 004: converged at 4,000, so train 6,000."""

DEPTH = 0.25
"""A loss curve counts as deep if it has made all but this share of the deepest one's descent: its shape is as good, and
validation decides. Tighter, the deepest loss alone would decide, and on recorded sweeps that names the wrong rate one time in
six; where a task overfits, nearly always."""

CONFIDENCE = 0.95


def descending(metric: Metric, curve: Curve) -> list[tuple[int, float]]:
    """A curve of the metric as one that falls when it gets better."""
    return [(step, -value if metric.mode == "max" else value) for step, value in curve]


def convergence(metric: Metric, trial: Trial) -> int:
    """The step at which both the training loss and the validation have settled (method 004: the loss curve decides, and
    validation watches); where validation gets worse again, at which it was best: there is nothing to wait for after that."""
    validated = settled(descending(metric, trial.curve(metric.name)))
    return validated if overfits(metric, trial) else max(settled(trial.curve("train_loss")), validated)


def overfits(metric: Metric, trial: Trial) -> bool:
    """Whether validation has become worse since its best, by more than two standard errors of the difference."""
    lost = metric.gain(height(metric, trial), late(metric, trial))
    return lost > 2 * math.hypot(uncertainty(metric, trial), uncertainty(metric, trial))


def with_margin(step: float, every: int) -> int:
    """`step` with the safety margin, rounded up to whole evaluation intervals of `every` steps."""
    return max(1, math.ceil(step * MARGIN / every - 1e-9)) * every


def late(metric: Metric, trial: Trial) -> float:
    """The metric at the end of a single run, as the median of the last tenth of its evaluations (three at least): the last
    value alone is a draw. NaN if it was not measured."""
    values = [value for _, value in trial.curve(metric.name)]
    return median(values[-tenth(len(values)) :]) if values else math.nan


def height(metric: Metric, trial: Trial) -> float:
    """What a single run is worth: `late`, wherever along the path it was best (training past that is cut off later)."""
    values = [value if math.isfinite(value) else _worst(metric) for _, value in trial.curve(metric.name)]
    width = tenth(len(values))
    stretches = [median(values[i : i + width]) for i in range(max(1, len(values) - width + 1))] if values else []
    return min(stretches, key=lambda value: better(metric, value), default=math.nan)


def _worst(metric: Metric) -> float:
    return -math.inf if metric.mode == "max" else math.inf


def uncertainty(metric: Metric, trial: Trial) -> float:
    """Standard error of `late`: that of a median, 1.25 times that of a mean."""
    evaluations = len(trial.curve(metric.name))
    return 1.25 * wobble(metric, trial) / math.sqrt(min(tenth(evaluations), max(1, evaluations)))


def wobble(metric: Metric, trial: Trial) -> float:
    """Standard deviation of one evaluation around its neighbours, over the last third of the path: the noise that a
    single run shows. From second differences (their variance is 6 times that of the values), so that a trend is none."""
    values = [v for s, v in trial.curve(metric.name) if s > trial.last * 2 / 3 and math.isfinite(v)]
    bends = [a - 2 * b + c for a, b, c in zip(values, values[1:], values[2:])]
    return math.sqrt(fmean(bend * bend for bend in bends) / 6) if bends else 0.0


def deep(metric: Metric, trials: Sequence[Trial], field: Sequence[Trial] = ()) -> list[Trial]:
    """Those whose training loss fell (nearly) as deep as the deepest; the best validating first. Whose validation is seldom a
    number is no rival, unless nobody's is one.

    field: others that began with them. Whoever stands highest at its first evaluation tells where the descent began: by then
    a good one has much of it behind.
    """
    trials = [trial for trial in trials if math.isfinite(height(metric, trial))] or trials
    falls = [best_so_far(trial.curve("train_loss")) for trial in trials]
    deepest = min(fall[-1][1] for fall in falls)
    firsts = [loss for trial in (*trials, *field) if not trial.broken for _, loss in trial.curve("train_loss")[:1]]
    highest = max([deepest, *filter(math.isfinite, firsts)])  # where every loss rose, the deepest is the highest, too
    screened = [trial for trial, fall in zip(trials, falls) if fall[-1][1] <= deepest + DEPTH * (highest - deepest)]
    return sorted(screened, key=lambda trial: (*better(metric, height(metric, trial)), trial.number))


def level(metric: Metric, ranked: Sequence[Trial]) -> list[Trial]:
    """Of trials ranked by validation, the first and those that a single run cannot tell from it: less than two standard
    errors of the difference behind."""
    best = ranked[0]

    def apart(trial: Trial) -> float:
        return metric.gain(height(metric, best), height(metric, trial)) - 2 * math.hypot(
            uncertainty(metric, best), uncertainty(metric, trial)
        )

    return [trial for trial in ranked if trial is best or apart(trial) <= 0]


def better(metric: Metric, value: float) -> tuple[bool, float]:
    """A sort key that puts the best value first and what is not finite last."""
    return (False, -metric.gain(value, 0.0)) if math.isfinite(value) else (True, 0.0)


def peak(metric: Metric, trials: Sequence[Trial]) -> int:
    """The step at which the validation, smoothed and averaged over the trials (seeds) of one plan, is best; on a plateau, the
    last one that a single evaluation of each could not tell from the best (one standard error of the difference)."""
    curves = [dict(smooth(descending(metric, trial.curve(metric.name)))) for trial in trials]
    means = {step: fmean(curve[step] for curve in curves) for step in set.intersection(*map(set, curves))}
    error = math.sqrt(2) * math.hypot(*(wobble(metric, trial) for trial in trials)) / len(trials)
    return max(step for step, mean in means.items() if mean <= min(means.values()) + error)


@dataclass(frozen=True)
class Sample:
    """The metric of one plan over seeds. values: one a seed, in the order of the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, self.values)) and bool(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % for the mean (Student's t); None with fewer than two seeds."""
        n = len(self.values)
        if n < 2 or not self.finite:
            return None
        half = quantile(n - 1) * math.sqrt(_variance(self.values) / n)
        return (self.mean - half, self.mean + half)


def _variance(values: Sequence[float]) -> float:
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


@dataclass(frozen=True)
class Noise:
    """What seeds alone do to a value. deviation: its standard deviation; freedom: the degrees of that."""

    deviation: float
    freedom: float

    def error(self, one: Sample, other: Sample) -> float:
        """The standard error of the difference between the means of two samples."""
        return self.deviation * math.sqrt(1 / len(one.values) + 1 / len(other.values))

    def reach(self, one: Sample, other: Sample) -> float:
        """The difference between their means that seeds alone exceed once in twenty times (Student's t)."""
        return quantile(self.freedom) * self.error(one, other)


def noise(samples: Sequence[Sample]) -> Noise | None:
    """Pooled over all samples, which a few seeds each need; None if no sample has two seeds."""
    many = [sample.values for sample in samples if len(sample.values) > 1 and sample.finite]
    if not many:
        return None
    freedom = sum(len(values) - 1 for values in many)
    return Noise(math.sqrt(sum(_variance(values) * (len(values) - 1) for values in many) / freedom), freedom)


def quantile(freedom: float) -> float:
    """Student's t within which the mean of CONFIDENCE of all samples lies."""
    from scipy.special import stdtrit  # half a second, for which the first training step does not wait

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
