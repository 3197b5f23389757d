"""What becomes of a study whose task raises, dies, hangs and meddles? Each plan ends as it must, its neighbours untouched."""

import shutil
from pathlib import Path

import psutil
import pytest

from studies.plan import constant
from studies.trial import State
from tests.tuner.runners import hostile
from tests.tuner.runners.hostile import WAYS, momentum
from tests.tuner.runners.records import BASE, run
from trainables.task import load_task
from tuner.runners import make_runner
from tuner.runners.job import Job

DIED = "3 workers in a row died of this plan without getting on"
LATE = "--trial-timeout"

BROKEN = {
    hostile.nan_at_once: (State.DIVERGED, "train loss is nan at step 10"),
    hostile.infinite_late: (State.DIVERGED, "at step 20"),
    hostile.raises_in_the_model: (State.FAILED, "RuntimeError: no model today"),
    hostile.raises_late: (State.FAILED, "RuntimeError: no longer"),
    hostile.raises_in_evaluate: (State.FAILED, "RuntimeError: not to be judged"),
    hostile.raises_what_cannot_be_pickled: (State.FAILED, "RuntimeError: not to be carried"),
    hostile.raises_what_cannot_be_shown: (State.FAILED, "Mute: <exception str() failed>"),
    hostile.recurses: (State.FAILED, "RecursionError: "),
    hostile.asks_for_an_exabyte: (State.FAILED, "RuntimeError: "),
    hostile.leaves_by_system_exit: (State.FAILED, "SystemExit: 3"),
    hostile.interrupts: (State.FAILED, "KeyboardInterrupt"),
    hostile.exits: (State.FAILED, "these are the last words"),
    hostile.aborts: (State.FAILED, "Fatal Python error: Aborted"),
    hostile.kills_itself: (State.FAILED, DIED),
    hostile.crashes_in_native_code: (State.FAILED, "Fatal Python error: Segmentation fault"),
    hostile.loops_for_ever: (State.FAILED, LATE),
    hostile.loops_for_ever_in_c: (State.FAILED, LATE),
    hostile.wrong_shape: (State.FAILED, "size"),
    hostile.nothing: (State.FAILED, "NoneType"),
    hostile.a_pair: (State.FAILED, "tuple"),
    hostile.integers: (State.FAILED, "does not require grad"),
    hostile.detached: (State.FAILED, "does not require grad"),
    hostile.turns_gradients_off: (State.FAILED, "does not require grad"),
}
"""What breaks a plan, and what is said of it."""

HARMLESS = [way for way in WAYS if way not in BROKEN]
STEPS = 40


def plan(way, seed=0):
    return constant(BASE.but(momentum=momentum(way), seed=seed), 0.05, STEPS)


ENDLESS = [hostile.loops_for_ever, hostile.loops_for_ever_in_c]
DEADLY = [hostile.interrupts, hostile.aborts, hostile.kills_itself]
"""Each costs new workers: among the long tests."""


def job_in(folder: Path) -> Job:
    shutil.copy(Path(hostile.__file__), task := folder / "hostile.py")
    spec = f"{task}:Hostile"
    return Job(spec, folder / "checkpoints", load_task(spec).fingerprint, eval_examples=80, folder=folder)


def carried_out(folder: Path, ways: list):
    """All of it in one run, calm plans between and after; and what they would be by themselves."""
    job = job_in(folder)
    expected = run(make_runner("serial", job), [plan(hostile.calm, seed) for seed in range(4)]).values()
    shutil.rmtree(job.checkpoints)
    runner = make_runner("ray", job)
    try:
        records = run(runner, [*map(plan, {hostile.calm, *ways}), *(plan(hostile.calm, seed) for seed in range(1, 4))])
        after = run(runner, [plan(hostile.calm, 9)])
    finally:
        runner.close()
    assert {p: records.values()[p] for p in expected} == expected
    assert set(after.ended.values()) == {State.COMPLETE}
    return records, expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def outcome(ray_session, folder):
    """Of all that come to an end and are not deadly, their neighbours untouched."""
    return carried_out(folder, [way for way in WAYS if way not in DEADLY + ENDLESS])


def test_there_are_many():
    assert len(WAYS) > 30


@pytest.mark.parametrize("way", [way for way in BROKEN if way not in DEADLY + ENDLESS], ids=lambda way: way.__name__)
def test_what_is_broken_ends_in_its_state_and_says_why(outcome, way):
    records, _ = outcome
    state, told = BROKEN[way]
    assert records.ended[plan(way)] is state and told in records.errors[plan(way)]


@pytest.mark.parametrize("way", HARMLESS, ids=lambda way: way.__name__)
def test_what_only_meddles_completes_as_if_it_had_not(outcome, way):
    records, expected = outcome
    assert records.ended[plan(way)] is State.COMPLETE, records.errors[plan(way)]
    if way not in (hostile.changes_the_default_type, hostile.changes_its_parameters):  # those train something else
        assert records.values()[plan(way)] == expected[plan(hostile.calm)]


def test_nothing_of_theirs_lives_on(outcome, folder):
    pids = (folder / "pids.txt").read_text().split()
    assert pids and not any(psutil.pid_exists(int(pid)) and _alive(int(pid)) for pid in pids)


@pytest.mark.parametrize("way", [ENDLESS[0], pytest.param(ENDLESS[1], marks=pytest.mark.long)], ids=lambda way: way.__name__)
def test_what_holds_its_process_for_ever_is_ended_when_nothing_is_heard_of_it_for_as_long_as_was_said(ray_session, tmp_path, way):
    runner = make_runner("ray", job_in(tmp_path), workers=1, trial_timeout=10.0)
    try:
        records = run(runner, [plan(way), plan(hostile.calm)])
    finally:
        runner.close()
    state, told = BROKEN[way]
    assert records.ended == {plan(way): state, plan(hostile.calm): State.COMPLETE} and told in records.errors[plan(way)]


@pytest.mark.long
def test_what_kills_its_process_has_failed_alone(ray_session, tmp_path):
    records, _ = carried_out(tmp_path, DEADLY)
    for way in DEADLY:
        state, told = BROKEN[way]
        assert records.ended[plan(way)] is state and told in records.errors[plan(way)]


def _alive(pid: int) -> bool:
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_who_closes_its_output_closes_nobody_elses(ray_session, tmp_path):
    runner = make_runner("ray", job_in(tmp_path), workers=1)
    try:
        for way in (hostile.closes_stdout, hostile.prints_without_end):
            records = run(runner, [plan(way)])
            assert records.ended[plan(way)] is State.COMPLETE, records.errors[plan(way)]
    finally:
        runner.close()
