"""Claimed, planned, trained, reported, decided, crashed and taken up again, in any order: does the store keep to its model?"""

import shutil
import sqlite3
import tempfile
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from studies.decision import Decision
from studies.errors import BusyError
from studies.ledger import Store
from studies.plan import Plan, Segment, constant
from studies.schedule import Constant
from studies.study import StudyState
from studies.trial import Metric, Progress, State
from tests.crash.home import TASK
from trainables import training
from trainables.checkpoints import Checkpoints
from trainables.task import load_task

HEIGHT = Metric(name="height", mode="min")
TRUNK = constant(Plan(batch_size=32, momentum=0.9), 0.01, 40)
PLANS = [TRUNK, TRUNK.but(seed=1), *(TRUNK.upto(20).then(Segment(steps=n, rate=Constant(lr=0.001))) for n in (10, 30))]

plans = st.sampled_from(sorted(PLANS, key=PLANS.index))


@cache
def workload():
    return load_task(f"{TASK}:Slope")


def carried_out(plan, checkpoints):
    """The reports of a training, one for each point."""
    return training.carry_out(workload(), [plan], checkpoints, eval_examples=320 / 2, device="cpu")


@cache
def expected(plan):
    """The points of an uninterrupted training: values by step."""
    with tempfile.TemporaryDirectory() as folder:
        reports = carried_out(plan, Checkpoints(Path(folder), workload().fingerprint))
        return {point.step: point.values for progress in reports for point in progress.points}


@cache
def blank() -> bytes:
    """A database with all tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        Store(f"sqlite:///{folder}/studies.db").close()
        return Path(folder, "studies.db").read_bytes()


class Machine(RuleBasedStateMachine):
    """known: the steps that were acknowledged, by line. At most one driver is in charge; those that crashed may come back."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "studies.db").write_bytes(blank())
        self.store = Store(f"sqlite:///{self.folder}/studies.db", lease_seconds=3600)
        self.checkpoints = Checkpoints(self.folder / "states", workload().fingerprint)
        self.claims, self.driver, self.study, self.dead = [], None, None, []
        self.longest: dict[str, Plan] = {}
        self.known: dict[str, set[int]] = {}

    def teardown(self):
        self.store.close()
        for claim in self.claims:
            claim.close()
        shutil.rmtree(self.folder)

    @precondition(lambda self: self.study is None)
    @rule()
    def claim(self):
        context = self.store.drive("slope", {})
        self.claims.append(context.gen)  # a generator that nobody holds would give the lease back
        self.driver = context
        self.study = context.__enter__().stage("stage1", HEIGHT)

    @precondition(lambda self: self.study)
    @rule(some=st.lists(plans, min_size=1, max_size=3))
    def plan(self, some):
        self.study.plan(some)
        for plan in some:
            self.longest[plan.line] = max(plan, self.longest.get(plan.line, plan), key=lambda plan: plan.steps)
            self.known.setdefault(plan.line, set())

    @precondition(lambda self: self.study and self.longest)
    @rule(data=st.data(), reports=st.integers(1, 6))
    def train(self, data, reports):
        """Until it is done, or its worker is killed after so many reports."""
        plan = self.longest[data.draw(st.sampled_from(sorted(self.longest)))]
        for progress in islice(carried_out(plan, self.checkpoints), reports):
            self.study.record(progress)
            self.known[plan.line] |= {point.step for point in progress.points}

    @precondition(lambda self: self.study and self.longest)
    @rule(data=st.data(), how=st.sampled_from([State.FAILED, State.DIVERGED]))
    def break_down(self, data, how):
        plan = self.longest[data.draw(st.sampled_from(sorted(self.longest)))]
        self.study.record(Progress(plan, ended=how, error="it broke"))

    @precondition(lambda self: self.study and self.longest)
    @rule(data=st.data())
    def decide(self, data):
        winner = self.longest[data.draw(st.sampled_from(sorted(self.longest)))]
        self.study.decide(Decision(stage="stage1", question="?", metric=HEIGHT, winner=winner, value=None, rule="chance"))
        assert all(trial.state is not State.RUNNING for trial in self.study.trials())
        assert [decision.winner for decision in self.store.decisions("slope")] == [winner]

    @rule(data=st.data())
    def lose_a_state(self, data):
        if files := sorted(self.checkpoints.files()):
            self.checkpoints.remove([data.draw(st.sampled_from(files))])

    @precondition(lambda self: self.study)
    @rule()
    def crash(self):
        """Without a word; its lease runs out."""
        with sqlite3.connect(self.folder / "studies.db") as database:
            database.execute("update tuner_studies set expires = 0")
        self.dead.append(self.study)
        self.study = None

    @precondition(lambda self: self.study)
    @rule()
    def leave(self):
        self.driver.__exit__(None, None, None)
        self.dead.append(self.study)
        self.study = None
        assert self.store.record("slope").state is StudyState.STOPPED

    @precondition(lambda self: self.study and self.dead)
    @rule(data=st.data())
    def come_back(self, data):
        dead, plan = data.draw(st.sampled_from(self.dead)), data.draw(plans)
        for write in (lambda: dead.plan([plan]), lambda: dead.record(Progress(plan, ended=State.FAILED))):
            with pytest.raises(BusyError):
                write()

    @precondition(lambda self: self.study)
    @rule()
    def claim_what_is_held(self):
        with pytest.raises(BusyError), self.store.drive("slope", {}):
            pass

    @invariant()
    def everything_is_there_once(self):
        trials = self.store.trials("slope", "stage1")
        latest = {trial.plan.line: trial for trial in trials}
        assert {line: {point.step for point in trial.points} for line, trial in latest.items()} == self.known
        for trial in trials:
            values, steps = expected(self.longest[trial.plan.line]), [point.step for point in trial.points]
            assert steps == sorted(steps) and all(point.values == values[point.step] for point in trial.points)
        going_on = [trial.plan.line for trial in trials if trial.state is State.RUNNING]
        accepted = [trial.plan for trial in trials if trial.state is State.COMPLETE]
        assert len(going_on) == len(set(going_on)) and len(accepted) == len(set(accepted))

    @invariant()
    def it_says_running_only_while_it_is(self):
        for record in self.store.studies():
            assert (record.state is StudyState.RUNNING) == (self.study is not None)


@pytest.mark.parametrize("examples", [5, pytest.param(400, marks=pytest.mark.long)])
@pytest.mark.timeout(1800)
def test_the_store_keeps_to_its_model(examples, monkeypatch):
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    phases = [Phase.generate]  # to shrink what it finds takes minutes
    options = settings(max_examples=examples, stateful_step_count=30, deadline=None, phases=phases)
    run_state_machine_as_test(Machine, settings=options)
