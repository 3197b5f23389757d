"""Who goes on, on curves as short as the rules that judge them."""

import math

import pytest

from studies.plan import Plan, constant
from studies.trial import Point, State, Trial
from tests.tuner.stages.curves import ACCURACY
from tuner.stages.racing import Rungs, hopeful

HORIZON = 10 * 640


def told(number, curve, steps=320, state=State.RUNNING):
    """A trial with ten evaluations for every 100 of its steps; curve: accuracy by step."""
    points = tuple(Point(step, {"train_loss": 1.0, "accuracy": curve(step)}) for step in range(10, steps + 1, 10))
    return Trial(number, constant(Plan(batch_size=10), 0.1, steps), state, points)


def rises(by, start=0.1):
    """By so much with every doubling of the steps."""
    return lambda step: start + by * math.log2(step / 10)


@pytest.mark.parametrize(
    ("curve", "goes_on"),
    [
        (rises(0.08, start=0.32), True),  # the leader itself
        (rises(0.12, start=0.02), False),  # nearer by 0.04 with a doubling, but still 0.06 behind at the end
        (rises(0.12, start=0.17), True),  # hardly behind at all
        (rises(0.01, start=0.2), False),  # falls behind with every doubling
        (lambda step: 0.1, False),  # does nothing
    ],
)
def test_a_gap_that_will_not_close_is_hopeless(curve, goes_on):
    trials = [told(0, rises(0.08, start=0.32)), told(1, curve)]
    assert (1 in hopeful(ACCURACY, trials, HORIZON)) is goes_on and 0 in hopeful(ACCURACY, trials, HORIZON)


def test_who_closes_the_gap_goes_on_and_so_does_who_is_hardly_behind():
    leader, late = rises(0.02, start=0.6), lambda step: 0.1 if step < 80 else 0.1 + 0.25 * math.log2(step / 80)
    assert hopeful(ACCURACY, [told(0, leader), told(1, late, steps=160)], HORIZON) == [0]
    assert hopeful(ACCURACY, [told(0, leader), told(1, late)], 100 * HORIZON) == [0, 1]
    assert hopeful(ACCURACY, [told(0, leader), told(1, lambda step: leader(step) - 0.01)], HORIZON) == [0, 1]


def test_the_first_evaluations_do_not_judge_a_gap():
    slow = [told(0, rises(0.1)), told(1, lambda step: rises(0.1)(max(10, step / 3)))]
    assert hopeful(ACCURACY, slow, HORIZON) == [0]
    short = [told(0, rises(0.1), steps=70), told(1, lambda step: rises(0.1)(max(10, step / 3)), steps=70)]
    assert hopeful(ACCURACY, short, HORIZON) == [0, 1]


def test_early_looks_make_the_first_rung_one_interval():
    plan = constant(Plan(batch_size=10), 0.1, 320)
    assert [Rungs((1 / 32, 1.0), 100, looks).cut(plan, 1 / 32).steps for looks in (0, 3)] == [40, 10]
    assert (
        Rungs((1 / 32, 1.0), 20, 3).cut(plan, 1 / 32).steps == 10
    )  # two steps have room for one look only: three intervals more


@pytest.mark.parametrize(
    ("fewest", "looks", "share", "steps"),
    [
        (3, 3, 1 / 9, 56),  # three looks and its own end
        (3, 3, 1 / 3, 200),  # beyond the first interval: whole ones
        (3, 3, 1 / 20, 100),  # only one look lies before
        (3, 0, 1 / 9, 400),
        (None, 3, 1 / 9, 100),
    ],
)
def test_a_ranked_rung_may_lie_before_the_first_intervals_end(fewest, looks, share, steps):
    plan = constant(Plan(batch_size=10), 0.1, 500)
    assert Rungs((share, 1.0), 1_000, looks, fewest).cut(plan, share).steps == steps


def test_the_broken_are_out_and_the_leader_is_whoever_is_left():
    best = told(0, rises(0.2), state=State.DIVERGED)
    assert hopeful(ACCURACY, [best, told(1, rises(0.1))], HORIZON) == [1]
    assert hopeful(ACCURACY, [best], HORIZON) == []


def test_a_gap_is_not_judged_before_both_have_been_seen():
    wide = Trial(1, constant(Plan(batch_size=4_096), 0.1, 1), points=(Point(1, {"accuracy": 0.9}),))
    assert 0 in hopeful(ACCURACY, [told(0, lambda step: 0.1 + step / 1_000, steps=100), wide], 10 * 4_096)
