"""How are values put into words? One place, so that page, terminal and figures say the same."""

import math
from collections.abc import Iterable, Sequence

from studies.plan import Plan
from studies.trial import State, Trial
from studies.words import besides, count, number, schedule
from studies.words import last_line as last_line

TWO_DIGITS = 3.55
"""Below this leading figure an uncertainty is told to two digits, from there on to one (the Particle Data Group's rule)."""


def measured(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """A value with its interval, all to the decimals that the interval's width is worth."""
    if value is None or interval is None:
        return number(value)
    told, low, high = interval_alike(value, interval)
    return f"{told} ({low} to {high})"


def interval_alike(value: float, interval: tuple[float, float] | None) -> list[str]:
    """A value and the ends of its interval, if it has one, as `measured` has them."""
    return alike((value, *(interval or ())), TWO_DIGITS)


def alike(values: Sequence[float], finer: float = 1.0) -> list[str]:
    """Values that are to be compared, to the same number of decimals: enough to tell them apart, at most four digits.

    finer: by so much less than their smallest gap is still told.
    """
    found = sorted({value for value in values if math.isfinite(value)})
    gaps = [after - before for before, after in zip(found, found[1:])]
    if not gaps:
        return [number(value) for value in values]
    largest = max(abs(found[0]), abs(found[-1]))
    decimals = min(math.ceil(-math.log10(min(gaps) / finer)), 3 - math.floor(math.log10(largest)))
    if decimals > 8 or largest >= 1e6:
        return [number(value) for value in values]
    return [f"{value:z,.{max(0, decimals)}f}" if math.isfinite(value) else number(value) for value in values]


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s" if seconds >= 10 else f"{seconds:.1f} s"


def plan(given: Plan) -> str:
    """The plan in a line."""
    parts = (f"lr {number(given.lr)}", f"batch size {given.batch_size:,}", f"momentum {number(given.momentum)}")
    return ", ".join((*parts, count(given.steps, "step"), " then ".join(given.optimizers), schedule(given), *besides(given)))


def brief(given: Plan) -> str:
    """What sets a plan apart from its neighbours in a stage, in few letters."""
    parts = [f"lr {number(given.lr)}", f"batch {given.batch_size:,}", f"m {number(given.momentum)}", schedule(given)]
    return ", ".join([*parts, *besides(given)])


def plain(text: str) -> str:
    """Text from elsewhere, for a terminal: without the codes that would move its cursor."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def states(trials: Iterable[Trial]) -> dict[State, int]:
    """How many trials are in which state; states without trials left out."""
    found = [trial.state for trial in trials]
    return {state: found.count(state) for state in State if state in found}
