"""How do figures reach a page? As SVG, in the light and in the dark, drawn one at a time."""

import hashlib
import io
import logging
import math
import threading
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from reports.drawing import GROUND, INK, LINE, SECOND, SOFT, WON, canvas, limits, steps_axis, value_axis
from reports.figures import CAPTIONS, figures
from reports.stages import StageResults
from studies.trial import Trial

log = logging.getLogger(__name__)

IN_THE_DARK = {INK: "#e5e9ed", SOFT: "#9ba7b3", LINE: "#2e363e", GROUND: "#1a1f24"}
"""What the page's own colours are there; those of the curves read on both."""

_DRAWING = threading.Lock()
"""matplotlib is not made for several threads."""


@dataclass(frozen=True)
class Picture:
    """title: what is to be seen; caption: how to read it; svg: its file; digest: changes with the file."""

    title: str
    caption: str
    svg: bytes
    digest: str


def picture(figure: Figure, caption: str = "") -> Picture:
    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "dashboard", "font.family": ["system-ui", "sans-serif"]}):
        figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = shaded(out.getvalue())
    title = figure.axes[0].get_title(loc="left").replace("\n", " ").replace("\\$", "$")
    return Picture(title, caption, svg, hashlib.sha256(svg).hexdigest()[:12])


def shaded(svg: str) -> bytes:
    """The picture following the reader's colour scheme."""
    light, dark = "", ""
    for place, (colour, other) in enumerate(IN_THE_DARK.items()):
        svg = svg.replace(colour, f"var(--c{place})")
        light, dark = f"{light}--c{place}:{colour};", f"{dark}--c{place}:{other};"
    style = f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    head, mark, rest = svg.partition("<defs>")
    return (head + style + mark + rest).encode()


def stage_pictures(stage: StageResults) -> dict[str, Picture]:
    """Every figure of a stage, by its name; none, and a traceback in the server's log, if they cannot be drawn."""
    with _DRAWING:
        try:
            return {name: picture(figure, CAPTIONS[name]) for name, figure in figures(stage).items()}
        except Exception:
            log.exception("the figures of %s cannot be drawn", stage.name)
            return {}


def curve(trial: Trial, name: str) -> Picture:
    """One value of a trial over its steps, what was shared shaded; on a logarithmic scale where it spans two decades or more."""
    points = [(step, value) for step, value in trial.curve(name) if math.isfinite(value)]
    steps, values = [step for step, _ in points], [value for _, value in points]
    with _DRAWING:
        figure, [axes] = canvas(name.replace("_", " "), [2.6])
        logarithmic = bool(values) and min(values) > 0 and max(values) / min(values) >= 100
        axes.plot(steps, values, color=WON, linewidth=1.8)
        axes.set_ylim(*(limits([np.asarray(values)], logarithmic) or (0, 1)))
        value_axis(axes, "", logarithmic)
        if trial.begun:
            axes.axvspan(0, trial.begun, color=SECOND, alpha=0.1, linewidth=0)
        steps_axis(axes, trial.plan.steps)
        return picture(figure)
