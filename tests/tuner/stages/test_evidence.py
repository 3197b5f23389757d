"""Who wins among leaders that were repeated with other seeds?"""

import math

import pytest

from studies.errors import StageError
from studies.plan import Plan, constant
from studies.trial import Point, Trial
from tests.tuner.stages import test_stage3 as third
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil
from tests.tuner.stages.test_stage4 import BAG
from tuner.stages.evidence import beside, repeated, verdict
from tuner.stages.stage import Results, Unseen, run_stage
from tuner.stages.stage3 import Stage3
from tuner.stages.stage4 import Stage4
from tuner.stages.stage5 import Stage5

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


def test_a_difference_that_rounding_makes_is_none():
    won = verdict(ACCURACY, [leader(0.1, 0.9), leader(0.01, 0.9 + 2e-8)], cheap=lambda trials: 0)
    assert won.tie and won.margin == 0


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


def same(plan, step):
    """A training that no trick and no finish changes."""
    return 1 / step, 0.8 + 0.001 * (plan.seed % 3)


@pytest.mark.parametrize(
    ("stage", "start", "draw"),
    [
        (third.STAGE, third.START, third.terrain(0.001)),
        (Stage3(ACCURACY, 1_000, repeats=1), third.START, third.terrain(-0.1)),
        (Stage4(ACCURACY, BAG), third.START, same),
        (Stage5(ACCURACY), third.START, same),
    ],
    ids=["stage3", "stage3 under one seed", "stage4", "stage5"],
)
def test_a_winner_without_a_finite_metric_at_its_end_decides_nothing_and_the_error_says_what_to_mend(stage, start, draw):
    examples = getattr(stage, "eval_examples", 1_000)
    winner = run_stage(stage, start, Notebook(), Pencil(draw, examples)).winner

    def holed(plan, step):
        loss, accuracy = draw(plan, step)
        return loss, math.nan if plan.but(seed=0).line == winner.line and step == winner.steps else accuracy

    told = f"{stage.name}: accuracy is nan at step {winner.steps}, the end of lr {winner.lr:g} with seed 0: mend metrics"
    with pytest.raises(StageError, match=told):
        run_stage(stage, start, Notebook(), Pencil(holed, examples))
