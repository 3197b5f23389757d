"""Does a store keep what a study promises, whatever the database?"""

import json
import math
import os
import socket
import time

import optuna
import pytest

from studies.decision import Candidate, Decision
from studies.errors import BusyError, InputError, Interrupted, StageError, TuneError
from studies.ledger import Store
from studies.optuna_study import DISTRIBUTIONS
from studies.plan import Plan, Segment, constant
from studies.schedule import Exponential, Linear, Warmup
from studies.study import StudyState
from studies.trial import Metric, Point, Progress, State

ACCURACY = Metric(name="accuracy", mode="max")
SETTINGS = {"task": "digits", "workdir": "tune-runs", "max_steps": 100}
BASE = Plan(batch_size=32, momentum=0.9)
PLAN = constant(BASE, 0.1, 100)
OTHER = constant(BASE, 0.01, 100)


def points(*steps, accuracy=None, **more):
    """Points at these steps; the accuracy is a thousandth of the step unless it is given."""
    value = {} if accuracy is None else {"accuracy": accuracy}
    return tuple(Point(step, {"train_loss": 1 / step, "accuracy": step / 1000, **value, **more}, step * 0.5) for step in steps)


def decision(*evidence, winner=PLAN, **changes):
    content = {
        "stage": "stage1",
        "question": "Which rate?",
        "metric": ACCURACY,
        "winner": winner,
        "value": 0.1,
        "rule": "the best",
    }
    return Decision(**{**content, **changes}, evidence=evidence)


@pytest.fixture
def study(store):
    with store.drive("flowers", SETTINGS) as driver:
        yield driver.stage("stage1", ACCURACY)


