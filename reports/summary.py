"""What came out? In words for a terminal, and as the one object of `--json`."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports import words
from reports.diagnosis import diagnoses
from reports.stages import StageResults
from studies.decision import Cost, Decision
from studies.study import StudyRecord, StudyState
from studies.trial import State, Trial
from studies.wish import Extend, Overrule, WishRecord

PLAIN_WIDTH = 10_000
"""Columns of what goes into a file or a pipe: nothing is wrapped there."""

WARNINGS = 6
"""So many of a stage's warnings are told in full."""

TROUBLES = 6
"""So many of the log's latest warnings are told with a study's status."""

STYLES = {StudyState.RUNNING: "cyan", StudyState.DONE: "green", StudyState.FAILED: "red"}


def run_summary(study: StudyRecord, stages: Sequence[StageResults]) -> dict[str, Any]:
    """The object of `--json`: {"study", "task", "state", "wall_seconds", "best", "metric", "stages"}.

    best and the metric's value are those of the last decision, None before the first. wall_seconds: from the study's
    creation to its last change.
    """
    decisions = [stage.decision for stage in stages if stage.decision]
    last = decisions[-1] if decisions else None
    metric = last.metric if last else stages[0].metric if stages else None
    return {
        "study": study.name,
        "task": study.settings.get("task"),
        "state": study.state.value,
        "wall_seconds": round(study.updated - study.created, 3),
        "best": last.winner.describe() if last else None,
        "metric": metric
        and {
            "name": metric.name,
            "mode": metric.mode,
            "value": last.value if last else None,
            "interval": list(last.interval) if last and last.interval else None,
        },
        "stages": [decision.summary() for decision in decisions],
    }


def write_decisions(console: Console, decisions: Sequence[Decision]) -> None:
    """Every decision in words: the question, the winner, why, the warnings, the cost."""
    for decision in decisions:
        _print(console, decision_in_words(decision))


def _print(console: Console, what: RenderableType) -> None:
    """On a terminal as wide as that; what goes into a file or a pipe has no width of its own."""
    wide = console if console.is_terminal else Console(file=console.file, width=PLAIN_WIDTH)
    wide.print(what, highlight=False)


def decision_in_words(decision: Decision) -> Group:
    """As a rich renderable; without a terminal it is plain text."""
    head = Text.assemble((decision.stage, "bold"), f"  {words.plain(decision.question)}")
    unsaid = len(decision.warnings) - WARNINGS
    value = f"{decision.metric.name} {words.measured(decision.value, decision.interval)}"
    lines = [
        Text.assemble((words.plan(decision.winner), "green"), f"  ->  {value}"),
        *(Text(words.plain(line)) for line in decision.words),
        Text(f"Rule: {words.plain(decision.rule)}.", style="dim"),
        *(Text(f"Warning: {words.plain(warning)}", style="yellow") for warning in decision.warnings[:WARNINGS]),
        *([Text(f"and {words.count(unsaid, 'more warning')}, all in the report", style="yellow")] if unsaid > 0 else []),
        Text(cost_in_words(decision.cost), style="dim"),
    ]
    return Group(head, *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines), "")


def cost_in_words(cost: Cost) -> str:
    parts = [words.count(cost.trials, "trial"), f"{words.count(cost.steps_trained, 'step')} trained"]
    parts += [f"{cost.steps_shared:,} shared"] if cost.steps_shared else []
    parts += [f"{cost.steps_saved:,} not needed"] if cost.steps_saved else []
    return ", ".join([*parts, f"{words.duration(cost.seconds)} of training"])


