"""What does a page show? Records of the storage in, plain values out: the pages and the JSON are made of the same."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reports import words
from reports.stages import StageResults
from studies.decision import FINISH, QUESTIONS, RUN
from studies.plan import Plan
from studies.study import StudyRecord
from studies.trial import Metric, State, Trial
from studies.wish import WishRecord, in_force
from studies.words import recipe, shape

BROKEN = (State.FAILED, State.DIVERGED)
ROWS = 50
"""Of a stage's trials, on the study's page; the stage's own page has all of them, PAGE at a time."""
PAGE = 200
LOG_BYTES = 16_000
WHOLE_LOG = 1_000_000

View = dict[str, Any]


def version(view: Any) -> str:
    """Changes when what is shown changes."""
    return hashlib.sha256(json.dumps(view, sort_keys=True, default=str).encode()).hexdigest()[:16]


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def measured(trial: Trial, metric: Metric) -> list[str]:
    """What was measured along a trial: the deciding metric first, then in the order of their first appearance."""
    found = dict.fromkeys(name for point in trial.points for name in point.values)
    first = [metric.name] if metric.name in found else []
    return first + [name for name in found if name not in first]


def label(trial: Trial, going: bool) -> str:
    """The state of a trial for a reader: an open row is at work only where its driver is, and before its end."""
    if trial.state != State.RUNNING:
        return trial.state.value
    return "trained" if trial.last >= trial.plan.steps else "running" if going else "paused"


def row(trial: Trial, metric: Metric, winner: Plan | None, going: bool) -> View:
    """A trial as a line of a table."""
    plan = trial.plan
    return {
        "number": trial.number,
        "plan": plan,
        "state": label(trial, going),
        "lr": plan.lr,
        "batch_size": plan.batch_size,
        "momentum": plan.momentum,
        "optimizer": plan.optimizer,
        "seed": plan.seed,
        "schedule": words.schedule(plan),
        "recipe": ", ".join(recipe(plan)),
        "step": trial.last,
        "steps": plan.steps,
        "begun": trial.begun,
        "value": finite(trial.latest(metric.name)),
        "seconds": trial.points[-1].seconds if trial.points else 0.0,
        "error": words.last_line(trial.error),
        "winner": winner is not None and plan.line == winner.line,
    }


def ordered(rows: Iterable[View], metric: Metric) -> list[View]:
    """The winner and those that run first, then the best first; those without a value last."""

    def place(line: View):
        value = line["value"] if line["state"] not in BROKEN else None
        rank = math.inf if value is None else (-value if metric.mode == "max" else value)
        return not line["winner"], line["state"] != "running", rank, line["number"]

    return sorted(rows, key=place)


SORTED_BY = ("number", "lr", "batch_size", "momentum", "step", "value")
"""What a table of trials may be sorted by."""


def chosen(rows: Sequence[View], state: str, sort: str, down: bool) -> list[View]:
    """Rows in one state ("": in any), in the order of one of their values ("": as they are ordered); those without it last."""
    found = [line for line in rows if state in ("", line["state"])]
    if sort not in SORTED_BY:
        return found
    known = sorted((line for line in found if line[sort] is not None), key=lambda line: line[sort], reverse=down)
    return known + [line for line in found if line[sort] is None]


def leading(rows: Sequence[View], most: int) -> list[View]:
    """Of a stage's rows, in their order, those that are to be seen in its charts; by number, as a stage's trials are."""
    return sorted(rows[:most], key=lambda line: line["number"])


def path(plan: Plan) -> list[View]:
    """The plan's segments for a reader: from which step to which, at what rate."""
    told, begin = [], 0
    for segment in plan.segments:
        first, begin = begin + 1, begin + segment.steps
        told.append({"first": first, "last": begin, "lr": segment.rate.lr, "shape": shape(segment.rate)})
    return told


def relatives(plan: Plan, number: int, stage: str, stages: Iterable[View], most: int = 12) -> list[View]:
    """The trials with which a trial has the beginning of its path in common, the longest first."""
    found = []
    for part in stages:
        for line in part["rows"]:
            other = line["plan"]
            if (part["name"], line["number"]) != (stage, number) and alike(plan, other) and (steps := plan.common(other)):
                found.append({"stage": part["name"], "title": part["title"], "number": line["number"], "steps": steps})
    return sorted(found, key=lambda one: (-one["steps"], one["stage"], one["number"]))[:most]


