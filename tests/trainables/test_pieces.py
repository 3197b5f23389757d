"""Training in any pieces, in any process, ends bit for bit where training in one go ends."""

import random
import signal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studies.plan import Plan, Segment, constant
from studies.schedule import Exponential, Linear, Warmup
from tests.trainables.helpers import completed, in_another_process, left, points, same, train, values, workload
from tests.waiting import until
from trainables import training
from trainables.checkpoints import Checkpoints

BASE = Plan(batch_size=8, momentum=0.9, seed=3)
STEPS = 23
PATHS = {
    "constant": constant(BASE, 0.05, STEPS),
    "adam": constant(BASE.but(optimizer="adam"), 0.01, STEPS),
    "batch larger than the data": constant(BASE.but(batch_size=40), 0.05, STEPS),
    "warm-up and decays": BASE.then(Segment(steps=7, rate=Warmup(lr=0.1, start=0.01, over=7)))
    .then(Segment(steps=9, rate=Linear(lr=0.1, over=20, interval=4)))
    .then(Segment(steps=7, rate=Exponential(lr=0.05, factor=0.5, interval=3))),
}
TASKS = ["Images", "Line", "Rare", "Words", "Bandit"]
few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory):
    """What a path ends in when nothing interrupts it: (points' values, state)."""
    known = {}

    def look(name: str, plan: Plan):
        if (name, plan.id) not in known:
            folder = tmp_path_factory.mktemp("whole")
            reports = train(name, plan, folder)
            assert completed(reports), reports[-1].error
            known[name, plan.id] = values(points(reports)), left(name, plan, folder).state
        return known[name, plan.id]

    return look


def disturb():
    """Other code in the process draws random numbers too."""
    torch.rand(3), random.random(), np.random.rand(3)


def after(looks: int):
    """A stop that comes after so many looks."""
    answers = iter([False] * looks)
    return lambda: next(answers, True)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", TASKS)
@given(cuts=st.sets(st.integers(1, STEPS - 1), max_size=4))
@few
def test_cut_anywhere(name, path, cuts, in_one_go, tmp_path_factory):
    plan, folder = PATHS[path], tmp_path_factory.mktemp("pieces")
    curve, state = in_one_go(name, plan)
    told = []
    for end in [*sorted(cuts), STEPS]:
        disturb()
        told += points(train(name, plan.upto(end), folder))
    assert same(left(name, plan, folder).state, state)
    seen = values(told)
    assert {step: seen[step] for step in curve} == curve
    assert values(left(name, plan, folder).points) == seen


@pytest.mark.parametrize("name", ["Images", "Bandit"])
@given(looks=st.lists(st.integers(1, 9), max_size=5))
@few
def test_stopped_at_any_step(name, looks, in_one_go, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(training, "ASK_SECONDS", 1e-9)  # after every step
    plan, folder = PATHS["warm-up and decays"], tmp_path_factory.mktemp("stopped")
    curve, state = in_one_go(name, plan)
    told = []
    for look in looks:
        reports = train(name, plan, folder, stop=after(look))
        told += points(reports)
        assert reports[-1].ended is None or completed(reports)
    told += points(train(name, plan, folder))
    assert same(left(name, plan, folder).state, state)
    assert values(told) == curve


def test_a_stop_loses_nothing_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "ASK_SECONDS", 1e-9)
    plan = PATHS["constant"]
    reports = train("Images", plan, tmp_path, stop=after(8))
    assert [progress.ended for progress in reports] == [None] * len(reports)
    assert train("Images", plan, tmp_path)[0].begun == 8