class TestStudy:
    """The contract of studies.study.Study."""

    def test_planned_trials_are_open_and_come_in_the_order_of_planning(self, study):
        study.plan([PLAN, OTHER])
        assert [(trial.number, trial.plan, trial.state, trial.points) for trial in study.trials()] == [
            (0, PLAN, State.RUNNING, ()),
            (1, OTHER, State.RUNNING, ()),
        ]

    def test_planning_twice_adds_nothing(self, study):
        study.plan([PLAN, PLAN])
        study.plan([PLAN, OTHER, PLAN.upto(50)])
        assert [trial.plan for trial in study.trials()] == [PLAN, OTHER]

    def test_a_later_end_is_the_same_trial_going_on(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(50, 100), ended=State.COMPLETE))
        study.plan([PLAN.to(200), PLAN.to(150)])
        (trial,) = study.trials()
        assert (trial.number, trial.plan, trial.last, trial.state) == (0, PLAN.to(200), 100, State.RUNNING)

    def test_points_come_back_as_they_were_recorded(self, study):
        study.plan([PLAN])
        recorded = points(10, 20, val_loss=math.inf) + points(30, accuracy=0.123456789012345678)
        study.record(Progress(PLAN, recorded))
        assert study.trials()[0].points == recorded

    def test_what_is_not_finite_is_kept(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(10, val_loss=math.nan, update_ratio=-math.inf)))
        values = study.trials()[0].points[0].values
        assert math.isnan(values["val_loss"]) and values["update_ratio"] == -math.inf

    def test_a_known_step_is_left_as_it_is_and_new_ones_fall_into_their_places(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(20, 40)))
        study.record(Progress(PLAN, points(10, 20, 30, 30, accuracy=0.9)))
        assert study.trials()[0].curve("accuracy") == [(10, 0.9), (20, 0.02), (30, 0.9), (40, 0.04)]

    def test_begun_is_that_of_the_first_report(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(60), begun=50))
        study.record(Progress(PLAN, points(80), begun=70))
        assert study.trials()[0].begun == 50

    def test_a_trial_that_left_before_its_first_point_had_begun(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN))
        study.record(Progress(PLAN))  # saved at step 3, and left
        study.record(Progress(PLAN, begun=3))
        study.record(Progress(PLAN, points(60), begun=3))
        assert study.trials()[0].begun == 0

    def test_a_trial_that_reached_its_end_stays_open_until_the_decision(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(100), ended=State.COMPLETE))
        assert study.trials()[0].state is State.RUNNING

    def test_a_diverged_trial_is_closed_at_once_with_its_reason_and_stays_so(self, study):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(10, accuracy=math.nan), ended=State.DIVERGED, error="loss is nan at step 10"))
        study.record(Progress(PLAN, points(10), ended=State.FAILED, error="late"))
        study.plan([PLAN.to(500)])
        (trial,) = study.trials()
        assert (trial.state, trial.error, trial.broken) == (State.DIVERGED, "loss is nan at step 10", True)

    def test_a_failed_trial_keeps_its_traceback_and_may_be_tried_again_in_a_new_row(self, study):
        traceback = "Traceback\n  File '\udcff.py'\nValueError: \0 <b>no</b>\n"
        study.plan([PLAN])
        study.record(Progress(PLAN, points(10), ended=State.FAILED, error=traceback))
        study.plan([PLAN])
        failed, again = study.trials()
        assert failed.error == "Traceback\n  File '\\udcff.py'\nValueError: \\x00 <b>no</b>\n"
        assert (again.state, again.points, again.begun) == (State.RUNNING, failed.points, 10)

    def test_the_next_driver_tries_once_more_what_failed_until_it_is_decided(self, store):
        def drive(decided):
            """What the stage's trials are as the driver finds them; then the last one fails."""
            with store.drive("wasps", SETTINGS) as driver:
                study = driver.stage("stage1", ACCURACY)
                found = [trial.state for trial in study.trials()]
                study.plan([] if found else [PLAN])
                study.record(Progress(PLAN, points(10), ended=State.FAILED, error="no disk"))
                if decided:
                    study.decide(decision())
                return found

        assert drive(False) == []
        assert drive(True) == [State.FAILED, State.RUNNING]
        assert drive(True) == [State.FAILED, State.FAILED]

    def test_a_plan_that_nobody_planned_is_refused(self, study):
        with pytest.raises(ValueError, match=f"flowers/stage1 has no row for the plan {PLAN.id}: it was not planned"):
            study.record(Progress(PLAN, points(10)))

    def test_the_decision_closes_every_row_as_its_candidate_says(self, study):
        plans = [constant(BASE, rate, 100) for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
        study.plan(plans)
        for plan, steps in zip(plans, (100, 100, 100, 60, 100, 30)):
            study.record(Progress(plan, points(*range(10, steps + 1, 10))))
        states = (State.COMPLETE, State.PRUNED, State.DIVERGED, State.FAILED)
        named = [Candidate(label="a", plan=plan, trials=(n,), state=state) for n, (plan, state) in enumerate(zip(plans, states))]
        study.decide(decision(*named))
        assert [trial.state for trial in study.trials()] == [*states, State.COMPLETE, State.PRUNED]

    @pytest.mark.parametrize("last", [math.nan, math.inf, -math.inf])
    def test_what_is_not_finite_at_its_end_is_never_complete(self, study, store, last):
        study.plan([PLAN, OTHER])
        study.record(Progress(PLAN, points(50) + points(100, accuracy=last)))
        study.record(Progress(OTHER, points(100, accuracy=0.2)))
        study.decide(decision(Candidate(label="a", plan=PLAN, trials=(0,))))
        assert [trial.state for trial in study.trials()] == [State.PRUNED, State.COMPLETE]
        assert optuna.load_study(study_name="flowers/stage1", storage=store.url).best_trial.number == 1

    def test_a_closed_row_that_is_taken_up_again_continues_in_a_new_one(self, study, store):
        study.plan([PLAN, OTHER])
        study.record(Progress(PLAN, points(50, 100)))
        study.decide(decision())
        study.plan([PLAN, OTHER.upto(50)])
        assert [trial.state for trial in study.trials()] == [State.COMPLETE, State.PRUNED, State.RUNNING]
        study.plan([PLAN.to(200)])
        study.record(Progress(PLAN.to(200), points(100, 150, 200), begun=100))
        study.decide(decision(winner=PLAN.to(200)))
        continued = study.trials()[-1]
        assert (continued.plan, continued.begun) == (PLAN.to(200), 100)
        assert continued.points == points(50, 100, 150, 200)
        frozen = optuna.load_study(study_name="flowers/stage1", storage=store.url).trials
        assert [trial.user_attrs.get("continues") for trial in frozen] == [None, None, 1, 0]

    def test_deciding_again_replaces_the_decision_and_closes_what_was_opened_since(self, study, store):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(100)))
        study.decide(decision())
        study.decide(decision())
        study.plan([OTHER])
        study.record(Progress(OTHER, points(100)))
        study.decide(decision(winner=OTHER, warnings=("the best is at the edge",)))
        assert store.decisions("flowers") == [decision(winner=OTHER, warnings=("the best is at the edge",))]
        assert {trial.state for trial in study.trials()} == {State.COMPLETE}

    def test_going_on_finds_everything(self, store):
        with store.drive("flowers", SETTINGS) as driver:
            study = driver.stage("stage1", ACCURACY)
            study.plan([PLAN, OTHER])
            study.record(Progress(PLAN, points(50), begun=10))
            before = study.trials()
        with store.drive("flowers", SETTINGS) as driver:
            study = driver.stage("stage1", ACCURACY)
            study.plan([PLAN, OTHER])
            assert study.trials() == before

    def test_a_metric_that_nothing_was_measured_by_can_be_changed(self, store, study):
        loss = Metric(name="val_loss", mode="min")
        with store.drive("gnats", SETTINGS) as driver:
            driver.stage("stage1", Metric(name="accurracy", mode="max")).plan([PLAN])
        with store.drive("gnats", SETTINGS) as driver:
            other = driver.stage("stage1", loss)
            assert other.trials() == [] and store.metric("gnats", "stage1") == loss
            other.plan([PLAN])
            other.record(Progress(PLAN, points(50)))
        assert optuna.load_study(study_name="gnats/stage1", storage=store.url).direction.name == "MINIMIZE"

    def test_another_metric_is_refused(self, store, study):
        with store.drive("moths", SETTINGS) as driver:
            study = driver.stage("stage1", ACCURACY)
            study.plan([PLAN])
            study.record(Progress(PLAN, points(50)))
            refusal = r"--metric: stage1 of study 'moths' was begun with accuracy \(max\), got val_loss \(min\)"
            with pytest.raises(InputError, match=refusal):
                driver.stage("stage1", Metric(name="val_loss", mode="min"))

    def test_a_study_deleted_with_optunas_tools_leaves_nothing_behind_in_a_new_one(self, study, store):
        study.plan([PLAN])
        study.record(Progress(PLAN, points(100)))
        optuna.delete_study(study_name="flowers/stage1", storage=store.url)
        assert store.trials("flowers", "stage1") == []
        with store.drive("moths", SETTINGS) as driver:
            moths = driver.stage("stage1", ACCURACY)
            moths.plan([PLAN])
            assert [(trial.number, trial.points) for trial in moths.trials()] == [(0, ())]


