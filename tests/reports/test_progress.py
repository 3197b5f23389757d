"""Is long work seen, live and in a log, and does seeing it cost next to nothing?"""

import io
import logging
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from reports import progress
from reports.dashboard.views import trial_log
from reports.progress import ROWS, ProgressView, log_to
from reports.stages import StageResults
from studies.errors import StorageError
from studies.plan import Plan, constant
from studies.recipe import Recipe
from studies.trial import Progress, State
from tests.reports.sample import HOSTILE, METRIC, TRACE, points, stage1, stage2, trial

QUESTION = "Which learning rate, and how many steps?"
PLAN = constant(Plan(), 0.1, 6000)


@pytest.fixture(autouse=True)
def clean_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def console(terminal=False, width=110):
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)


def feed(view, stage):
    view.stage(stage.name, QUESTION)
    view.planned([one.plan for one in stage.trials])
    for one in stage.trials:
        view.record(Progress(one.plan, one.points, one.begun))
        ended = State.COMPLETE if one.state is State.PRUNED else one.state
        view.record(Progress(one.plan, ended=ended, begun=one.begun, error=one.error))


def seen(view, width=110):
    out = console(width=width)
    out.print(view._draw())
    return out.file.getvalue()


def test_a_log_tells_every_end_and_the_decision(tmp_path):
    out = console()
    log_to(tmp_path / "study" / "tune.log", out)
    with (view := ProgressView(out)):
        feed(view, stage1())
        view.decided(stage1().decision)
    text = (tmp_path / "study" / "tune.log").read_text()
    assert text == out.file.getvalue()
    traceback = next(trial.error for trial in stage1().trials if trial.state is State.FAILED)
    dated = text.replace(f"\n{traceback}", "").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (INFO|WARNING) ", line) for line in dated)
    assert f"stage1: {QUESTION}" in text and "8 trials to be trained" in text
    assert (
        "lr 0.1, batch size 64, momentum 0.9, 6,000 steps, sgd, constant: train_loss 0.06016, val_loss 0.07518, accuracy 0.9604"
        in text
    )
    assert "diverged at step 400: lr 1, " in text and "train_loss is NaN at step 400" in text
    assert f"failed at step 0: lr 10, batch size 64, momentum 0.9, 6,000 steps, sgd, constant: ValueError: {HOSTILE}" in text
    assert "stage1 decided: 0.1 is the learning rate" in text


def test_of_a_log_each_trial_finds_its_own_lines(tmp_path):
    log_to(tmp_path / "tune.log", console())
    decayed = PLAN.but(recipe=Recipe(weight_decay=0.001))
    plans = [PLAN, PLAN.but(seed=1), PLAN.but(seed=11), decayed, decayed.but(recipe=Recipe(weight_decay=0.001, mixup=0.2))]
    feed(ProgressView(console()), StageResults("stage1", METRIC, [trial(i, plan, upto=100) for i, plan in enumerate(plans)]))
    feed(ProgressView(console()), stage1())
    text = (tmp_path / "tune.log").read_text()
    assert [trial_log(text, plan, "stage1").count("\n") for plan in plans] == [1, 0, 0, 0, 0]  # the first one's is in both
    for one in stage1().trials:
        assert ("diverged at" if one.number == 0 else "failed at" if one.number == 1 else "train_loss") in (
            trial_log(text, one.plan, "stage1")
        )


def test_a_disk_that_is_full_is_told_once_and_stops_nothing(capsys):
    out = console()
    log_to(Path("/dev/full"), out)
    for number in range(3):
        logging.getLogger("tuner").info("line %s", number)
    told = out.file.getvalue()
    assert told.count("/dev/full: cannot be written: [Errno 28] No space left on device") == 1
    assert "line 2" in told and "Logging error" not in capsys.readouterr().err


def test_the_log_is_said_once_and_goes_on_where_it_was(tmp_path):
    for word in ("first", "second"):
        log_to(tmp_path / "tune.log", console())
        logging.getLogger("tuner.pipeline").info(word)
    assert [line.split()[-1] for line in (tmp_path / "tune.log").read_text().splitlines()] == ["first", "second"]


def test_foreign_libraries_are_heard_from_warnings_upwards(tmp_path):
    log_to(tmp_path / "tune.log", console())
    logging.getLogger("somebody.else").info("chatter")
    logging.getLogger("somebody.else").warning("trouble \udcff")
    text = (tmp_path / "tune.log").read_text()
    assert "chatter" not in text and "trouble" in text