def write_forecast(console: Console, stages: Sequence[Mapping[str, Any]], workers: int) -> None:
    """What is still to come at most. stages: each with stage, trials, steps, examples and seconds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("stage", "trials at most", "steps", "examples", f"time, {words.count(workers, 'worker')}"):
        table.add_column(title, justify="left" if title == "stage" else "right")
    for stage in stages:
        counts = (f"{stage[name]:,}" for name in ("trials", "steps", "examples"))
        table.add_row(stage["stage"], *counts, words.duration(stage["seconds"]))
    _print(console, table)
    console.print("Racing, sharing and early decisions usually leave most of this untrained.", style="dim")


MARKS = {"ok": ("ok", "green"), "doubt": ("doubt", "yellow"), "wrong": ("WRONG", "bold red"), "unseen": ("-", "dim")}


def write_finding(console: Console, name: str, verdict: str, saw: str, do: str) -> None:
    """One line of a checkup; below it, what to do."""
    mark, style = MARKS[verdict]
    console.print(Text.assemble((f"{mark:<6}", style), (words.plain(name), "bold"), f": {words.plain(saw)}"), soft_wrap=True)
    if do:
        console.print(Text(f"      {words.plain(do)}", style="yellow"), soft_wrap=True)


def write_status(
    console: Console,
    studies: Sequence[StudyRecord],
    results: Mapping[str, Sequence[StageResults]],
    *,
    whole: bool = False,
    troubles: Sequence[str] = (),
    wishes: Sequence[WishRecord] = (),
) -> None:
    """A table of the studies. results: of each, by its name; whole: with their stages and decisions below, with what went
    wrong: the troubles that the log tells of, how the run ended, and how to go on; and with what people asked for."""
    if not studies:
        console.print("No studies yet; start one with: tune run --task digits")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("study", "state", "task", "decided", "best so far", "changed", "driver"):
        table.add_column(title, overflow="fold")
    for study in studies:
        table.add_row(*_status(study, results.get(study.name, ())))
    _print(console, table)
    for study in studies if whole else ():
        for trouble in (*troubles[-TROUBLES:], study.reason):
            if trouble:
                console.print(Text(words.plain(trouble), style="yellow"), soft_wrap=True)
        if study.state in (StudyState.STOPPED, StudyState.FAILED, StudyState.STALE):
            console.print(f"Go on with: {study.command('resume', study.name)}", markup=False, soft_wrap=True)
        console.print()
        decided = [stage.name for stage in results.get(study.name, ()) if stage.decision]
        for stage in results.get(study.name, ()):
            _print(console, decision_in_words(stage.decision) if stage.decision else _undecided(stage, study.state))
            _print(console, _ailments(study, stage, decided))
    for record in wishes:
        console.print(Text(wish_in_words(record)), soft_wrap=True)


def write_trials(console: Console, stages: Sequence[StageResults]) -> None:
    """The trials by their numbers, stage by stage."""
    for stage in stages:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title, justify in (
            (stage.name, "right"),
            ("state", "left"),
            ("step", "right"),
            (stage.metric.name, "right"),
            ("", "left"),
        ):
            table.add_column(words.plain(title), justify=justify)
        for trial in stage.trials:
            value = words.number(trial.latest(stage.metric.name))
            table.add_row(f"{trial.number}", trial.state.value, f"{trial.last:,}", value, words.brief(trial.plan))
        _print(console, table)
        console.print()


def trial_summary(stage: StageResults, trial: Trial) -> dict[str, Any]:
    """A trial as one of those of `tune trials --json`. value: the metric when it was last measured, NaN
    if it never was."""
    told = {"stage": stage.name, "number": trial.number, "state": trial.state.value, "step": trial.last}
    return told | {"value": trial.latest(stage.metric.name), "plan": trial.plan.describe(), "error": words.last_line(trial.error)}


def wish_in_words(record: WishRecord) -> str:
    """On one line of a terminal."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.written))
    past = " (of the task before it was edited)" if record.past else ""
    said = f": {record.line}" if record.line else ""
    return words.plain(f"{when}  {record.who}  {record.wish.words}{past}{said}")


def wish_summary(record: WishRecord) -> dict[str, Any]:
    """The same for `--json`."""
    wish = record.wish.model_dump(mode="json") | {"words": record.wish.words}
    if isinstance(record.wish, Extend | Overrule) and record.wish.plan:
        wish["plan"] = record.wish.plan.describe()
    return {"number": record.number, **wish, "who": record.who, "written": record.written, "past": record.past}


def _ailments(study: StudyRecord, stage: StageResults, decided: Sequence[str]) -> Group:
    """What ails its trials: a line for each finding and one for what to do."""
    told = []
    for one in diagnoses(stage, study, decided):
        seen, style = one.finding, "yellow" if one.winner else ""
        who = f"the winner, {one.who}" if one.winner else one.who
        told += [Text.assemble((seen.name, style or "bold"), f" ({who}): {words.plain(seen.saw)}")]
        told += [Text(words.plain(f"  {seen.means}: {seen.command}"), style="dim")]
    return Group(*(Padding(line, (0, 0, 0, 2), expand=False) for line in told), *([""] if told else []))


def _status(study: StudyRecord, stages: Sequence[StageResults]) -> list[Text]:
    decisions = [stage.decision for stage in stages if stage.decision]
    last = decisions[-1] if decisions else None
    best = f"{last.metric.name} {words.measured(last.value, last.interval)}" if last else "–"
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(study.updated))
    decided = ", ".join(decision.stage for decision in decisions) or "–"
    plain = [words.plain(str(study.settings.get("task", ""))), decided, best, changed, words.plain(study.owner)]
    return [Text(study.name, "bold"), Text(study.state.value, STYLES.get(study.state, "yellow")), *map(Text, plain)]


def _undecided(stage: StageResults, study: StudyState) -> Text:
    """A trial goes on where its study does."""
    called = {State.RUNNING: "running" if study is StudyState.RUNNING else "unfinished"}
    counts = ", ".join(f"{number:,} {called.get(state, state.value)}" for state, number in words.states(stage.trials).items())
    steps = sum(trial.last for trial in stage.trials)
    return Text(f"{stage.name}  not decided yet: {counts or 'no trials'}, at {words.count(steps, 'step')} in all\n")
