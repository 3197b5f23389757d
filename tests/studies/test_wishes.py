"""Can a person ask for more, of a study that runs or not, and is nothing asked for lost or mixed up?"""

import math
import re
import sqlite3
import threading
import time

import pytest

from studies.decision import Decision
from studies.errors import InputError, Interrupted
from studies.finish import Fold
from studies.ledger import Store
from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe
from studies.schedule import Linear
from studies.study import StudyState
from studies.trial import Metric, Point, Progress, State
from studies.wish import Extend, Note, Overrule, Rate, in_force, read_wish
from tests.waiting import until

ACCURACY = Metric(name="accuracy", mode="max")
PLAN, BROKEN, OTHER = (constant(Plan(), rate, 100) for rate in (0.1, 1.0, 0.01))


def train(driver, stage="stage1", fingerprint=""):
    study = driver.stage(stage, ACCURACY, fingerprint)
    study.plan([PLAN, BROKEN])
    study.record(Progress(PLAN, (Point(100, {"accuracy": 0.5}),), ended=State.COMPLETE))
    study.record(Progress(BROKEN, (Point(10, {"accuracy": math.nan}),), ended=State.DIVERGED))
    return study


@pytest.fixture
def done(store):
    """A store with a study that is done, and another beside it."""
    for name in ("flowers", "weeds"):
        with store.drive(name, {}) as driver:
            train(driver)
            driver.done(driver.wishes())
    return store


WISHED = [
    Rate(lr=0.02),
    Extend(stage="stage1", plan=PLAN.to(200)),
    Overrule(stage="stage1", plan=PLAN, reason="smoother\nthan the others \0 <b>"),
    Overrule(stage="stage1"),
    Note(text="look at this"),
    Note(text="and this", stage="stage1", number=0),
]


def test_wishes_come_back_as_they_were_written_and_touch_no_other_study(done):
    written = [done.wish("flowers", wish, "me@here") for wish in WISHED]
    assert done.wishes("flowers") == written
    assert [record.wish for record in written] == WISHED
    assert {record.who for record in written} == {"me@here"} and abs(written[0].written - time.time()) < 60
    assert done.wishes("weeds") == [] and done.record("weeds").state is StudyState.DONE


@pytest.mark.parametrize("wish", WISHED[:3], ids=lambda wish: wish.kind)
def test_work_for_a_study_that_nobody_runs_stops_it_and_says_how_to_go_on(done, wish):
    done.wish("flowers", wish)
    record = done.record("flowers")
    assert record.state is StudyState.STOPPED
    assert record.reason == f"asked to {wish.words}; take it up with: tune resume flowers"


def test_a_wish_says_what_tells_its_trial_from_the_others_of_its_stage():
    trick = PLAN.but(recipe=Recipe(mixup=0.4), seed=1)
    assert Extend(stage="stage4", plan=trick).words == (
        "follow lr 0.1, batch size 64, momentum 0.9, mixup 0.4, seed 1 of stage4 to step 100"
    )
    decay = PLAN.then(Segment(steps=50, rate=Linear(lr=0.1, over=50))).but(finish=Fold(index=0, of=5))
    assert "momentum 0.9, constant, linear to 0 from step 100, fold 1 of 5 win stage3" in (
        Overrule(stage="stage3", plan=decay, reason="so").words
    )


def test_a_note_asks_for_no_work(done):
    done.wish("flowers", WISHED[-1])
    assert (done.record("flowers").state, done.record("flowers").reason) == (StudyState.DONE, "")


def test_a_driver_is_done_with_what_it_has_heeded_only(store):
    with store.drive("flowers", {}) as driver:
        train(driver)
        store.wish("flowers", Rate(lr=0.02))
        assert store.record("flowers").state is StudyState.RUNNING
        heeded = driver.wishes()
        store.wish("flowers", Note(text="a note is no work"))
        driver.done(heeded)
    assert store.record("flowers").state is StudyState.DONE
    with store.drive("flowers", {}) as driver:
        driver.done(driver.wishes())
        store.wish("flowers", Rate(lr=0.03))
    assert store.record("flowers").state is StudyState.STOPPED
    assert "try lr 0.03 in stage1; take it up" in store.record("flowers").reason


