"""How are a number, a schedule, a recipe, an error put into words? Here for all; `reports.words` has the rest."""

import math
import re

from studies.plan import Plan
from studies.schedule import Constant, Exponential, Restarts, Schedule, Warmup


def number(value: float | None, digits: int = 4) -> str:
    """So many significant digits, thousands set apart; a dash for what is not there or not finite."""
    if value is None or not math.isfinite(value):
        return "–"
    if (float(value).is_integer() and abs(value) < 1e15) or 1e3 <= abs(value) < 1e6:
        return f"{value:z,.0f}"
    return re.sub(r"e([+-])0*", lambda match: "e-" if match[1] == "-" else "e", f"{value:.{digits}g}")


def count(n: int, noun: str, nouns: str = "") -> str:
    return f"{n:,} {noun if n == 1 else nouns or f'{noun}s'}"


def schedule(plan: Plan) -> str:
    """How the rate goes: "constant", "linear to 0", "constant, x 0.5 every 500 from step 2,700"; of constant ones those that are
    not the plan's own by their values, as in a warm-up."""
    told, begin = [], 0
    for segment in plan.segments:
        at = f" at {number(segment.rate.lr)}" if isinstance(segment.rate, Constant) and segment.rate.lr != plan.lr else ""
        told.append(shape(segment.rate) + at + (f" from step {begin:,}" if begin else ""))
        begin += segment.steps
    return ", ".join(told) or "untrained"


def shape(rate: Schedule) -> str:
    if isinstance(rate, Constant):
        return "constant"
    if isinstance(rate, Exponential):
        return f"x {number(rate.factor)} every {rate.interval:,}"
    if isinstance(rate, Warmup):
        return f"warm-up from {number(rate.start)} over {count(rate.over, 'step')}"
    if isinstance(rate, Restarts):
        longer = f", each {rate.growth} times as long" if rate.growth > 1 else ""
        return f"cosines to {number(rate.end)} of {count(rate.over, 'step')}{longer}"
    return f"{rate.shape} to {number(rate.end)}"


def recipe(given: Plan) -> list[str]:
    """The parts that are on: "mixup 0.2", "flip 0.5"; and what is done at last: "fold 1 of 5"."""
    told = {name: [number(value) for _, value in part if type(value) in (int, float)] for name, part in given.recipe.parts()}
    return [*(" ".join([name, *values]) for name, values in told.items()), *([given.finish.words] if given.finish else [])]


def besides(given: Plan) -> list[str]:
    """What tells a plan from others of its rate, batch and schedule: its recipe, and its seed if that is not the first."""
    return [*recipe(given), *([f"seed {given.seed}"] if given.seed else [])]


def last_line(error: str) -> str:
    """Of a traceback, the line that names the exception, however many its message has; of any other text, the last."""
    _, frames, after = error.rpartition("Traceback (most recent call last):\n")
    lines = [line for line in after.splitlines() if line.strip()]
    raised = [line for line in lines if frames and not line[0].isspace()]
    return (raised or lines[-1:] or [""])[0].strip()
