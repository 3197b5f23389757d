"""What was measured, against whom, and was the goal reached?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


class Absent(Exception):
    """Something that a benchmark needs is not here; the message says what."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    ours, peer: what each run gave, in `unit` (peer: () where the goal is absolute). figures: what is held against the goal,
    one a pair of runs; their median decides. limit: the goal is an upper one. scale: what the figures are written in.
    note: what a reader should know beside it. goal: None where the line is only told.
    """

    what: str
    ours: Sequence[float]
    peer: Sequence[float]
    figures: Sequence[float]
    goal: float | None
    unit: str = ""
    scale: str = "x"
    limit: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        middle = median(self.figures)
        return middle <= self.goal if self.limit else middle >= self.goal

    def cells(self) -> tuple[str, ...]:
        middle, low, high = (_shown(pick(self.figures)) for pick in (median, min, max))
        ratio = f"{middle}{self.scale} ({len(self.figures)}: {low}-{high})"
        goal = "" if self.goal is None else f"{'<=' if self.limit else '>='} {_shown(self.goal)}{self.scale}"
        verdict = {True: "reached", False: "MISSED", None: "told"}[self.reached]
        sides = (f"{_shown(median(side))}{self.unit}" if side else "" for side in (self.ours, self.peer))
        return (self.what, *sides, ratio, goal, verdict)


@dataclass(frozen=True)
class Result:
    """What one benchmark has to say."""

    figures: tuple[Figure, ...]


def less(what: str, ours: Sequence[float], peer: Sequence[float], goal: float | None, unit: str = "", note: str = "") -> Figure:
    """Ours is to be so many times less than the peer's; run by run."""
    ratios = [theirs / mine if mine > 0 else math.inf for mine, theirs in zip(ours, peer)]
    return Figure(what, ours, peer, ratios, goal, unit, note=note)


def under(what: str, ours: Sequence[float], goal: float, unit: str, note: str = "") -> Figure:
    """Ours is to be no more than an absolute figure."""
    return Figure(what, ours, (), ours, goal, unit, unit, limit=True, note=note)


HEAD = ("what", "ours", "peer", "ratio: median (runs: range)", "goal", "")


def table(results: dict[str, Result | str]) -> str:
    """As text; a string in place of a result says why there is none."""
    rows, notes = [HEAD], []
    for name, result in results.items():
        if isinstance(result, str):
            rows.append((name, "", "", "", "", f"skipped: {result}"))
            continue
        rows += [figure.cells() for figure in result.figures]
        notes += [f"{figure.what}: {figure.note}" for figure in result.figures if figure.note]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD) - 1)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]).rstrip() for row in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