class TestOptunaUsers:
    """What somebody sees who only knows Optuna."""

    def test_params_states_values_and_attributes(self, study, store):
        warm = Warmup(lr=0.1, start=0.0, over=10)
        trunk = BASE.then(Segment(steps=10, rate=warm)).then(Segment(steps=50, rate=constant(BASE, 0.1, 1).segments[0].rate))
        linear = trunk.then(Segment(steps=40, rate=Linear(lr=0.1, over=40, interval=10)))
        decay = trunk.then(Segment(steps=40, rate=Exponential(lr=0.1, factor=0.5, interval=20)))
        study.plan([trunk, linear, decay.but(seed=7, optimizer="somebody's own")])
        study.record(Progress(trunk, points(60)))
        study.record(Progress(linear, points(100)))
        study.record(Progress(decay.but(seed=7, optimizer="somebody's own"), points(80)))
        written = decision(Candidate(label="linear", plan=linear, trials=(1,), outcome="winner"), winner=linear)
        study.decide(written)

        seen = optuna.load_study(study_name="flowers/stage1", storage=store.url)
        common = {"lr": 0.1, "batch_size": 32, "momentum": 0.9}
        assert [trial.params for trial in seen.trials] == [
            {**common, "optimizer": "sgd", "seed": 0},
            {**common, "optimizer": "sgd", "seed": 0, "schedule": "linear", "start": 60, "interval": 10},
            {**common, "seed": 7, "schedule": "exponential", "start": 60, "interval": 20, "factor": 0.5},
        ]
        assert all(trial.distributions == {name: DISTRIBUTIONS[name] for name in trial.params} for trial in seen.trials)
        assert [(trial.state.name, trial.value) for trial in seen.trials] == [
            ("COMPLETE", 0.06),
            ("COMPLETE", 0.1),
            ("PRUNED", 0.08),
        ]
        assert (seen.direction.name, seen.best_trial.number) == ("MAXIMIZE", 1)
        attributes = {"stage": "stage1", "plan_id": linear.id, "step_nums": 100, "outcome": "winner"}
        assert seen.best_trial.user_attrs == attributes
        assert seen.user_attrs == {"task": "digits", "metric": "accuracy", "decision": json.loads(json.dumps(written.summary()))}
        frame = seen.trials_dataframe()
        assert list(frame["params_lr"]) == [0.1] * 3 and list(frame["user_attrs_plan_id"])[:2] == [trunk.id, linear.id]

    def test_broken_trials(self, study, store):
        study.plan([PLAN, OTHER])
        study.record(Progress(PLAN, points(10), ended=State.DIVERGED, error="the loss is nan"))
        study.record(Progress(OTHER, ended=State.FAILED, error="x" * 30_000 + "ValueError"))
        diverged, failed = optuna.load_study(study_name="flowers/stage1", storage=store.url).trials
        assert (diverged.state.name, diverged.user_attrs["outcome"]) == ("PRUNED", "diverged")
        assert diverged.user_attrs["reason"] == "the loss is nan"
        assert (failed.state.name, failed.user_attrs["outcome"]) == ("FAIL", "failed")
        assert failed.user_attrs["error"].endswith("xValueError") and len(failed.user_attrs["error"]) == 20_000

    def test_an_extended_plan_shows_its_new_end(self, study, store):
        study.plan([PLAN])
        study.plan([PLAN.to(200)])
        (trial,) = optuna.load_study(study_name="flowers/stage1", storage=store.url).trials
        assert (trial.user_attrs["step_nums"], trial.user_attrs["plan_id"]) == (200, PLAN.to(200).id)

    def test_rows_that_somebody_closed_or_added_by_hand_do_not_stop_the_decision(self, study, store):
        study.plan([PLAN, OTHER])
        study.record(Progress(PLAN, points(100)))
        by_hand = optuna.load_study(study_name="flowers/stage1", storage=store.url)
        by_hand.tell(0, state=optuna.trial.TrialState.FAIL)
        by_hand.ask()
        study.decide(decision())
        assert [(trial.number, trial.state) for trial in study.trials()] == [(0, State.COMPLETE), (1, State.PRUNED)]

    def test_optunas_own_plots_find_one_search_space(self, study, store):
        study.plan([constant(BASE.but(batch_size=size, momentum=m), 0.1, 10) for size in (8, 16) for m in (0.5, 0.9)])
        for n, trial in enumerate(study.trials()):
            study.record(Progress(trial.plan, points(10, accuracy=n / 10)))
        study.decide(decision())
        seen = optuna.load_study(study_name="flowers/stage1", storage=store.url)
        space = optuna.search_space.intersection_search_space(seen.trials)
        assert set(space) == {"lr", "batch_size", "momentum", "optimizer", "seed"}