@pytest.mark.parametrize("name", TASKS)
@given(fork=st.integers(1, STEPS - 1), lr=st.floats(1e-3, 0.1))
@few
def test_a_decay_forked_from_a_trunk_is_the_decay_trained_alone(name, fork, lr, in_one_go, tmp_path_factory):
    trunk, folder = PATHS["constant"], tmp_path_factory.mktemp("fork")
    train(name, trunk, folder, keep={fork})
    tail = trunk.upto(fork).then(Segment(steps=10, rate=Linear(lr=0.05, over=10, end=lr)))
    reports = train(name, tail, folder)
    assert reports[0].begun == trunk.common(tail) and completed(reports)
    curve, state = in_one_go(name, tail)
    assert same(left(name, tail, folder).state, state)
    assert values(points(reports)) == curve


def test_a_path_already_at_its_end_is_told_and_not_trained(in_one_go, tmp_path):
    plan = PATHS["constant"]
    train("Stumbles", plan, tmp_path)
    again = train("Stumbles", plan, tmp_path)
    assert completed(again) and again[0].begun == STEPS and list(values(points(again))) == [5, 10, 15, 20, 23]


def test_gone_on_with_in_another_process(in_one_go, tmp_path):
    """Which finds the states under the same names: of the task's fingerprint and of the path."""
    name, plan = "Images", PATHS["adam"]
    train(name, plan.upto(11), tmp_path)
    process = in_another_process(
        "reports = train(sys.argv[1], Plan.model_validate_json(sys.argv[2]), sys.argv[3])\n"
        "print(reports[0].begun, completed(reports))",
        name,
        plan.model_dump_json(),
        str(tmp_path),
    )
    assert process.communicate(timeout=120)[0].split() == ["11", "True"]
    curve, state = in_one_go(name, plan)
    assert same(left(name, plan, tmp_path).state, state)
    assert curve.items() <= values(left(name, plan, tmp_path).points).items()


def test_killed_at_any_moment(in_one_go, tmp_path):
    plan = constant(BASE, 0.05, 20_000)
    process = in_another_process(
        "print('here', flush=True)\ntrain('Images', Plan.model_validate_json(sys.argv[1]), sys.argv[2])",
        plan.model_dump_json(),
        str(tmp_path),
    )
    assert process.stdout.readline() == "here\n"
    states = Checkpoints(tmp_path, workload("Images").fingerprint)
    until(lambda: process.poll() is not None or any(step > 60 for step in states.steps(plan)))
    assert process.poll() is None, "it was over before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = states.deepest(plan).step
    plan = plan.upto(reached + 17)
    reports = train("Images", plan, tmp_path)
    curve, state = in_one_go("Images", plan)
    assert reports[0].begun == reached and same(left("Images", plan, tmp_path).state, state)
    assert values(points(reports)) == curve


def test_old_rates_do_not_come_back(tmp_path):
    task, plan = workload("Line"), PATHS["constant"]
    one, other = task.trainable(plan, "cpu"), task.trainable(plan, "cpu")
    one.train(5, 0.05)
    other.restore(one.state())
    other.train(3, 0.0)
    assert same(other.state()["model"], one.state()["model"])


def test_a_state_is_a_copy():
    trainable = workload("Images").trainable(PATHS["adam"], "cpu")
    trainable.train(4, 0.01)
    taken = trainable.state()
    fresh = workload("Images").trainable(PATHS["adam"], "cpu")
    fresh.restore(taken)
    trainable.train(4, 0.01)
    fresh.train(4, 0.01)
    assert same(trainable.state(), fresh.state()) and not same(taken, fresh.state())


def test_evaluating_does_not_disturb_the_training():
    one, other = (workload("Images").trainable(PATHS["constant"], "cpu") for _ in range(2))
    for _ in range(4):
        one.train(2, 0.05)
        assert one.evaluate() == one.evaluate()
        other.train(2, 0.05)
    assert same(one.state(), other.state())


def test_seeds_differ_and_each_is_itself():
    states = [workload("Line").trainable(BASE.but(seed=seed), "cpu").state() for seed in (0, 0, 1)]
    assert same(states[0], states[1]) and not same(states[0], states[2])
