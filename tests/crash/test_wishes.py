"""Is what people ask of a study done, by a driver that runs and by the next one, and by nobody else's?"""

import os
import signal

import pytest

from studies.ledger import Store
from studies.study import StudyState
from studies.trial import State
from tests.crash.home import STUDY
from tests.crash.test_kills import compare
from tests.crash.test_rivals import frozen
from tests.waiting import until
from tuner.cli import _run


@pytest.fixture
def store(home):
    store = Store(home.storage)
    yield store
    store.close()


def ask(home, *arguments) -> None:
    assert _run([*arguments[:1], STUDY, *arguments[1:], "--storage", home.storage]) == 0


def rates(store):
    """Those that the decision of stage 1 rests on."""
    return {candidate.plan.lr for candidate in store.decisions(STUDY)[0].evidence}


def told(store):
    return [(one.stage, one.winner, one.value, one.rule, one.words, one.warnings) for one in store.decisions(STUDY)]


def number_of(store, lr):
    return str(next(trial.number for trial in store.trials(STUDY, "stage1") if trial.plan.lr == lr))


def test_later_stages_and_export_follow_another_winner_until_it_is_taken_back_and_a_longer_curve_changes_nothing(
    home, store, best
):
    assert home.run() == 0, home.said
    ruled = told(store)
    left = store.trial(STUDY, "stage1", int(number_of(store, 0.001)))
    ask(home, "extend", "stage1", str(left.number), "--to", "60")
    ask(home, "overrule", "stage1", number_of(store, 0.1), "--reason", "it is the faster one")
    assert store.record(STUDY).state is StudyState.STOPPED
    assert home.run() == 0, home.said
    home.check_done()
    longer = next(trial for trial in store.trials(STUDY, "stage1") if trial.last == 60)
    assert (longer.plan, longer.begun, longer.state) == (left.plan.to(60), left.last, State.COMPLETE)
    assert longer.points[: len(left.points)] == left.points
    first, second, third = store.decisions(STUDY)
    assert first.winner.lr == 0.1 and first.runner_up == ruled[0][1]
    assert "overruled" in first.rule and "it is the faster one" in first.words[0]
    assert second.winner != ruled[1][1] and third.winner != ruled[2][1]
    assert home.best != best and f"lr: {third.winner.lr:g} " in home.best.decode()
    ask(home, "overrule", "stage1", "--take-back")
    assert home.run() == 0, home.said
    compare(home, best)
    assert told(store) == ruled


def stuck(home):
    """A driver in the middle of a training step, and the file that keeps it there."""
    (file := home.folder / "stuck").touch()
    driver = home.start()
    until(file.read_text)
    return driver, file


def test_rates_are_taken_up_by_the_next_driver_and_by_one_that_is_past_their_stage(home, store):
    driver, file = stuck(home)
    ask(home, "add", "--lr", "0.03")
    driver.kill()
    assert home.exit_code(driver) == -signal.SIGKILL
    assert store.record(STUDY).state is StudyState.STALE
    file.unlink()
    driver = frozen(home, "study.decided 1")
    assert 0.03 in rates(store)
    ask(home, "add", "--lr", "0.003")
    os.kill(driver.pid, signal.SIGCONT)
    assert home.exit_code(driver) == 0, home.said
    home.check_done()
    assert {0.03, 0.003} <= rates(store)


def test_a_driver_that_is_asked_to_stop_finishes_its_steps_saves_and_leaves(home, store):
    driver, file = stuck(home)
    ask(home, "stop")
    until(lambda: "asked to stop by" in home.said)
    assert driver.is_alive()
    file.unlink()
    assert home.exit_code(driver) == 130, home.said
    assert "again to go on" in home.said.splitlines()[-1]
    record = store.record(STUDY)
    assert (record.state, record.reason) == (StudyState.STOPPED, "asked to stop")
    home.check()