def alike(plan: Plan, other: Plan) -> bool:
    """Whether they may have steps in common; quickly told, as there may be thousands of others."""
    same = (plan.batch_size, plan.momentum, plan.seed) == (other.batch_size, other.momentum, other.seed)
    return same and bool(plan.segments and other.segments) and plan.segments[0].rate == other.segments[0].rate


def trial_log(log: str, plan: Plan, stage: str) -> str:
    """Of a study's log, the lines on one trial: they name its plan, at whatever step it stood."""
    before, _, after = words.plan(plan).partition(words.count(plan.steps, "step"))
    named = re.compile(rf"{stage}: (?:\w+ at step \d+: )?{re.escape(before)}[\d,]+ steps?{re.escape(after)}:")
    return "\n".join(line for line in log.splitlines() if named.search(line))


def stage(results: StageResults, going: bool) -> View:
    """A stage: its question, its trials, how far it has come, what it decided. going: its driver is at work."""
    trials, decision = results.trials, results.decision
    winner = decision.winner if decision else None
    rows = ordered((row(trial, results.metric, winner, going) for trial in trials), results.metric)
    return {
        "name": results.name,
        "title": results.title,
        "metric": results.metric,
        "question": decision.question if decision else QUESTIONS.get(results.name, ""),
        "rows": rows,
        "counts": dict(Counter(line["state"] for line in rows)),
        "done": sum(min(trial.last, trial.plan.steps) for trial in trials),
        "wanted": sum(
            trial.plan.steps if trial.state == State.RUNNING else min(trial.last, trial.plan.steps) for trial in trials
        ),
        "seeds": len({line["seed"] for line in rows}) > 1,
        "scheduled": any(line["schedule"] != "constant" for line in rows),
        "recipes": len({line["recipe"] for line in rows}) > 1,
        "elects": results.name != FINISH,
        "decision": decision,
    }


def still_open(record: StudyRecord, stages: Sequence[View]) -> list[str]:
    """What `tune run` decides and this study has not decided and was not started for last: it may be done, and still go on."""
    over = {*record.settings.get("stages", RUN), *(part["name"] for part in stages if part["decision"])}
    return [name for name in RUN if name not in over]


def best(stages: Sequence[View]) -> View | None:
    """The last decision's winner; before the first decision, the best value so far."""
    for part in reversed(stages):
        if decision := part["decision"]:
            plan = decision.winner
            shown = {"lr": plan.lr, "batch_size": plan.batch_size, "momentum": plan.momentum, "steps": plan.steps}
            return {**shown, "value": decision.value, "metric": decision.metric.name, "decided": True}
    for part in stages[:1]:
        lines = [line for line in part["rows"] if line["value"] is not None and line["state"] not in BROKEN]
        if lines:
            pick = max if part["metric"].mode == "max" else min
            top = pick(lines, key=lambda line: line["value"])
            shown = {key: top[key] for key in ("lr", "batch_size", "momentum", "steps", "value")}
            return {**shown, "metric": part["metric"].name, "decided": False}
    return None


def summary(study: View) -> View:
    """A study for a program: everything but its trials."""
    stages = [
        {key: part[key] for key in ("name", "question", "counts", "done", "wanted")}
        | {"decision": part["decision"] and part["decision"].summary()}
        for part in study["stages"]
    ]
    shown = ("version", "name", "task", "state", "reason", "owner", "created", "best", "left", "refusal", "open", "command")
    return {key: study[key] for key in (*shown, "wishes")} | {"stages": stages}


def wished(record: WishRecord, records: Sequence[WishRecord]) -> View:
    """What somebody asked for or noted, and what has become of it."""
    wish = record.wish
    return {
        "id": record.number,
        "kind": wish.kind,
        "words": wish.words,
        "text": record.text,
        "stage": wish.stage,
        "number": getattr(wish, "number", None),
        "who": record.who,
        "written": record.written,
        "in_force": wish.stage is not None and record in in_force(records, wish.stage),
    }


def settings(given: Mapping[str, Any]) -> dict[str, str]:
    """What the study was started with, to be read."""
    shown = {key: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in given.items()}
    return {key: value for key, value in shown.items() if given[key] not in (None, [])}


def tail(log: Path, most: int = LOG_BYTES) -> str:
    """The end of a log; "" if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most))
            text = file.read(most).decode(errors="replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if size > most else text
