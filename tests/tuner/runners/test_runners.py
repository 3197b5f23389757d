"""Do all runners keep the one contract: the same events, failures alike, nothing trained twice, nothing lost?"""

import os
import signal

import pytest

from studies.errors import BusyError, Interrupted
from studies.plan import Segment, constant
from studies.schedule import Constant
from studies.trial import State
from tests.tuner.runners.records import BASE, Records, run, steps_trained
from tests.tuner.runners.tasks import RAISES, REFUSES, SLOW
from tuner.runners import make_runner


@pytest.fixture(scope="module")
def falls(kind, job_of):
    """A runner and its job, warm over all tests; each test has seeds of its own."""
    job = job_of("Falls")
    runner = make_runner(kind, job)
    yield runner, job
    runner.close()


class TestContract:
    def test_shared_beginnings_are_trained_once(self, falls):
        runner, job = falls
        trunk = constant(BASE.but(seed=20), 0.1, 200)
        tails = [trunk.upto(100).then(Segment(steps=100, rate=Constant(lr=lr))) for lr in (0.01, 0.02, 0.03)]
        records = run(runner, [*tails, trunk, trunk.upto(50)])
        assert set(records.ended.values()) == {State.COMPLETE}
        assert len(records.ended) == 5
        taken = steps_trained(job)
        assert [taken["20", "0.5", str(step)] for step in range(200)] == [1] * 100 + [4] * 100
        run(runner, [trunk.to(250)])
        assert sum(steps_trained(job).values()) == sum(taken.values()) + 50

    def test_failures_are_the_plans_own(self, falls):
        runner, _ = falls
        good = constant(BASE.but(seed=30), 0.1, 60)
        raises, refuses = good.but(momentum=RAISES), good.but(momentum=REFUSES)
        diverges = constant(BASE.but(seed=30), 1e30, 60)
        records = run(runner, [raises, refuses, diverges, good])
        states = {good: State.COMPLETE, raises: State.FAILED, refuses: State.FAILED, diverges: State.DIVERGED}
        assert records.ended == states
        assert "RuntimeError: raised at step 30" in records.errors[raises]
        assert "in _fail_if_due" in records.errors[raises]
        assert sorted(records.points[raises]) == [10, 20, 30]
        assert "this momentum is not liked" in records.errors[refuses]
        assert "nan" in records.errors[diverges] or "inf" in records.errors[diverges]

    def test_stopped_from_a_signal_it_saves_and_the_next_run_goes_on(self, falls):
        runner, job = falls
        slow = BASE.but(momentum=SLOW)  # seconds long, however late the signal is heard
        plans = [constant(slow.but(seed=seed), 0.001, 100) for seed in (40, 41, 42)]
        records = Records()

        def record(progress):
            records(progress)
            if progress.points:
                os.kill(os.getpid(), signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, lambda *_: runner.stop())
        try:
            with pytest.raises(Interrupted):
                runner.run(plans, record)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert not records.ended
        runner.run(plans, records)
        assert records.ended == {plan: State.COMPLETE for plan in plans}
        assert max(records.begun.values()) > 0
        taken = steps_trained(job)
        assert {taken[str(plan.seed), str(SLOW), str(step)] for plan in plans for step in range(100)} == {1}
        assert all(sorted(points) == list(range(10, 101, 10)) for points in records.points.values())

    def test_stopped_where_it_has_just_reported_it_loses_nothing(self, falls):
        runner, job = falls
        plan = constant(BASE.but(seed=45, momentum=SLOW), 0.001, 30)
        with pytest.raises(Interrupted):
            runner.run([plan], lambda progress: progress.points and runner.stop())
        run(runner, [plan])
        assert {steps_trained(job)["45", str(SLOW), str(step)] for step in range(30)} == {1}

    def test_a_stop_between_two_runs_is_answered_by_the_next_one(self, falls):
        runner, _ = falls
        plan = constant(BASE.but(seed=50), 0.1, 60)
        runner.stop()
        with pytest.raises(Interrupted):
            run(runner, [plan])
        assert run(runner, [plan]).ended == {plan: State.COMPLETE}

    @pytest.mark.parametrize("error", [BusyError("another driver"), KeyboardInterrupt()], ids=repr)
    def test_what_record_raises_ends_the_run_and_leaves_the_runner_usable(self, falls, error):
        runner, _ = falls
        seed = 60 if isinstance(error, BusyError) else 61
        plans = [constant(BASE.but(seed=seed), lr, 2000) for lr in (0.001, 0.002)]

        def record(progress):
            raise error

        with pytest.raises(type(error)):
            runner.run(plans, record)
        other = constant(BASE.but(seed=seed), 0.1, 60)
        assert run(runner, [other]).ended == {other: State.COMPLETE}

    def test_nothing_to_do_is_done(self, falls):
        assert run(falls[0], []).ended == {}
