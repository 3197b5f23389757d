"""What is known, as tidy tables? pandas frames: for the figures, for CSV files, for a notebook."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports import words
from reports.stages import StageResults
from studies.plan import Plan
from studies.trial import Trial

SCHEDULE_POINTS = 400
"""Of a rate over the steps, as many as a figure can tell apart."""

PLAN = ["lr", "batch_size", "momentum", "optimizer", "schedule", "seed", "steps"]


def trials_frame(stages: Sequence[StageResults]) -> pd.DataFrame:
    """One row a trial, in the order of stages and numbers.

    steps: of its plan; last: the step it stands at; begun: steps that were there already when its own training began.
    value: the metric when it was last measured (NaN if never). place: among the decision's evidence, from 1 (0: none);
    label, outcome: its words on it ("" without). winner, runner_up: it goes their way, perhaps further or not as far.
    line: the same for plans that differ in their ends only. error: the last line of it.
    """
    columns = ["stage", "number", "state", *PLAN, "last", "begun", "seconds", "metric", "value", "place", "label", "outcome"]
    rows = [_trial(stage, trial) for stage in stages for trial in stage.trials]
    return pd.DataFrame(rows, columns=[*columns, "winner", "runner_up", "line", "error"])


def _trial(stage: StageResults, trial: Trial) -> dict[str, Any]:
    decision = stage.decision
    evidence = decision.evidence if decision else ()
    place, said = next(((i, one) for i, one in enumerate(evidence, 1) if trial.number in one.trials), (0, None))
    return {
        "stage": stage.name,
        "number": trial.number,
        "state": trial.state.value,
        **_plan(trial.plan),
        "last": trial.last,
        "begun": trial.begun,
        "seconds": trial.points[-1].seconds if trial.points else 0.0,
        "metric": stage.metric.name,
        "value": trial.latest(stage.metric.name),
        "place": place,
        "label": said.label if said else "",
        "outcome": said.outcome if said else "",
        "winner": bool(decision) and trial.plan.line == decision.winner.line,
        "runner_up": bool(decision and decision.runner_up) and trial.plan.line == decision.runner_up.line,
        "line": trial.plan.line,
        "error": words.last_line(trial.error),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    told = {name: getattr(plan, name) for name in PLAN if name != "schedule"}
    return told | {"schedule": words.schedule(plan)}


def curves_frame(stages: Sequence[StageResults]) -> pd.DataFrame:
    """One row a point: stage, number, step, examples, seconds, and a column for each value that was measured.

    What was not measured at a point is NaN; what diverged is NaN or infinite as it was.
    """
    rows = [
        {"stage": stage.name, "number": trial.number, "step": point.step, "examples": point.step * trial.plan.batch_size}
        | {"seconds": point.seconds, **point.values}
        for stage in stages
        for trial in stage.trials
        for point in trial.points
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["stage", "number", "step", "examples", "seconds"])


def schedules_frame(stages: Sequence[StageResults]) -> pd.DataFrame:
    """The learning rate that each plan gives to a step: stage, number, step, lr; thinned to SCHEDULE_POINTS a trial."""
    rows = [
        {"stage": stage.name, "number": trial.number, "step": int(step), "lr": trial.plan.at(int(step))}
        for stage in stages
        for trial in stage.trials
        for step in np.unique(np.linspace(0, trial.plan.steps - 1, SCHEDULE_POINTS).astype(int))
        if trial.plan.steps
    ]
    return pd.DataFrame(rows, columns=["stage", "number", "step", "lr"])


def decisions_frame(stages: Sequence[StageResults]) -> pd.DataFrame:
    """One row a decision: the winner's plan, its value and interval (low, high), the margin, words, warnings, cost."""
    decided = [stage.decision for stage in stages if stage.decision]
    rows = [
        {"stage": one.stage, "question": one.question, **_plan(one.winner), "metric": one.metric.name}
        | _value(one.value, one.interval)
        | {"margin": one.margin, "tie": one.tie, "rule": one.rule}
        | {"words": " ".join(one.words), "warnings": "; ".join(one.warnings), **one.cost.model_dump()}
        for one in decided
    ]
    return pd.DataFrame(rows)


def evidence_frame(stages: Sequence[StageResults]) -> pd.DataFrame:
    """One row a candidate of a decision, best first: place (from 1), its plan, value and interval, state, outcome.

    seeds: how many stand behind the value; trials: their numbers, separated by blanks.
    """
    rows = [
        {"stage": stage.name, "place": place, "label": one.label, **_plan(one.plan), "metric": stage.metric.name}
        | {"seeds": len(one.trials), "trials": " ".join(map(str, one.trials)), **_value(one.value, one.interval)}
        | {"state": one.state.value, "outcome": one.outcome}
        for stage in stages
        if stage.decision
        for place, one in enumerate(stage.decision.evidence, 1)
    ]
    return pd.DataFrame(rows)


def _value(value: float | None, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"value": value, "low": low, "high": high}


def tables(stages: Iterable[StageResults]) -> dict[str, pd.DataFrame]:
    """All of them, by name."""
    stages = list(stages)
    made = {"trials": trials_frame, "curves": curves_frame, "decisions": decisions_frame, "evidence": evidence_frame}
    return {name: make(stages) for name, make in made.items()}