def test_a_terminal_shows_warnings_only_beside_the_live_view(tmp_path):
    out = console(terminal=True)
    log_to(tmp_path / "tune.log", out)
    logging.getLogger("tuner").info("quiet")
    logging.getLogger("tuner").warning("[red]loud[/red]")
    assert "quiet" not in out.file.getvalue() and "[red]loud[/red]" in out.file.getvalue()
    assert "quiet" in (tmp_path / "tune.log").read_text()


def test_where_the_log_cannot_be_written_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="tune.log: cannot be written"):
        log_to(tmp_path / "file" / "tune.log", console())


def test_a_terminal_sees_stage_trials_values_and_what_was_decided():
    out = console(terminal=True)
    with (view := ProgressView(out)):
        feed(view, stage1())
        text = seen(view)
        view.decided(stage1().decision)
        view.stage("stage2", "Which batch size?")
        later = seen(view)
    assert f"stage1  {QUESTION}" in text and "8 of 8 trials" not in text
    for part in ("lr 0.1, batch 64, m 0.9, constant", "6,000", "accuracy 0.9604", "diverged", "failed"):
        assert part in text
    assert "stage1: 0.1 is the learning rate" in later and "stage2  Which batch size?" in later and "accuracy 0.9604" not in later
    assert "stage2  Which batch size?" in out.file.getvalue()  # it was shown live, too


def test_a_narrow_terminal_and_many_trials_are_no_trouble():
    view = ProgressView(console(terminal=True, width=30))
    feed(view, stage2(tuple(range(8, 80, 2)), (0.0, 0.9)))
    text = seen(view, width=30)
    assert max(map(len, text.splitlines())) <= 30
    assert len(text.splitlines()) <= ROWS + 6


def test_steps_per_second_and_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    view = ProgressView(console())
    view.stage("stage1", QUESTION)
    view.planned([PLAN])
    for step in range(100, 3001, 100):
        now[0] += 0.5
        view.record(Progress(PLAN, points(PLAN, step)[-1:]))
    assert view._state() == "0 of 1 trial, 3,000 of 6,000 steps, 200 steps/s, about 15 s left"


def test_shared_beginnings_are_not_counted_as_pace(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    view = ProgressView(console())
    view.stage("stage3", QUESTION)
    view.planned([PLAN])
    for step in (5000, 5100, 5200):
        now[0] += 1
        view.record(Progress(PLAN, points(PLAN, step), begun=4900))
    assert "100 steps/s, about 8.0 s left" in view._state()


def test_a_trial_that_is_prolonged_has_its_goal_moved():
    view = ProgressView(console())
    view.stage("stage1", QUESTION)
    view.planned([PLAN.upto(600)])
    view.record(Progress(PLAN.upto(600), points(PLAN, 600), ended=State.COMPLETE))
    assert view._state().startswith("1 of 1 trial, 600 of 600 steps")
    view.planned([PLAN])
    assert view._state().startswith("0 of 1 trial, 600 of 6,000 steps")


def test_while_nothing_ends_the_log_still_beats(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    log_to(tmp_path / "tune.log", console())
    view = ProgressView(console())
    view.stage("stage1", QUESTION)
    view.planned([PLAN])
    for point in points(PLAN):
        now[0] += 1
        view.record(Progress(PLAN, (point,)))
    beats = [line for line in (tmp_path / "tune.log").read_text().splitlines() if "steps/s" in line]
    assert len(beats) == 5 and "100 steps/s" in beats[-1]


def test_a_record_costs_less_than_a_millisecond(tmp_path):
    log_to(tmp_path / "tune.log", console())
    out = console(terminal=True)
    given = points(PLAN)
    plans = [constant(Plan(seed=seed), 0.1, 6000) for seed in range(200)]
    with (view := ProgressView(out)):
        view.stage("stage1", QUESTION)
        view.planned(plans)
        began = time.thread_time()
        for point in given[:20]:
            for plan in plans:
                view.record(Progress(plan, (point,)))
        cost = (time.thread_time() - began) / (20 * len(plans))
    assert cost < 1e-3


def test_a_traceback_without_words_is_no_trouble():
    view = ProgressView(console())
    view.stage("stage1", QUESTION)
    for error in ("", TRACE, "\n\n"):
        view.record(Progress(PLAN.but(seed=len(error)), ended=State.FAILED, error=error))
    assert "3 of 3 trials" in view._state()
