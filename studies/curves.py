"""How is a curve read? The reading that needs nothing but the curve: a list of (step, value), in the order of steps."""

import math
from collections.abc import Sequence
from statistics import median

Curve = Sequence[tuple[int, float]]

FLAT = 0.02
"""A curve has converged when all but this share of its whole descent lies behind it: what is left is less than the eye
sees on a plot, and (method 004) less than the safety margin buys."""

HEALTHY = 1e-3
"""method/004's norm of an update over norm of the parameters (its 10^3 is a slip); a magnitude around it is healthy."""


def smooth(curve: Curve) -> list[tuple[int, float]]:
    """Running median of three: takes out single spikes (halves them at the ends, where there are two), keeps steps and edges.
    Values that are not finite are infinite."""
    values = [value if math.isfinite(value) else math.inf for _, value in curve]
    if len(values) > 1:
        inner = (sorted(three)[1] for three in zip(values, values[1:], values[2:]))  # as its median, in half of the time
        values = [median(values[:2]), *inner, median(values[-2:])]
    return [(step, value) for (step, _), value in zip(curve, values)]


def best_so_far(curve: Curve) -> list[tuple[int, float]]:
    """The lowest smoothed value up to each step."""
    lowest, low = [], math.inf
    for step, value in smooth(curve):
        low = min(low, value)
        lowest.append((step, low))
    return lowest


def settled(curve: Curve) -> int:
    """The first step at which all but FLAT of the descent lies behind; 0 for a curve without a finite value."""
    lowest = [(step, low) for step, low in best_so_far(curve) if math.isfinite(low)]
    if not lowest:
        return 0
    first, last = lowest[0][1], lowest[-1][1]
    return next(step for step, low in lowest if low <= last + FLAT * (first - last))


def tenth(evaluations: int) -> int:
    """So many evaluations are the end of a curve of that many: a tenth, three at least."""
    return max(3, evaluations // 10)