IMPOSSIBLE = {
    "no such stage": (Extend(stage="stage9", plan=PLAN.to(200)), "no stage 'stage9'; there are: stage1"),
    "no such plan": (Overrule(stage="stage1", plan=OTHER, reason="so"), "no trial of this plan"),
    "no later end": (Extend(stage="stage1", plan=PLAN), "step 100 already; expected a later end, got 100"),
    "to go on where it diverged": (Extend(stage="stage1", plan=BROKEN.to(200)), "trial 1 of stage1 diverged"),
    "a diverged winner": (Overrule(stage="stage1", plan=BROKEN, reason="so"), "trial 1 of stage1 diverged"),
    "another winner where none is chosen": (Overrule(stage="stage5", plan=PLAN, reason="so"), "stage5 chooses no winner"),
    "nothing to take back": (Overrule(stage="stage1"), "nothing to take back"),
    "a note on no such stage": (Note(text="x", stage="stage2"), "no stage 'stage2'"),
    "a note on no such trial": (Note(text="x", stage="stage1", number=2), "no trial 2"),
    "a note on a trial of no stage": (Note(text="x", number=0), "of which stage? there are: stage1"),
}


@pytest.mark.parametrize("wish, told", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_cannot_be_is_refused_and_not_written(done, wish, told):
    with pytest.raises(InputError, match=re.escape(told)):
        done.wish("flowers", wish)
    assert done.wishes("flowers") == [] and done.record("flowers").state is StudyState.DONE


def test_of_an_unknown_study_nothing_can_be_asked(done):
    for ask in (lambda: done.wish("trees", Rate(lr=1)), lambda: done.stop("trees"), lambda: done.trial("trees", "stage1", 0)):
        with pytest.raises(InputError, match="no study 'trees'.*there are: flowers, weeds"):
            ask()


@pytest.mark.parametrize(
    "content, told",
    [
        ({"kind": "rate", "lr": 0}, "rate.lr: input should be greater than or equal to 0.0000000001; got 0"),
        ({"kind": "rate", "lr": 5e-324}, "rate.lr: input should be greater than or equal to 0.0000000001; got 5e-324"),
        ({"kind": "rate", "lr": math.nan}, "rate.lr: input should be a finite number"),
        ({"kind": "rate", "lr": True}, "rate.lr: input should be a valid number"),
        ({"kind": "note", "text": " \n"}, "note.text: string should have at least 1 character"),
        ({"kind": "note", "text": "x" * 10_001}, "note.text: string should have at most 10000 characters"),
        ({"kind": "note", "text": "x", "number": -1}, "note.number: input should be greater than or equal to 0"),
        ({"kind": "overrule", "stage": "stage1", "plan": PLAN.model_dump(), "reason": " "}, "expected why this plan is to win"),
        ({"kind": "hope"}, "expected tags: 'rate', 'extend', 'overrule', 'note'"),
        ([], "dictionary"),
    ],
)
def test_nonsense_is_told_by_its_key(content, told):
    with pytest.raises(InputError) as refused:
        read_wish(content)
    assert told in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_of_overrulings_the_last_is_in_force_until_it_is_taken_back(done):
    def winner(stage="stage1"):
        return [record.wish.reason for record in in_force(done.wishes("flowers"), stage) if isinstance(record.wish, Overrule)]

    for reason in ("first", "second"):
        done.wish("flowers", Overrule(stage="stage1", plan=PLAN, reason=reason))
        assert winner() == [reason] and winner("stage2") == []
    done.wish("flowers", Overrule(stage="stage1"))
    assert winner() == []
    done.wish("flowers", Rate(lr=0.02))
    assert [record.wish for record in in_force(done.wishes("flowers"), "stage1")] == [Rate(lr=0.02)]


def test_what_was_asked_of_trials_of_a_task_before_its_edit_is_past(done):
    for wish in (Rate(lr=0.02), Extend(stage="stage1", plan=PLAN.to(200)), Note(text="x", stage="stage1")):
        done.wish("flowers", wish)
    with done.drive("flowers", {}) as driver:
        train(driver, fingerprint="edited")
    assert [record.past for record in done.wishes("flowers")] == [False, True, False]
    assert [record.wish.kind for record in in_force(done.wishes("flowers"), "stage1")] == ["rate"]


def test_an_extension_that_failed_is_tried_again_by_the_next_driver_to_the_end_that_was_asked_for_last(done):
    for end in (500, 200):
        done.wish("flowers", Extend(stage="stage1", plan=PLAN.to(end)))
        with done.drive("flowers", {}) as driver:
            study = driver.stage("stage1", ACCURACY)
            study.decide(Decision(stage="stage1", question="?", metric=ACCURACY, winner=PLAN, value=0.5, rule="the best"))
            study.plan([PLAN.to(end)])
            study.record(Progress(PLAN.to(end), begun=100, ended=State.FAILED, error="the disk is full"))
    with pytest.raises(InputError, match="failed"):
        done.wish("flowers", Overrule(stage="stage1", plan=PLAN, reason="so"))
    with done.drive("flowers", {}) as driver:
        latest = driver.stage("stage1", ACCURACY).trials()[-1]
    assert (latest.plan, latest.state, latest.last) == (PLAN.to(200), State.RUNNING, 100)


def wish_for_ever(url, pipe):
    store = Store(url)
    for number in range(100_000):
        store.wish("flowers", Note(text=str(number)))
        pipe.send(number)


def test_a_wish_that_was_acknowledged_survives_the_death_of_who_wrote_it(done, start):
    process, pipe = start(wish_for_ever, done.url)
    acknowledged = pipe.recv()
    time.sleep(0.1)
    process.kill()
    process.join()
    while pipe.poll() and (number := _received(pipe)) is not None:
        acknowledged = number
    told = [record.text for record in done.wishes("flowers")]
    assert told == [str(number) for number in range(len(told))] and len(told) in (acknowledged + 1, acknowledged + 2)


def _received(pipe):
    try:
        return pipe.recv()
    except EOFError:
        return None


def test_a_driver_that_is_asked_to_stop_is_told_within_two_seconds_and_no_other_is(done):
    asked, weeds = threading.Event(), threading.Event()
    with done.drive("weeds", {}) as other, pytest.raises(Interrupted), done.drive("flowers", {}) as driver:
        driver.on_stop(asked.set)
        other.on_stop(weeds.set)
        began = time.monotonic()
        assert done.stop("flowers").state is StudyState.RUNNING
        assert asked.wait(10) and time.monotonic() - began < 2.5
        raise Interrupted("stopped")
    assert (done.record("flowers").state, done.record("flowers").reason) == (StudyState.STOPPED, "asked to stop")
    assert not weeds.is_set()


def test_what_is_to_be_done_at_a_stop_may_be_said_after_it(done):
    with done.drive("flowers", {}) as driver:
        done.stop("flowers")
        until(lambda: driver._lease.asked_to_stop)
        asked = threading.Event()
        driver.on_stop(asked.set)
        assert asked.is_set()


def test_a_stop_that_was_asked_of_a_former_driver_is_none_of_the_next_ones(done):
    with done.drive("flowers", {}):
        done.stop("flowers")
    with done.drive("flowers", {}) as driver:
        asked = threading.Event()
        driver.on_stop(asked.set)
        driver._lease._look()
        assert not asked.is_set()


def test_only_what_runs_can_be_stopped(done):
    with pytest.raises(InputError, match="stop: study 'flowers' is not running, it is done"):
        done.stop("flowers")


def test_one_trial_is_read_without_the_others(done):
    for number in (0, 1):
        assert repr(done.trial("flowers", "stage1", number)) == repr(done.trials("flowers", "stage1")[number])  # nan is not nan
    for number in (7, -1, 2**40, 10**30):
        with pytest.raises(InputError, match=f"stage1 of study 'flowers' has no trial {number}"):
            done.trial("flowers", "stage1", number)


def test_a_database_of_an_earlier_version_gets_the_tables_it_lacks(done, tmp_path):
    if not done.url.startswith("sqlite"):
        pytest.skip("SQLite stands for all")
    with sqlite3.connect(tmp_path / "studies.db") as database:
        database.executescript("drop table tuner_wishes; drop table tuner_stops")
    store = Store(done.url)
    assert store.wish("flowers", Rate(lr=0.02)).number == 1
    store.close()