class TestStore:
    """The studies of a database, and who drives them."""

    def test_how_a_study_ends(self, store):
        def state():
            return store.record("flowers").state, store.record("flowers").reason

        with store.drive("flowers", SETTINGS) as driver:
            assert state() == (StudyState.RUNNING, "")
            driver.done()
        assert state() == (StudyState.DONE, "")
        with store.drive("flowers", SETTINGS):
            pass
        assert state() == (StudyState.STOPPED, "")
        for error, expected in (
            (Interrupted("stopped"), (StudyState.STOPPED, "interrupted")),
            (KeyboardInterrupt(), (StudyState.STOPPED, "interrupted")),
            (StageError("every rate diverged"), (StudyState.FAILED, "every rate diverged")),
            (ZeroDivisionError("a\0defect"), (StudyState.FAILED, "ZeroDivisionError: a\\x00defect")),
        ):
            with pytest.raises(type(error)), store.drive("flowers", SETTINGS) as driver:
                driver.done()
                raise error
            assert state() == expected

    @pytest.mark.parametrize("error", [InputError("--device: ..."), TuneError("no Ray at --address x:1")])
    def test_what_is_refused_leaves_a_study_as_it_was(self, store, error):
        with pytest.raises(TuneError), store.drive("flowers", SETTINGS | {"device": "cuda"}):
            raise error
        record = store.record("flowers")
        assert (record.state, record.reason) == (StudyState.FAILED, str(error))
        assert record.settings == {"task": "digits", "workdir": "tune-runs"}
        with store.drive("flowers", SETTINGS | {"seed": 3}) as driver:
            driver.done()
        before = store.record("flowers")
        with pytest.raises(TuneError), store.drive("flowers", SETTINGS | {"device": "cuda"}):
            raise error
        after = store.record("flowers")
        assert after.settings == before.settings and (after.state is StudyState.DONE) == isinstance(error, InputError)

    def test_a_record_says_what_is_needed_to_go_on(self, store):
        before = time.time()
        with store.drive("flowers", {"task": "old"}):
            pass
        with store.drive("flowers", SETTINGS) as driver:
            created = store.record("flowers").created
            driver.stage("stage1", ACCURACY).plan([PLAN])
            record = store.record("flowers")
        assert record.settings == SETTINGS
        assert before - 1 <= created == record.created <= record.updated <= time.time() + 1
        assert record.owner == f"{socket.gethostname()}:{os.getpid()}"

    def test_studies_stages_and_decisions_come_in_order(self, store):
        for name in ("flowers", "ants"):
            with store.drive(name, SETTINGS) as driver:
                for stage in ("stage2", "stage1", "stage3"):
                    study = driver.stage(stage, ACCURACY)
                    study.decide(decision(stage=stage))
                driver.stage("stage2", ACCURACY).decide(decision(stage="stage2", value=0.2))
                driver.stage("stage4", ACCURACY)
        assert [record.name for record in store.studies()] == ["flowers", "ants"]
        assert store.stages("ants") == ["stage2", "stage1", "stage3", "stage4"]
        assert (store.metric("ants", "stage4"), store.metric("ants", "stage5")) == (ACCURACY, None)
        assert [(d.stage, d.value) for d in store.decisions("ants")] == [("stage2", 0.2), ("stage1", 0.1), ("stage3", 0.1)]

    def test_an_edited_task_begins_anew_and_keeps_the_old_trials_as_history(self, store):
        with store.drive("flowers", SETTINGS) as driver:
            old = driver.stage("stage1", ACCURACY, fingerprint="before")
            old.plan([PLAN, OTHER])
            old.record(Progress(PLAN, points(100), ended=State.COMPLETE))
            old.decide(decision())
            old.plan([constant(BASE, 0.5, 100)])
        with store.drive("flowers", SETTINGS) as driver:
            new = driver.stage("stage1", ACCURACY, fingerprint="after")
            assert new.trials() == [] == store.trials("flowers", "stage1") and store.decisions("flowers") == []
            new.plan([PLAN])
            assert [trial.points for trial in new.trials()] == [()]
        rows = optuna.load_study(study_name="flowers/stage1", storage=store.url).trials
        assert [row.state.name for row in rows] == ["COMPLETE", "PRUNED", "PRUNED", "RUNNING"]
        assert rows[2].user_attrs["outcome"] == "the task was edited"

    def test_another_winner_puts_the_decisions_that_rested_on_it_out_of_force(self, store):
        with store.drive("flowers", SETTINGS) as driver:
            first, second = driver.stage("stage1", ACCURACY), driver.stage("stage2", ACCURACY)
            first.decide(decision())
            second.decide(decision(stage="stage2"))
            first.decide(decision())
            first.decide(decision(value=0.2))
            assert [d.stage for d in store.decisions("flowers")] == ["stage1", "stage2"]
            first.decide(decision(winner=OTHER))
            assert [d.stage for d in store.decisions("flowers")] == ["stage1"]
            second.decide(decision(stage="stage2"))
            assert [d.stage for d in store.decisions("flowers")] == ["stage1", "stage2"]

    def test_an_unknown_study_names_those_there_are(self, store):
        with pytest.raises(InputError, match="--study: no study 'moths' in .*; there is none yet"):
            store.record("moths")
        for name in ("flowers", "ants"):
            with store.drive(name, SETTINGS):
                pass
        with pytest.raises(InputError, match="--study: no study 'moths' in .*; there are: flowers, ants"):
            store.record("moths")
        assert (store.stages("moths"), store.decisions("moths"), store.trials("moths", "stage1")) == ([], [], [])

    def test_hostile_names_are_refused(self, store):
        for name in ("", "<b>x</b>", "a\nb", "../up", "a/b", "x" * 81, "-x"):
            with pytest.raises(InputError, match="--study: expected 1 to 80 letters"), store.drive(name, SETTINGS):
                pass
        assert store.studies() == []

    def test_names_that_differ_in_case_are_two_studies_or_refused(self, store):
        with store.drive("flowers", SETTINGS) as driver:
            driver.done()
        if store.url.startswith("mysql"):
            with pytest.raises(InputError, match="cannot tell 'Flowers' from its study 'flowers'"), store.drive("Flowers", {}):
                pass
        else:
            with store.drive("Flowers", {}):
                pass
        assert store.record("flowers").settings == SETTINGS and store.record("flowers").state is StudyState.DONE

    def test_a_second_driver_is_refused_and_told_who_is_the_first(self, store, storage_url):
        with store.drive("flowers", SETTINGS):
            refusal = r"study 'flowers' is being run by process \d+ on \S+, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d; wait for it"
            with pytest.raises(BusyError, match=refusal), Store(storage_url).drive("flowers", {}):
                pass
            assert store.record("flowers").settings == SETTINGS
            with store.drive("moths", SETTINGS):
                pass
        with store.drive("flowers", SETTINGS):
            pass

    def test_a_driver_writes_nothing_after_it_has_left(self, store):
        with store.drive("flowers", SETTINGS) as driver:
            study = driver.stage("stage1", ACCURACY)
            study.plan([PLAN])
        for write in (
            lambda: study.plan([OTHER]),
            lambda: study.record(Progress(PLAN, points(10))),
            lambda: study.decide(decision()),
            lambda: driver.stage("stage2", ACCURACY),
        ):
            with pytest.raises(BusyError):
                write()
        assert [(trial.plan, trial.points) for trial in store.trials("flowers", "stage1")] == [(PLAN, ())]
        assert (store.decisions("flowers"), store.stages("flowers")) == ([], ["stage1"])

    def test_an_error_in_the_middle_of_a_write_leaves_nothing_of_it(self, store, study):
        study.plan([PLAN])
        with pytest.raises(TypeError):
            study.record(Progress(PLAN, points(10) + (Point(20, {"accuracy": None}),)))
        with pytest.raises(AttributeError):
            study.plan([OTHER, None])
        assert [(trial.plan, trial.points) for trial in study.trials()] == [(PLAN, ())]
        study.record(Progress(PLAN, points(10)))

    def test_thinned_curves_keep_their_ends(self, store, study):
        study.plan([PLAN.to(1000), OTHER.to(7), constant(BASE, 1.0, 10)])
        study.record(Progress(PLAN.to(1000), points(*range(1, 1001))))
        study.record(Progress(OTHER.to(7), points(2, 3, 7)))
        long, short, none = store.trials("flowers", "stage1", points=50)
        steps = [point.step for point in long.points]
        assert len(steps) <= 52 and steps[0] == 1 and steps[-1] == 1000
        assert max(b - a for a, b in zip(steps, steps[1:])) <= 21
        assert [point.step for point in short.points] == [2, 3, 7] and none.points == ()
        assert [len(trial.points) for trial in store.trials("flowers", "stage1", points=1)] == [1, 1, 0]
        assert [point.step for trial in store.trials("flowers", "stage1", points=1) for point in trial.points] == [1000, 7]
        assert [len(trial.points) for trial in store.trials("flowers", "stage1")] == [1000, 3, 0]
