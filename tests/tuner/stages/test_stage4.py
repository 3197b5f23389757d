"""Stage 4 on hand-drawn curves: what a trick gains by itself, and on top of others."""

import math

import pytest

from studies.errors import StageError
from studies.plan import Plan, constant
from studies.recipe import Recipe
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil
from tuner.stages.stage import run_stage
from tuner.stages.stage4 import Stage4

START = constant(Plan(batch_size=32), 0.1, 1_000)
BAG = tuple(Recipe(**part) for part in ({"mixup": 0.2}, {"weight_decay": 1e-4}, {"flip": 0.5}, {"cutout": 8}))
NOISE = (-0.002, 0.0, 0.002)


def conclude(gains, start=START, tricks=BAG):
    """gains: of the accuracy, by the names of the parts that are on together."""

    def draw(plan, step):
        on = frozenset(name for name, _ in plan.recipe.parts())
        gain = gains.get(on, sum(gains.get(frozenset([name]), 0.0) for name in on))
        return (math.nan, 0.0) if math.isnan(gain) else (1 / step, 0.8 + gain + NOISE[plan.seed])

    study = Notebook()
    return run_stage(Stage4(ACCURACY, tricks), start, study, Pencil(draw, 3_200)), study


def on(**gains):
    return {frozenset(names.split("_and_")): gain for names, gain in gains.items()}


def test_what_helps_is_stacked_the_best_first():
    decision, study = conclude(on(mixup=0.02, flip=0.05, cutout=-0.01))
    assert [name for name, _ in decision.winner.recipe.parts()] == ["mixup", "flip"]
    assert decision.value == pytest.approx(0.87) and not decision.tie
    assert len(study.rows) == 3 * (1 + 4 + 1)  # the start, each trick, one stack
    assert decision.words[0] == "+ mixup, + flip helps: accuracy 0.8 without, 0.87 with it."
    told = {one.label: one.outcome for one in decision.evidence}
    assert told["+ cutout"].startswith("loses 0.01") and told["+ mixup, + flip"].startswith("winner")
    assert decision.marks["+ flip"] == pytest.approx(0.05)
    assert decision.runner_up.recipe == Recipe(flip=0.5) and decision.margin == pytest.approx(0.02)


def test_a_trick_that_no_longer_helps_on_top_of_the_others_is_left_out():
    decision, _ = conclude(on(mixup=0.02, flip=0.05, mixup_and_flip=0.04))
    assert [name for name, _ in decision.winner.recipe.parts()] == ["flip"]
    assert decision.runner_up != decision.winner and decision.margin == pytest.approx(0.01)  # over both


def test_nothing_helps():
    decision, _ = conclude(on(mixup=-0.01, flip=0.0005))
    assert decision.winner == START and "Nothing in the bag helps" in decision.words[0]
    assert decision.evidence[0].label == "as it is" and decision.evidence[0].outcome == "winner"
    assert "With no more steps than the rest, mixup may be worth more than it seems." in decision.words


def test_a_dropout_of_0_is_less_than_another_one():
    def draw(plan, step):
        return 1 / step, 0.8 + 0.0005 * (plan.recipe.dropout.p > 0) + NOISE[plan.seed]

    start, study = START.but(recipe=Recipe(dropout=0)), Notebook()
    assert run_stage(Stage4(ACCURACY, (Recipe(dropout=0.5),)), start, study, Pencil(draw, 3_200)).winner == start


def test_a_trick_that_is_ahead_by_less_than_a_standard_error_makes_a_tie():
    decision, _ = conclude(on(flip=0.0005))
    assert decision.winner == START and decision.tie and decision.margin == pytest.approx(-0.0005)
    assert not conclude(on(flip=-0.05))[0].tie


def test_what_is_on_is_tried_off():
    start = START.but(recipe=Recipe(mixup=0.2))
    decision, _ = conclude(on(mixup=-0.05), start)
    assert not decision.winner.recipe and decision.words[0].startswith("- mixup helps")


def test_values_of_one_part_are_told_apart():
    tricks = (Recipe(weight_decay=1e-4), Recipe(weight_decay=5e-4), Recipe(flip=0.5))
    decision, _ = conclude(on(weight_decay=0.05, flip=-0.05), tricks=tricks)
    labels = {one.label for one in decision.evidence}
    assert labels == {"+ weight_decay 0.0001", "+ weight_decay 0.0005", "+ flip", "as it is"} and set(decision.marks) <= labels
    assert len(decision.evidence) == 4 and decision.runner_up.recipe == tricks[1]


def test_one_that_breaks_is_told_and_out():
    decision, _ = conclude(on(mixup=math.nan, flip=0.05))
    assert [name for name, _ in decision.winner.recipe.parts()] == ["flip"]
    assert any(warning.startswith("+ mixup diverged") for warning in decision.warnings)


def test_one_that_ends_without_a_finite_metric_is_no_rival():
    decision, _ = conclude(on(mixup=-math.inf), tricks=BAG[:1])
    assert decision.winner == START and decision.runner_up is None and decision.margin is None


def test_a_start_that_breaks_decides_nothing():
    with pytest.raises(StageError, match="what it starts from diverged"):
        conclude({frozenset(): math.nan})
