"""How does a figure get into a browser? As what is drawn in it: lines, bands and words, which the browser draws anew.

So a chart shows what the report's figure shows, and tells beside it which trial is under the mouse. Colours of the page go by
their names, for the reader's colour scheme; numbers have five digits, which is more than a screen has pixels.
"""

import logging
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator

from reports import words
from reports.drawing import OF_THE_PAGE, SECOND, SOFT, WON, canvas, limits, steps_axis, value_axis
from reports.figures import CAPTIONS, figures
from reports.stages import StageResults
from studies.plan import Plan
from studies.trial import Trial

log = logging.getLogger(__name__)

UPRIGHT = {"center": "middle", "baseline": "bottom"}
"""matplotlib's words for where a text is held, in Plotly's."""
RATE_POINTS = 300

DRAWING = threading.Lock()
"""matplotlib is not made for several threads."""

Chart = dict[str, Any]
"""name, title, caption; panels, below each other on one x axis, each with its axes, lines, bands and words; rows: the same as a
table."""


def stage_charts(stage: StageResults) -> list[Chart]:
    """Every figure of a stage; none, and a traceback in the server's log, if they cannot be drawn."""
    with DRAWING:
        try:
            return [chart(name, figure, CAPTIONS[name]) for name, figure in figures(stage).items()]
        except Exception:
            log.exception("the figures of %s cannot be drawn", stage.name)
            return []


def trial_charts(trial: Trial, measured: Sequence[str]) -> list[Chart]:
    """Each value of a trial over its steps, what was shared shaded, and the rate that its plan gives to each step."""
    with DRAWING:
        curves = [chart(name, _curve(trial, name)) for name in measured if name != "lr"]
        return [*curves, chart("lr", _rate(trial.plan))] if trial.plan.steps else curves


def _curve(trial: Trial, name: str) -> Figure:
    """On a logarithmic scale where the value spans two decades or more."""
    points = [(step, value) for step, value in trial.curve(name) if math.isfinite(value)]
    steps, values = [step for step, _ in points], [value for _, value in points]
    figure, [axes] = canvas(name.replace("_", " "), [2.6])
    logarithmic = bool(values) and min(values) > 0 and max(values) / min(values) >= 100
    axes.plot(steps, values, color=WON, linewidth=1.8, marker="o" if len(steps) == 1 else None, label=name)
    axes.set_ylim(*(limits([np.asarray(values)], logarithmic) or (0, 1)))
    value_axis(axes, "", logarithmic)
    axes.set_ylabel("log scale" if logarithmic else "")
    if not values:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no finite value", color=SOFT, ha="center", va="center", transform=axes.transAxes)
    if trial.begun:
        axes.axvspan(0, trial.begun, color=SECOND, alpha=0.1, linewidth=0)
    steps_axis(axes, trial.plan.steps)
    return figure


def _rate(plan: Plan) -> Figure:
    figure, [axes] = canvas("learning rate, as planned", [2.6])
    steps = np.unique(np.linspace(0, plan.steps - 1, RATE_POINTS).astype(int)).tolist()
    rates = [plan.at(step) for step in steps]
    axes.plot([*steps, plan.steps], [*rates, rates[-1]], color=WON, linewidth=1.8, drawstyle="steps-post", label="lr")
    axes.set_ylim(0, 1.1 * max(rates))
    value_axis(axes, "", False)
    steps_axis(axes, plan.steps)
    return figure


def chart(name: str, figure: Figure, caption: str = "") -> Chart:
    """What is drawn in a figure. A line's label says what it is, and whose: "0.1, trial 3"."""
    title = plain(figure.axes[0].get_title(loc="left").replace("\n", " "))
    panels = [_panel(axes, height) for axes, height in zip(figure.axes, _heights(figure))]
    rows = [_row(line) for line in reversed(panels[0]["lines"]) if line["label"]]
    return {"name": name, "title": title, "caption": caption, "panels": panels, "rows": rows}


def _row(line: dict[str, Any]) -> dict[str, Any]:
    """Where a curve ends; what is said of a cell."""
    label, _, told = line["label"].partition(": ")
    if line["marker"] and told:
        return {"label": label, "trial": None, "told": told}
    return {"label": line["label"], "trial": line["trial"], "at": line["x"][-1], "value": line["y"][-1]}


def _heights(figure: Figure) -> list[float]:
    ratios = np.asarray(figure.axes[0].get_gridspec().get_height_ratios()).tolist()
    return [figure.get_size_inches()[1] * ratio / sum(ratios) for ratio in ratios]


def _panel(axes: Axes, height: float) -> dict[str, Any]:
    return {
        "height": round(72 * height),
        "x": _axis(axes.get_xlabel(), axes.get_xscale(), axes.get_xlim(), axes.xaxis),
        "y": _axis(axes.get_ylabel(), axes.get_yscale(), axes.get_ylim(), axes.yaxis),
        "lines": [
            *(_line(axes, line) for line in sorted(axes.lines, key=Artist.get_zorder) if np.size(line.get_xdata())),
            *(_spot(patch) for patch in axes.patches if isinstance(patch, Rectangle) and _labelled(patch)),
        ],
        "bands": [_band(axes, patch) for patch in axes.patches if isinstance(patch, Rectangle)],
        "words": [_words(axes, text) for text in axes.texts if text.get_text()],
    }


