"""How does a figure look? Ink, axes, limits that a diverged curve cannot crush, and labels that stand beside their curves."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, MaxNLocator

INK, SOFT, LINE, GROUND = "#1b2127", "#57616b", "#dfe3e7", "#ffffff"
WON, SECOND, THIRD, OTHER = "#0072b2", "#d55e00", "#009e73", "#9aa3ac"
"""Of the palette by Okabe and Ito (2008) that colour-blind readers can tell apart, and a grey."""
OF_THE_PAGE = {INK: "ink", SOFT: "soft", LINE: "line", GROUND: "panel", WON: "won", SECOND: "second", THIRD: "third"}
"""What the pages call these, of which they have a light and a dark version; nothing else in a figure may have these colours."""

WIDTH = 6.4
SMALL = 10.0
MOST_LABELS = 12
HUGE = 1e30
TITLE = "title"
"""The gid of a figure's title."""


@dataclass(frozen=True)
class End:
    """Where a curve ends, and what is written there, in data coordinates."""

    x: float
    y: float
    text: str
    colour: str = SOFT
    bold: bool = False


def canvas(title: str, heights: Sequence[float] = (4.0,)) -> tuple[Figure, list[Axes]]:
    """A figure of panels below each other (heights in inches) with a common x axis; the title says what is to be seen."""
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.2), layout="constrained", facecolor=GROUND)
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    for axes in panels:
        axes.set_facecolor(GROUND)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(LINE)
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=SOFT, labelsize=SMALL, length=0, which="both")
        axes.yaxis.label.set_color(SOFT)
        axes.xaxis.label.set_color(SOFT)
    text = panels[0].set_title(
        plain("\n".join(textwrap.wrap(title, 54))), loc="left", color=INK, fontsize=13, fontweight="bold", pad=12
    )
    text.set_gid(TITLE)
    return figure, panels


def steps_axis(axes: Axes, last: float, name: str = "steps") -> None:
    axes.set_xlim(0, max(last, 1))
    axes.set_xlabel(name, fontsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def value_axis(axes: Axes, name: str, logarithmic: bool) -> None:
    axes.set_ylabel(plain(f"{name}, log scale" if logarithmic else name), fontsize=SMALL)
    if not logarithmic:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low > 30:
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
        axes.yaxis.set_major_formatter(LogFormatterSciNotation() if low < 1e-3 or high > 1e4 else FuncFormatter(_plain))
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low > 3 else range(1, 10)))
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.minorticks_off()


def _plain(value: float, _: int) -> str:
    return f"{value:g}"


def plain(text: str) -> str:
    """A person's words, which matplotlib would read as mathematics between two dollars."""
    return text.replace("$", r"\$")


def drawable(values: pd.Series) -> pd.Series:
    """NaN where a value is none, or so large that an axis cannot count to it."""
    return values.where(values.abs() < HUGE)


def finite(values: Iterable[float]) -> np.ndarray:
    found = np.asarray(list(values), dtype=float)
    return found[np.abs(found) < HUGE]


def spans(curves: Sequence[np.ndarray]) -> bool:
    """The values are positive and differ by a factor of five or more: a logarithmic scale shows them best."""
    values = finite(np.concatenate(curves)) if len(curves) else np.array([])
    return bool(len(values) and values.min() > 0 and values.max() / values.min() >= 5)


def limits(curves: Sequence[np.ndarray], logarithmic: bool) -> tuple[float, float] | None:
    """Around what sound curves do, so that one which flies off leaves the picture instead of flattening the rest.

    The top of a loss is where its curves start from (their median times three), or the highest value if that is lower.
    None: nothing finite to be seen.
    """
    sound = [values for values in map(finite, curves) if len(values)]
    if logarithmic:
        sound = [values for values in (values[values > 0] for values in sound) if len(values)]
    if not sound:
        return None
    low, high = min(values.min() for values in sound), max(values.max() for values in sound)
    if logarithmic:
        start = float(np.median([values[0] for values in sound]))
        high = min(high, max(3 * start, low * 2))
        return max(low, high / HUGE) / 1.25, high * 1.25
    everything = np.concatenate(sound)
    inner = np.quantile(everything, [0.02, 0.98])
    reach = 2 * (inner[1] - inner[0])
    low, high = max(low, inner[0] - reach), min(high, inner[1] + reach)
    pad = 0.06 * (high - low) or abs(high) * 0.05 or 1.0
    return low - pad, high + pad


def label_ends(axes: Axes, ends: Sequence[End], height: float) -> None:
    """Write beside each curve's end what it is; labels that would lie on each other are moved apart.

    Call when the limits are set. The first of the ends are the most important: beyond MOST_LABELS the others have none.
    """
    line, letter = 1.28 * SMALL / (72 * height * 0.8), 0.66 * SMALL / (72 * WIDTH * 0.8)
    to_axes = axes.transData + axes.transAxes.inverted()
    labels = []
    for end in ends[:MOST_LABELS]:
        x, y = to_axes.transform((end.x, end.y))
        x = min(x, 1.0) + 0.012
        labels.append((x, x + letter * len(end.text), float(np.clip(y if math.isfinite(y) else 1, 0.02, 0.97)), end))
    for group in _crowds(labels):
        for (x, _, _, end), y in zip(group, apart([y for _, _, y, _ in group], line)):
            weight = "bold" if end.bold else "normal"
            where = {"transform": axes.transAxes, "va": "center", "ha": "left", "zorder": 40}
            axes.text(x, y, end.text, color=end.colour, fontsize=SMALL, fontweight=weight, **where)


def _crowds(labels: list[tuple[float, float, float, End]]) -> list[list[tuple[float, float, float, End]]]:
    """Labels (left, right, height, what) in groups that share a stretch of the x axis."""
    groups: list[list[tuple[float, float, float, End]]] = []
    right = -math.inf
    for label in sorted(labels, key=lambda label: label[0]):
        if label[0] < right:
            groups[-1].append(label)
        else:
            groups.append([label])
        right = max(right, label[1]) if label[0] < right else label[1]
    return groups


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near the wanted ones (fractions of a height), at least a gap from each other as far as the height allows."""
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, 1 / max(len(wanted), 1))
    placed = np.asarray(wanted, dtype=float)[order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    over = max(0.0, placed[-1] - 1.0) if len(placed) else 0.0
    if len(placed):
        placed[-1] -= over
    for i in range(len(placed) - 2, -1, -1):
        placed[i] = min(placed[i], placed[i + 1] - gap)
    result = np.empty_like(placed)
    result[order] = placed
    return result.tolist()
