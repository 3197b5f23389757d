"""Does the terminal say what was decided, and does a program get the object it was promised?"""

import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from reports.progress import troubles
from reports.stages import StageResults
from reports.summary import run_summary, write_decisions, write_status, write_trials
from studies.plan import Plan
from studies.study import StudyState
from studies.wish import Note, Rate, WishRecord
from tests.reports.sample import METRIC, RECORD, stage1, study

DECISIONS = [stage.decision for stage in study()]


def told(write, *args, terminal=False, width=100, **more):
    out = io.StringIO()
    write(Console(file=out, force_terminal=terminal, width=width, color_system="standard" if terminal else None), *args, **more)
    return out.getvalue()


def test_the_object_of_json_is_the_one_of_the_contract():
    summary = json.loads(json.dumps(run_summary(RECORD, study()), allow_nan=False))
    assert list(summary) == ["study", "task", "state", "wall_seconds", "best", "metric", "stages"]
    assert (summary["study"], summary["task"], summary["state"], summary["wall_seconds"]) == ("digits", "digits", "done", 431.0)
    assert Plan.read(summary["best"]) == DECISIONS[-1].winner
    assert summary["metric"] == {
        "name": "accuracy",
        "mode": "max",
        "value": DECISIONS[-1].value,
        "interval": list(DECISIONS[-1].interval),
    }
    keys = ["name", "winner", "metric", "value", "rule", "margin", "tie", "warnings", "trials"]
    keys += ["steps_trained", "steps_shared", "steps_saved", "examples_trained", "seconds"]
    assert [set(keys) - set(stage) for stage in summary["stages"]] == [set()] * 3


@pytest.mark.parametrize(
    "stages, metric",
    [([], None), ([stage1(decided=False)], {"name": "accuracy", "mode": "max", "value": None, "interval": None})],
    ids=["nothing", "undecided"],
)
def test_before_the_first_decision_there_is_no_best(stages, metric):
    summary = run_summary(RECORD, stages)
    assert summary["best"] is None and summary["metric"] == metric and summary["stages"] == []


def test_decisions_in_words():
    text = told(write_decisions, DECISIONS)
    for decision in DECISIONS:
        for part in (decision.question, *decision.words, decision.rule, *decision.warnings):
            assert part in text
    assert "accuracy 0.9757 (0.9732 to 0.9781)" in text and "22,500 steps trained, 13,900 not needed" in text
    assert "\x1b" not in text


def test_a_terminal_gets_colours_and_its_own_width():
    text = told(write_decisions, DECISIONS, terminal=True, width=60)
    assert "\x1b[" in text and max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in text.splitlines()) <= 60


def test_status_lists_the_studies():
    other = replace(
        RECORD, name="flowers", state=StudyState.STALE, settings={"task": "file.py:Flowers"}, reason="its driver is gone"
    )
    text = told(write_status, [RECORD, other], {"digits": study(), "flowers": [stage1(decided=False)]})
    rows = [line for line in text.splitlines() if line.startswith(("digits", "flowers"))]
    assert "done" in rows[0] and "stage1, stage2, stage3" in rows[0] and "accuracy 0.9757 (0.9732 to 0.9781)" in rows[0]
    assert "stale" in rows[1] and "file.py:Flowers" in rows[1] and "–" in rows[1]
    assert "Which learning rate" not in text


def test_status_of_one_study_tells_its_stages():
    record = replace(RECORD, state=StudyState.STOPPED, reason="interrupted")
    text = told(
        write_status, [record], {"digits": [*study()[:1], StageResults("stage2", METRIC, stage1(False).trials)]}, whole=True
    )
    assert "interrupted" in text and "Which learning rate" in text
    assert "stage2  not decided yet: 1 unfinished, 3 complete, 2 pruned, 1 diverged, 1 failed" in text


def test_status_of_one_study_tells_what_people_asked_for():
    asked = [WishRecord(1, Rate(lr=0.02), "ann@lab", 1_700_000_000.0), WishRecord(2, Note(text="a\nb\x1b[2J"), "bob@lab", 0.0)]
    first, second = told(write_status, [RECORD], {}, whole=True, wishes=asked).splitlines()[-2:]
    assert first.startswith("2023-11-1") and first.endswith("ann@lab  try lr 0.02 in stage1")
    assert second.endswith("bob@lab  note on the study: a b [2J")


def test_trials_are_listed_by_their_numbers():
    lines = told(write_trials, study()).splitlines()
    trial = study()[0].trials[0]
    assert lines[0].split() == ["stage1", "state", "step", "accuracy"]
    assert (
        lines[1].split()[:3] == [str(trial.number), trial.state.value, f"{trial.last:,}"] and f"lr {trial.plan.lr:g}" in lines[1]
    )
    assert sum(line.startswith("stage") for line in lines) == 3
    assert len([line for line in lines if line.strip()]) == 3 + sum(len(stage.trials) for stage in study())


def test_status_of_a_study_that_broke_tells_what_went_wrong_and_how_to_go_on(tmp_path):
    log = tmp_path / "tune.log"
    lines = [f"2026-01-01T00:00:0{n}+0000 WARNING process {n} died\n  a line of its traceback\n" for n in range(9)]
    log.write_text("2026-01-01T00:00:00+0000 INFO    stage1: WARNING is only a word here\n" + "".join(lines))
    record = replace(RECORD, state=StudyState.FAILED, reason="--task: it raised")
    text = told(write_status, [record], {}, whole=True, troubles=troubles(log))
    assert [line.split()[3] for line in text.splitlines() if "WARNING" in line] == list("345678")
    assert "traceback" not in text and "is only a word" not in text
    assert "--task: it raised" in text and "Go on with: tune resume digits" in text


def test_without_a_log_there_are_no_troubles(tmp_path):
    assert troubles(tmp_path / "none") == []


def test_without_studies_it_says_how_to_start_one():
    assert "tune run" in told(write_status, [], {})


def test_a_hostile_study_neither_moves_the_cursor_nor_becomes_markup():
    record = replace(
        RECORD, settings={"task": "\x1b[2J[red]x"}, owner="\x07[/red]", reason="[bold]\x1b]0;owned\x07", state=StudyState.FAILED
    )
    decision = DECISIONS[0].model_copy(
        update={"words": ("[link=file:///]\x1b[31m",), "warnings": ("[/]",), "question": "[x]\x1b"}
    )
    text = told(write_status, [record], {"digits": [replace(stage1(), decision=decision)]}, whole=True)
    assert not {"\x1b", "\x07"} & set(text)
    for part in ("[red]x", "[/red]", "[bold]", "[link=file:///]", "[/]", "[x]"):
        assert part in text
