"""What is to be seen? Frames in, matplotlib figures out: what the text in method/004 looks at in each stage.

Curves of the sweep, the point of convergence on the winner's, batch size against momentum, validation under each decay with
the schedules below, the update ratio. No global state: figures may be drawn in any thread that has the drawing to itself.
"""

import math
import re
import textwrap

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import words
from reports.drawing import (
    GROUND,
    INK,
    LINE,
    OTHER,
    SECOND,
    SMALL,
    SOFT,
    THIRD,
    WON,
    End,
    canvas,
    drawable,
    finite,
    label_ends,
    limits,
    plain,
    spans,
    steps_axis,
    value_axis,
)
from reports.frames import curves_frame, evidence_frame, schedules_frame, trials_frame
from reports.stages import StageResults
from studies.curves import HEALTHY
from studies.decision import Decision
from studies.trial import Metric

CROWD, FOREMOST = 40, 4
"""Of more points than that only so many have their value beside them."""

BEHIND = {"facecolor": GROUND, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
"""A ground for words that lie on what is drawn."""

CAPTIONS = {
    "loss": "Training loss of every trial; the one to take falls fast and deep. A cross marks where one diverged.",
    "validation": "Validation of every trial. The training loss screens, validation decides.",
    "convergence": "The winner's own curves, the step at which both have settled, and the safety margin behind it.",
    "cells": "Validation for each batch size and momentum; brighter is better; framed: the winner; grey: left early, or broken.",
    "decays": "Validation under each decay, its schedule below. A decay that pays lifts the curve where its rate comes down.",
    "tricks": "Each by itself, and stacked: mean over the seeds and 95 % interval; the line is the training as it was.",
    "ways": "What else is made of the winner: mean over the seeds and 95 % interval; the line is the plain winner.",
    "update_ratio": f"Norm of an update over norm of the weights; the band is one order of magnitude around {HEALTHY:g}.",
}


def figures(stage: StageResults) -> dict[str, Figure]:
    """Every figure that there is something to be seen in, by name (a key of CAPTIONS); works before the decision, too."""
    trials, curves = trials_frame([stage]), curves_frame([stage])
    made: dict[str, Figure | None] = {}
    metric, decision = stage.metric, stage.decision
    if ablation := {"stage4": "tricks", "stage5": "ways"}.get(stage.name):
        made[ablation] = tricks(metric, decision) if decision else None
    elif trials["schedule"].str.contains("to 0|every").any() or stage.name == "stage3":
        made["decays"] = decays(trials, curves, schedules_frame([stage]), metric, decision)
    elif _joint(trials):
        made["cells"] = cells(_cells(stage, trials), metric, decision)
    x = "step" if trials["batch_size"].nunique() <= 1 else "examples"
    if not {"decays", "tricks", "ways"} & made.keys():
        made["loss"] = sweep(trials, curves, "train_loss", _loss_title(trials, curves, decision), x=x)
        title = _validation_title(trials, metric, decision)
        made["validation"] = sweep(trials, curves, metric.name, title, falls=metric.mode == "min", x=x)
        made["convergence"] = convergence(trials, curves, metric, decision) if decision else None
    made["update_ratio"] = update_ratio(trials, curves)
    return {name: figure for name, figure in made.items() if figure is not None}


def sweep(
    trials: pd.DataFrame, curves: pd.DataFrame, name: str, title: str, *, falls: bool = True, x: str = "step"
) -> Figure | None:
    """One value of every trial over steps or examples, the winner in front; None if it was never measured.

    falls: lower is better, so a logarithmic scale shows how deep.
    """
    if name not in curves or not len(finite(curves[name])):
        return None
    figure, [axes] = canvas(title)
    _bundle(axes, trials, curves, name, x, 4.0, falls)
    steps_axis(axes, curves[x].max(), "training examples" if x == "examples" else "steps")
    return figure


def _bundle(
    axes: Axes,
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    name: str,
    x: str,
    height: float,
    falls: bool,
    shown: tuple[float, float] | None = None,
) -> None:
    """Curves with labels at their ends. shown: limits of a logarithmic scale; None: scale and limits as the values ask for."""
    lines = {number: part for number, part in curves.groupby("number", sort=False) if len(finite(part[name]))}
    broken = set(trials.loc[trials["state"].isin(["diverged", "failed"]), "number"])
    sound = [part[name].to_numpy() for number, part in lines.items() if number not in broken]
    sound = sound or [part[name].to_numpy() for part in lines.values()]
    logarithmic = falls and (shown is not None or spans(sound))
    shown = shown or limits(sound, logarithmic)
    axes.set_xlim(0, curves[x].max())
    axes.set_ylim(*shown)
    _name_axis(axes, name, logarithmic)
    named, joint = _names(trials), _joint(trials)
    ends: dict[str, tuple[tuple[bool, bool, float], End]] = {}  # of an extended trial, the one it has come to
    for place, row in enumerate(_by_importance(trials, lines), 1):
        part = lines[row.number]
        colour, width = (WON, 2.6) if row.winner else (SECOND, 1.6) if row.runner_up else (OTHER, 1.1)
        many = 1.0 if row.winner or row.runner_up or len(lines) <= 20 else 0.45
        dashes = (0, (3, 1.5)) if row.number in broken else "solid"
        values = drawable(part[name])
        look = {"color": colour, "linewidth": width, "linestyle": dashes, "alpha": many, "zorder": 30 - min(place, 25)}
        look |= {"marker": "o", "markersize": 5} if values.count() == 1 else {}
        axes.plot(part[x], values, **look, label=f"{named[row.number]}, trial {row.number}")
        last = values.last_valid_index()
        end = End(part.loc[last, x], values[last], named[row.number], colour if colour != OTHER else SOFT, bool(row.winner))
        if row.number in broken:
            end = End(end.x, end.y, f"{end.text} {row.state}", SOFT)
            axes.plot([end.x], [min(max(end.y, shown[0]), shown[1])], "x", color=SOFT, markersize=7, clip_on=False, zorder=31)
        rank = (row.winner, row.runner_up, end.x)
        if (row.winner or row.runner_up or not joint) and (end.text not in ends or ends[end.text][0] < rank):
            ends[end.text] = (rank, end)
    label_ends(axes, [end for _, end in ends.values()], height)


def _by_importance(trials: pd.DataFrame, lines: dict) -> list:
    """Rows with a curve: winner, runner-up, then as the decision ranked them, or as they were planned."""
    rows = [row for row in trials.itertuples() if row.number in lines]
    return sorted(rows, key=lambda row: (not row.winner, not row.runner_up, row.place, row.number))


def _names(trials: pd.DataFrame) -> dict[int, str]:
    """What a curve is called: by what sets it apart from the others."""
    joint = _joint(trials)

    def name(row) -> str:
        if joint:
            return f"batch {row.batch_size:,}, m {words.number(row.momentum)}"
        return words.number(row.lr) if trials["lr"].nunique() > 1 else _tail(row.schedule)

    return {row.number: name(row) for row in trials.itertuples()}


def _tail(schedule: str) -> str:
    """A decay without the constant rate or the warm-up before it, and without where it begins."""
    return re.sub(r"^(constant|warm-up [^,]*), ", "", schedule).partition(" from step ")[0]


def _joint(trials: pd.DataFrame) -> bool:
    """The trials differ in batch size or momentum: too many to name each at its curve."""
    return len(trials.drop_duplicates(["batch_size", "momentum"])) > 1


def _title_of(name: str) -> str:
    """A measured value for a reader."""
    return {"train_loss": "training loss", "val_loss": "validation loss"}.get(name, name.replace("_", " "))


def _name_axis(axes: Axes, name: str, logarithmic: bool) -> None:
    """The axis of a measured value; a long name is folded, so that it stays beside its panel."""
    value_axis(axes, "", logarithmic)
    told = _title_of(name) + (", log scale" if logarithmic else "")
    axes.set_ylabel(plain(textwrap.fill(told, 24, max_lines=2, placeholder=" …")))


def _winner(trials: pd.DataFrame) -> pd.Series | None:
    """The trial that went farthest along the winner's line."""
    won = trials[trials["winner"]]
    return won.loc[won["last"].idxmax()] if len(won) else None


def _loss_title(trials: pd.DataFrame, curves: pd.DataFrame, decision: Decision | None) -> str:
    won = _winner(trials)
    if won is None or "train_loss" not in curves:
        return "Training loss"
    name = _names(trials)[won["number"]]
    name = name if "batch" in name else f"lr {name}"
    rivals = trials.loc[~trials["state"].isin(["diverged", "failed"]), "number"]
    falls = {number: _fall(part) for number, part in curves[curves["number"].isin(rivals)].groupby("number")}
    falls = {number: fall for number, fall in falls.items() if len(fall)}
    if won["number"] not in falls or len(falls) < 2:
        return f"{name} is taken"
    deepest = min(falls, key=lambda number: falls[number].iloc[-1])
    level = falls[won["number"]].iloc[-1]
    level += 0.25 * abs(level)
    arrivals = {number: fall[fall <= level].index.min() for number, fall in falls.items() if fall.iloc[-1] <= level}
    how = (["fastest"] if arrivals[won["number"]] == min(arrivals.values()) else []) + (
        ["deepest"] if deepest == won["number"] else []
    )
    if how:
        return f"{name} falls {' and '.join(how)}"
    if decision.tie:
        return f"{name} is taken, a tie"
    return f"{name} does not fall deepest, but validates best" if _validates_best(decision) else f"{name} is taken"


def _fall(part: pd.DataFrame) -> pd.Series:
    """The lowest loss so far, by examples: as it is drawn, for the title speaks of what is seen."""
    loss = part.set_index("examples")["train_loss"].replace([math.inf, -math.inf], math.nan).dropna()
    return loss.cummin()


def _validates_best(decision: Decision) -> bool:
    known = [one for one in decision.evidence if one.value is not None]
    best = max(known, key=lambda one: decision.metric.gain(one.value, 0.0), default=None)
    return best is not None and best.plan.line == decision.winner.line


def _validation_title(trials: pd.DataFrame, metric: Metric, decision: Decision | None) -> str:
    won = _winner(trials)
    if won is None or decision is None:
        return f"Validation: {metric.name}"
    name = _names(trials)[won["number"]]
    name = name if "batch" in name else f"lr {name}"
    return f"{name} reaches {metric.name} {words.measured(decision.value, decision.interval)}"


def convergence(trials: pd.DataFrame, curves: pd.DataFrame, metric: Metric, decision: Decision) -> Figure | None:
    """The winner's training loss and metric, where they have settled, and the margin. None without that mark or a curve."""
    won, converged = _winner(trials), decision.marks.get("converged")
    part = curves[curves["number"] == won["number"]] if won is not None else curves[:0]
    names = [name for name in dict.fromkeys(("train_loss", metric.name)) if name in part and len(finite(part[name]))]
    if converged is None or not names:
        return None
    until = decision.marks.get("step_nums", decision.winner.steps)
    title = f"Converged at step {words.number(converged)}; with the safety margin, {words.number(until)} steps"
    if until < converged:
        title = f"Not converged: settled only at step {words.number(converged)}, cut at {words.number(until)} steps"
    figure, panels = canvas(title, [2.4] * len(names))
    for axes, name in zip(panels, names):
        values = drawable(part[name])
        logarithmic = (name == "train_loss" or metric.mode == "min") and spans([values.to_numpy()])
        axes.set_ylim(*limits([values.to_numpy()], logarithmic))
        _name_axis(axes, name, logarithmic)
        axes.plot(part["step"], values, color=WON, linewidth=1.8, label=f"{_title_of(name)}, trial {won['number']}")
        axes.axvspan(converged, until, color=SECOND, alpha=0.12, linewidth=0)
        axes.axvline(converged, color=SECOND, linewidth=1.4)
        axes.axvline(until, color=SECOND, linewidth=1.4, linestyle=(0, (3, 2)))
        near = values[part["step"] >= converged]
        if len(near) and math.isfinite(near.iloc[0]):
            axes.plot([converged], [near.iloc[0]], "o", color=SECOND, markersize=7, markeredgecolor=GROUND, zorder=10)
    steps_axis(panels[-1], max(part["step"].max(), until) * 1.02)
    for what, step, place in (("converged", converged, 0.96), ("safety margin", until, 0.7)):
        _note(panels[0], f"{what}\n{words.number(step)}", step, place, SECOND, va="top", fontweight="bold")
    return figure


def _note(axes: Axes, text: str, x: float, y: float, colour: str, **how) -> None:
    """Words at a step (in data) and a height (in fractions of the axes)."""
    place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
    axes.annotate(text, (x, y), color=colour, fontsize=SMALL, **place, **_beside(axes, x), **how)


def _beside(axes: Axes, x: float, up: float = 0) -> dict:
    """Where words have more room: left of what is in the right half, right of what is in the left; moved up by some points."""
    side, shift = ("right", -6) if x > axes.get_xlim()[1] / 2 else ("left", 6)
    return {"ha": side, "xytext": (shift, up)}


def _cells(stage: StageResults, trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each pair that was tried: batch_size, momentum, value (mean over seeds), state, winner."""
    columns = ["batch_size", "momentum", "value", "state"]
    if stage.decision:
        found, winner = evidence_frame([stage])[columns], stage.decision.winner
        won = (found["batch_size"] == winner.batch_size) & (found["momentum"] == winner.momentum)
    else:
        found = trials[columns].groupby(["batch_size", "momentum"], as_index=False).agg({"value": "mean", "state": "first"})
        won = pd.Series(False, found.index)
    return found.assign(winner=won).drop_duplicates(["batch_size", "momentum"])


def cells(frame: pd.DataFrame, metric: Metric, decision: Decision | None) -> Figure:
    """Batch size against momentum: a heat map where the pairs make a grid, points where they were drawn at random."""
    title = f"{metric.name} by batch size and momentum"
    if decision:
        name = f"batch size {decision.winner.batch_size:,} with momentum {words.number(decision.winner.momentum)}"
        title = f"{name}: {metric.name} {words.number(decision.value)}" + (", a tie" if decision.tie else "")
    batches, momenta = sorted(frame["batch_size"].unique()), sorted(frame["momentum"].unique())
    whole = frame[(frame["state"].isin(["complete", "running"])) & np.isfinite(frame["value"].astype(float))]
    shade = _shades(whole["value"], metric)
    if len(frame) > 3 and len(frame) < 0.5 * len(batches) * len(momenta):
        return _scatter(frame, whole, title, shade, metric)
    figure, [axes] = canvas(title, [0.9 + 0.5 * len(batches)])
    told = dict(zip(frame.index, words.alike(frame["value"].astype(float).tolist())))
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for row in frame.itertuples():
        left, below = momenta.index(row.momentum), batches.index(row.batch_size)
        sound = row.Index in whole.index
        face, ink = shade(row.value) if sound else (LINE, SOFT)
        name = f"batch {row.batch_size:,}, m {words.number(row.momentum)}: {words.number(row.value)}, {row.state}"
        axes.add_patch(Rectangle((left - 0.48, below - 0.46), 0.96, 0.92, facecolor=face, linewidth=0, label=name))
        if row.winner:
            axes.add_patch(
                Rectangle((left - 0.48, below - 0.46), 0.96, 0.92, fill=False, edgecolor=SECOND, linewidth=3, zorder=5)
            )
        text = told[row.Index] if row.state not in ("diverged", "failed") else row.state
        weight = "bold" if row.winner else "normal"
        axes.text(left, below, text, ha="center", va="center", color=ink, fontsize=SMALL + 1, fontweight=weight)
    axes.set_xlim(-0.55, len(momenta) - 0.45)
    axes.set_ylim(-0.55, len(batches) - 0.45)
    axes.set_xticks(range(len(momenta)), [words.number(one) for one in momenta])
    axes.set_yticks(range(len(batches)), [words.number(one) for one in batches])
    axes.set_xlabel("momentum", fontsize=SMALL)
    axes.set_ylabel("batch size", fontsize=SMALL)
    return figure


def _shades(values: pd.Series, metric: Metric):
    """A value's colour and the ink that reads on it. One far-off value does not flatten the differences among the good ones."""
    best, worst = (values.max(), values.min()) if metric.mode == "max" else (values.min(), values.max())
    far = best + 4 * (values[values != best].median() - best)
    floor = max(worst, far) if metric.mode == "max" else min(worst, far)
    scale = Normalize(*sorted((floor, best)), clip=True) if len(values) and floor != best else None

    def shade(value: float) -> tuple[tuple, str]:
        place = float(scale(value)) if scale else 1.0
        colour = colormaps["cividis"](0.12 + 0.8 * (place if metric.mode == "max" else 1 - place if scale else 1.0))
        luminance = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
        return colour, "#101418" if luminance > 0.45 else "#fdfdfd"

    return shade


def _scatter(frame: pd.DataFrame, whole: pd.DataFrame, title: str, shade, metric: Metric) -> Figure:
    """Pairs drawn at random; 1 - momentum is on a logarithmic scale, as it was drawn."""
    figure, [axes] = canvas(title)
    axes.set_xscale("log", base=2)
    slip = -np.log10(1 - frame["momentum"])
    shown: list[tuple[float, float]] = []
    ranks = whole["value"].rank(ascending=metric.mode == "min")
    rows = sorted(zip(frame.itertuples(), slip), key=lambda pair: (not pair[0].winner, ranks.get(pair[0].Index, math.inf)))
    for rank, (row, height) in enumerate(rows):
        face = shade(row.value)[0] if row.Index in whole.index else LINE
        edge, width = (SECOND, 3) if row.winner else (GROUND, 1)
        name = f"batch {row.batch_size:,}, m {words.number(row.momentum)}: {words.number(row.value)}, {row.state}"
        look = {"color": face, "markersize": 16, "markeredgecolor": edge, "markeredgewidth": width}
        axes.plot([row.batch_size], [height], "o", **look, label=name, zorder=10 if row.winner else 2)
        place = (math.log2(row.batch_size), height)
        free = all(abs(place[0] - x) > 0.7 or abs(place[1] - y) > 0.06 for x, y in shown)  # else it would lie on another's
        if free and (rank < FOREMOST or len(frame) <= CROWD):
            shown.append(place)
            text = words.number(row.value) if row.state not in ("diverged", "failed") else row.state
            where = {"xytext": (11, 0), "textcoords": "offset points", "va": "center"}
            look = {"fontsize": SMALL - 1, "color": SOFT, "fontweight": "bold" if row.winner else "normal", "zorder": 11}
            axes.annotate(text, (row.batch_size, height), bbox=BEHIND, **look, **where)
    marks = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
    ticks = [one for one in marks if slip.min() - 0.15 <= -math.log10(1 - one) <= slip.max() + 0.15]
    axes.set_yticks([-math.log10(1 - one) for one in ticks], [f"{one:g}" for one in ticks])
    low, high = frame["batch_size"].min(), frame["batch_size"].max()
    sizes = [2**power for power in range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xlim(low / 1.3, high * 1.6)
    axes.margins(y=0.12)
    axes.set_xlabel("batch size, log scale", fontsize=SMALL)
    axes.set_ylabel("momentum", fontsize=SMALL)
    return figure


def decays(
    trials: pd.DataFrame, curves: pd.DataFrame, schedules: pd.DataFrame, metric: Metric, decision: Decision | None
) -> Figure | None:
    """Validation under each schedule, mean over its seeds, and the schedules below. None before there are curves."""
    if metric.name not in curves or not len(finite(curves[metric.name])):
        return None
    figure, [above, below] = canvas(_decay_title(trials, metric, decision), [3.4, 1.7])
    last = curves["step"].max()
    means, rates, seeds = {}, {}, trials.groupby("schedule").size()
    for schedule, group in trials.groupby("schedule", sort=False):
        part = curves[curves["number"].isin(group["number"])]
        mean = part.assign(value=drawable(part[metric.name])).groupby("step")["value"].mean().dropna()
        if len(mean):
            means[schedule] = mean
            rates[schedule] = schedules[schedules["number"] == group["number"].iloc[0]]
    roles = _roles(trials, rates)
    late = [mean[mean.index >= 0.25 * last].to_numpy() for mean in means.values()]
    above.set_xlim(0, last)
    above.set_ylim(*(limits(late, False) or limits([mean.to_numpy() for mean in means.values()], False)))
    _name_axis(above, metric.name, False)
    ends = []
    for schedule in sorted(means, key=lambda one: list(roles).index(one) if one in roles else -1):
        text, colour = roles.get(schedule, ("", OTHER))
        width = 2.4 if colour == WON else 1.5 if text else 0.9
        mean, rate = means[schedule], rates[schedule]
        look = {"color": colour, "linewidth": width, "label": f"{text or schedule}, trial {rate['number'].iloc[0]}"}
        above.plot(mean.index, mean, **look)
        steps, lrs = rate["step"].tolist(), rate["lr"].tolist()
        below.plot([*steps, steps[-1] + 1], [*lrs, lrs[-1]], **look, drawstyle="steps-post")
        if text:
            if seeds[schedule] < seeds.max():  # else whoever has one lucky seed seems to be ahead
                text += f", {words.count(seeds[schedule], 'seed')} of {seeds.max()}"
            ends.insert(0, End(mean.index[-1], mean.iloc[-1], text, SOFT if colour == OTHER else colour, colour == WON))
    label_ends(above, ends, 3.4)
    _decay_marks(above, below, means, roles, decision)
    below.set_ylim(bottom=0)
    value_axis(below, "learning rate", False)
    steps_axis(below, last)
    return figure


def _roles(trials: pd.DataFrame, rates: dict[str, pd.DataFrame]) -> dict[str, tuple[str, str]]:
    """The schedules that are to be told apart, the least important first: what each is called, and its colour."""
    won = _winner(trials)
    roles: dict[str, tuple[str, str]] = {}
    for schedule, rate in rates.items():
        if rate["lr"].iloc[-1] >= 0.999 * rate["lr"].max():
            roles[schedule] = ("constant", INK)
        elif "linear" in schedule and "constant" not in schedule:
            roles[schedule] = ("lazy linear", SECOND)
    if won is not None and won["schedule"] in rates:
        name = roles.pop(won["schedule"], (_tail(won["schedule"]), ""))[0]
        roles[won["schedule"]] = (name, WON)
    return roles


def _decay_marks(above: Axes, below: Axes, means: dict, roles: dict, decision: Decision | None) -> None:
    """Where validation at the constant rate was best, and where the winner's decay starts."""
    marks = decision.marks if decision else {}
    control = next((means[one] for one, (name, _) in roles.items() if name == "constant"), None)
    if (peak := marks.get("peak")) is not None and control is not None and len(control):
        at = control.index[np.abs(control.index - peak).argmin()]
        above.plot([at], [control[at]], "o", color=INK, markersize=7, markeredgecolor=GROUND, zorder=10)
        text = f"constant rate at its best,\nstep {words.number(peak)}"
        low = control[at] < np.mean(above.get_ylim())
        where = {"textcoords": "offset points", "va": "bottom" if low else "top", **_beside(above, at, 34 if low else -34)}
        above.annotate(text, (at, control[at]), color=INK, fontsize=SMALL, bbox=BEHIND, zorder=9, **where)
    if start := marks.get("start"):
        for axes in (above, below):
            axes.axvline(start, color=WON, linewidth=1.0, linestyle=(0, (2, 2)))
        _note(below, f"decay starts, step {words.number(start)}", start, 0.06, WON)


def _decay_title(trials: pd.DataFrame, metric: Metric, decision: Decision | None) -> str:
    if decision is None:
        return f"Validation under each decay: {metric.name}"
    schedule = words.schedule(decision.winner)
    if decision.winner.segments[-1].rate.shape == "constant":
        return f"Decay gains nothing: {metric.name} stays at {words.measured(decision.value, decision.interval)}"
    control = next((one.value for one in decision.evidence if words.schedule(one.plan) == "constant"), None)
    before = f"from {words.number(control)} " if control is not None else ""
    return f"{_tail(schedule)} takes {metric.name} {before}to {words.number(decision.value)}"


def tricks(metric: Metric, decision: Decision) -> Figure:
    """The ablations of stage 4, the ways of stage 5: best at the top, the winner in front."""
    title = decision.words[0].partition(":")[0].rstrip(".") if decision.words else metric.name
    known = [one for one in decision.evidence if one.value is not None]
    rows = sorted(known, key=lambda one: metric.gain(one.value, 0.0))
    figure, [axes] = canvas(title, [0.9 + 0.32 * len(rows)])
    axes.grid(False)
    for place, one in enumerate(rows):
        colour = WON if one.plan == decision.winner else OTHER
        told = f"{one.label}: {words.measured(one.value, one.interval)}"
        axes.plot(one.interval or (one.value, one.value), (place, place), color=colour, linewidth=2)
        axes.plot([one.value], [place], "o", color=colour, markersize=8, markeredgecolor=GROUND, label=told)
    if (as_it_is := next((one for one in rows if one.label in ("as it is", "plain")), None)) is not None:
        axes.plot((as_it_is.value, as_it_is.value), (-0.5, len(rows) - 0.5), color=SOFT, linewidth=1, linestyle="--", zorder=0)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_yticks(range(len(rows)), [one.label for one in rows])
    axes.set_xlabel(metric.name, fontsize=SMALL)
    return figure


def update_ratio(trials: pd.DataFrame, curves: pd.DataFrame) -> Figure | None:
    """Update norm over parameter norm along every trial, with the order of magnitude that is healthy. None if not measured."""
    values = finite(curves["update_ratio"]) if "update_ratio" in curves else np.array([])
    if not (values > 0).any():
        return None
    won = _winner(trials)
    title = "Update ratio: how far a step moves the weights"
    own = finite(curves.loc[curves["number"] == won["number"], "update_ratio"]) if won is not None else np.array([])
    if len(own):
        title = f"The winner's steps move the weights by {words.number(float(np.median(own)), 2)} of their norm"
    figure, [axes] = canvas(title, [3.4])
    positive = curves.assign(update_ratio=curves["update_ratio"].where(curves["update_ratio"] > 0))
    low, high = values[values > 0].min(), values[values > 0].max()
    top = max(HEALTHY * 1000, 1.3 * own.max(initial=0))  # whoever else flies off does not flatten the rest
    shown = (max(min(low, HEALTHY / 5) / 1.3, HEALTHY / 1000), min(max(high, HEALTHY * 5) * 1.3, top))
    _bundle(axes, trials, positive, "update_ratio", "step", 3.4, True, shown)
    axes.axhspan(HEALTHY / math.sqrt(10), HEALTHY * math.sqrt(10), color=THIRD, alpha=0.13, linewidth=0, zorder=0)
    axes.axhline(HEALTHY, color=THIRD, linewidth=1)
    axes.text(
        0.99,
        HEALTHY / math.sqrt(10) / 1.1,
        f"rule of thumb: around {HEALTHY:g}",
        color=THIRD,
        fontsize=SMALL,
        ha="right",
        va="top",
        transform=axes.get_yaxis_transform(),
    )
    steps_axis(axes, curves["step"].max())
    return figure
