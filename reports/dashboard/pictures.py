"""How do figures reach a page? Drawn as SVG, one at a time."""

import io
import math
import threading

from matplotlib import rc_context
from matplotlib.figure import Figure

from studies.trial import Metric, Trial

_DRAWING = threading.Lock()
"""matplotlib is not made for several threads."""


def svg(figure: Figure) -> bytes:
    """The figure as SVG: text as text, no date, so that equal figures are equal bytes."""
    out = io.BytesIO()
    with _DRAWING, rc_context({"svg.fonttype": "none", "svg.hashsalt": "dashboard"}):
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    return out.getvalue()


def names(trial: Trial, metric: Metric) -> list[str]:
    """What was measured along a trial: the deciding metric first, then in the order of their first appearance."""
    found = dict.fromkeys(name for point in trial.points for name in point.values)
    first = [metric.name] if metric.name in found else []
    return first + [name for name in found if name not in first]


def curve(trial: Trial, name: str) -> Figure:
    """One value of a trial over its steps, what was shared in grey; on a logarithmic scale where it spans two decades or more."""
    figure = Figure(figsize=(5.5, 2.8), layout="constrained")
    axes = figure.add_subplot()
    measured = [(step, value) for step, value in trial.curve(name) if math.isfinite(value)]
    values = [value for _, value in measured]
    axes.plot([step for step, _ in measured], values, color="#0b5cad", linewidth=1.5)
    if values and min(values) > 0 and max(values) / min(values) >= 100:
        axes.set_yscale("log")
    if trial.begun:
        axes.axvspan(0, trial.begun, color="#57616b", alpha=0.12, linewidth=0, label="shared with another trial")
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlim(0, max(trial.plan.steps, 1))
    axes.set_xlabel("steps")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