def _axis(name: str, scale: str, shown: tuple[float, float], axis: Any) -> dict[str, Any]:
    locator, told = axis.get_major_locator(), axis.get_major_formatter()
    named = isinstance(locator, FixedLocator)
    ticks = [(plainly(place), told(place, i)) for i, place in enumerate(locator.locs)] if named else None
    return {"name": plain(name), "log": scale == "log", "shown": [plainly(end) for end in shown], "ticks": ticks}


def _line(axes: Axes, line: Line2D) -> dict[str, Any]:
    across, up = _frame(axes, line)
    steps, values = _numbers(line.get_xdata()), _numbers(line.get_ydata())
    return {
        "x": steps,
        "y": values,
        "in": [across, up],
        "colour": _colour(line.get_markerfacecolor() if np.size(line.get_xdata()) == 1 else line.get_color()),
        "edge": _colour(line.get_markeredgecolor()),
        "size": line.get_markersize(),
        "rim": line.get_markeredgewidth(),
        "width": line.get_linewidth(),
        "dashed": line.get_linestyle() == "--",
        "stepped": line.get_drawstyle() == "steps-post",
        "opacity": 1 if line.get_alpha() is None else line.get_alpha(),
        "marker": None if line.get_marker() in ("None", None, "") else line.get_marker(),
        **_named(line),
    }


def _spot(patch: Rectangle) -> dict[str, Any]:
    """What a cell says when the mouse is over it."""
    x, y = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
    place = {"x": [plainly(x)], "y": [plainly(y)], "in": ["data", "data"], "marker": "s", "size": 40, "rim": 0, "opacity": 0}
    return {**place, "colour": "soft", "edge": "line", "width": 0, "dashed": False, "stepped": False, **_named(patch)}


def _band(axes: Axes, patch: Rectangle) -> dict[str, Any]:
    (left, below), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
    filled = patch.get_fill()
    return {
        "x": [plainly(left), plainly(left + width)],
        "y": [plainly(below), plainly(below + height)],
        "in": _frame(axes, patch),
        "fill": _colour(patch.get_facecolor()) if filled else None,
        "opacity": (1 if patch.get_alpha() is None else patch.get_alpha()) if filled else 1,
        "edge": None if filled else _colour(patch.get_edgecolor()),
        "width": 0 if filled else patch.get_linewidth(),
    }


def _words(axes: Axes, text: Text) -> dict[str, Any]:
    if isinstance(text, Annotation):
        (x, y), shift = text.xy, text.xyann
        frame = ["data", "data"] if text.xycoords == "data" else _frame_of(axes, text.xycoords)
    else:
        (x, y), shift, frame = text.get_position(), (0, 0), _frame(axes, text)
    return {
        "x": plainly(x),
        "y": plainly(y),
        "in": frame,
        "shift": list(shift),
        "text": plain(text.get_text()),
        "colour": _colour(text.get_color()),
        "bold": text.get_fontweight() == "bold",
        "ground": text.get_bbox_patch() is not None,
        "anchor": [text.get_horizontalalignment(), UPRIGHT.get(text.get_verticalalignment(), text.get_verticalalignment())],
    }


def _frame(axes: Axes, artist: Artist) -> list[str]:
    return _frame_of(axes, Artist.get_transform(artist))


def _frame_of(axes: Axes, transform: Any) -> list[str]:
    """What x and y are given in: "data", or "part" of the axes' width and height."""
    if transform is axes.transAxes:
        return ["part", "part"]
    if transform is axes.get_xaxis_transform():
        return ["data", "part"]
    if transform is axes.get_yaxis_transform():
        return ["part", "data"]
    return ["data", "data"]


def _labelled(artist: Artist) -> bool:
    """matplotlib calls what has no name "_child3"."""
    return bool(artist.get_label()) and not str(artist.get_label()).startswith("_")


def _named(artist: Artist) -> dict[str, Any]:
    label, _, trial = plain(str(artist.get_label())).partition(", trial ")
    return {"label": label if _labelled(artist) else "", "trial": int(trial) if trial.isdecimal() else None}


def _colour(colour: Any) -> str:
    found = to_hex(colour)
    return OF_THE_PAGE.get(found, found)


def _numbers(values: Any) -> list[float | None]:
    return [plainly(value) for value in np.asarray(values, dtype=float).tolist()]


def plainly(value: float) -> float | None:
    """To five digits; None for what JSON has no word for."""
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else float(f"{value:.5g}")


def plain(text: str) -> str:
    """Without what keeps matplotlib from reading mathematics."""
    return words.plain(text.replace(r"\$", "$"))
