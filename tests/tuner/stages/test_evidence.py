"""Who wins among leaders that were repeated with other seeds?"""

import pytest

from studies.plan import Plan, constant
from studies.trial import Point, Trial
from tests.tuner.stages.curves import ACCURACY
from tuner.stages.evidence import beside, repeated, verdict
from tuner.stages.stage import Results, Unseen

SPREAD = (-0.01, 0.0, 0.01)  # over the seeds; the standard error of a difference of two such means is 0.0082


def leader(lr, value):
    plan = constant(Plan(), lr, 10)
    return [Trial(seed, plan.but(seed=seed), points=(Point(10, {"accuracy": value + by}),)) for seed, by in enumerate(SPREAD)]


@pytest.mark.parametrize(
    ("behind", "taken", "tie"),
    [
        (0.004, "cheap", True),  # within a standard error: as good as the best
        (0.012, "best", True),  # seeds alone could make the difference, but that does not make it none
        (0.1, "best", False),
    ],
)
def test_the_cheaper_is_taken_only_if_it_is_about_as_good(behind, taken, tie):
    leaders = [leader(0.1, 0.9), leader(0.01, 0.9 - behind)]
    won = verdict(ACCURACY, leaders, cheap=lambda trials: trials[0].plan.lr)
    assert (("best", "cheap")[won.place], won.tie) == (taken, tie)
    assert won.margin == pytest.approx(behind if taken == "best" else -behind)


def test_one_run_says_less_than_three():
    """The same gap: beyond noise between three runs and three, within it between three and one."""
    three, one = leader(0.1, 0.9), leader(0.01, 0.873)
    assert not verdict(ACCURACY, [three, one], cheap=len).tie
    [alone] = (trial for trial in leader(0.01, 0.873 + 0.01) if trial.plan.seed == 0)
    assert verdict(ACCURACY, [three, [alone]], cheap=lambda trials: trials is not three).tie


def follow(values, cheap):
    """The place of the winner, and how many runs each had. values: by rate, one a seed; there once they are asked for."""
    plans = [constant(Plan(), lr, 10) for lr in values]
    known = {plan: values[plan.lr][plan.seed] for plan in plans}
    while True:
        rows = [Trial(i, plan, points=(Point(10, {"accuracy": value}),)) for i, (plan, value) in enumerate(known.items())]
        try:
            trials, won = repeated(ACCURACY, Results(rows), plans, 3, cheap)
            return won.place, [len(one) for one in trials]
        except Unseen as missing:
            known |= {plan: values[plan.lr][plan.seed] for plan in missing.plans}


@pytest.mark.parametrize(
    ("values", "place", "runs"),
    [
        ({0.1: (0.90, 0.91, 0.92), 0.01: (0.89, 0.99, 0.99)}, 0, [3, 1]),  # the next is behind with the seed that it has
        ({0.1: (0.90, 0.80, 0.81), 0.01: (0.89, 0.88, 0.90), 0.001: (0.86, 0.9, 0.9)}, 1, [3, 3, 1]),  # the first was lucky
        ({0.1: (0.90, 0.80, 0.81), 0.01: (0.89, 0.70, 0.72)}, 0, [3, 3]),  # so was the next
    ],
)
def test_who_would_win_is_repeated_until_the_one_who_would_has_been(values, place, runs):
    assert follow(values, cheap=lambda trials: 0) == (place, runs)


def test_a_cheaper_one_wins_only_against_a_better_one_that_has_been_repeated_too():
    values = {0.1: (0.90, 0.92, 0.90), 0.01: (0.90, 0.88, 0.91), 0.001: (0.86, 0.86, 0.86)}
    assert follow(values, cheap=lambda trials: trials[0].plan.lr) == (1, [3, 3, 1])


def test_a_leader_that_is_ahead_is_not_called_worse():
    won = leader(0.1, 0.9)
    assert beside(ACCURACY, leader(0.01, 0.904), won) == "about as good, but dearer"
    assert beside(ACCURACY, leader(0.01, 0.89), won) == "repeated with other seeds, not better"
    assert beside(ACCURACY, leader(0.01, 0.89)[:1], won) == "by its one run no better"
