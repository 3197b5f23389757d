"""What becomes of what a person sets."""

import pytest

from studies.decision import Decision
from studies.errors import InputError
from studies.plan import Plan, constant
from studies.trial import Metric
from trainables.task import Custom, load_task
from tuner.settings import EARLY_LOOKS, Settings, rests_on
from tuner.stages.stage1 import Stage1
from tuner.stages.stage2 import MOMENTA, Stage2
from tuner.stages.stage3 import Stage3
from tuner.stages.stage5 import Stage5

DIGITS, ACCURACY = load_task("digits"), Metric(name="accuracy", mode="max")


def test_a_stage_gets_what_is_set_for_it():
    settings = Settings(
        eval_examples=640, max_steps=100, lrs=(0.1,), refine=True, exhaustive=True, repeats=2, early_looks=1,
        batch_sizes=(8, 64), momenta=(0.5,), search="random", trials=5, lr_scaling="sqrt", warmup=False, warmup_shape="constant",
        starts=(50,), factors=(0.3,), intervals=(7,), lazy_interval=9, folds=4, prune=0.2, skip=("shift",),
    ).resolve(DIGITS)  # fmt: skip
    near = {"exhaustive": True, "within": settings._shared, "early_looks": 1}
    stages = [
        Stage1(ACCURACY, 640, 100, (0.1,), refine=True, **near),
        Stage2(ACCURACY, 640, (8, 64), (0.5,), "random", 5, "sqrt", False, 2, **near, warmup_shape="constant"),
        Stage3(ACCURACY, 640, (50,), (0.3,), (7,), 9, 2),
        Stage5(ACCURACY, (settings.start,), 4, 0.2, False, ("shift",), 2),
    ]
    assert [settings.stage(stage.name, DIGITS, (settings.start,)) for stage in stages] == stages


@pytest.mark.parametrize(("optimizer", "momenta"), [("nesterov", MOMENTA), ("adam", (0.9,))])
def test_momentum_is_searched_where_it_is_sgd_s(optimizer, momenta):
    assert Settings(optimizer=optimizer).resolve(DIGITS).stage("stage2", DIGITS).momenta == momenta


@pytest.mark.parametrize(("given", "looks"), [(None, EARLY_LOOKS), (0, 0), (5, 5)])
def test_early_looks_are_as_many_as_are_set(given, looks):
    assert Settings(early_looks=given).resolve(DIGITS).early_looks == looks


def test_what_trains_in_its_own_way_has_no_finish():
    own = Custom(type("Own", (), {"metric": "loss", "mode": "min"}), "Own", "")
    with pytest.raises(InputError, match="finish: expected a Task, .* Own trains in its own way"):
        Settings(stages=("stage5",)).resolve(own)


@pytest.mark.parametrize(("name", "mode"), [("RMSE", "min"), ("val_loss", "min"), ("mae", "min"), ("f1", "max")])
def test_the_direction_of_another_metric_follows_from_its_name(name, mode):
    assert Settings(metric=name).target(DIGITS) == Metric(name=name, mode=mode)
    assert Settings(metric=name, mode="max").target(DIGITS).mode == "max"


def test_evaluations_further_apart_than_the_longest_path_are_refused():
    """It would be made longer than --max-steps allows."""
    assert Settings(eval_examples=6_400, max_steps=100).resolve(DIGITS).max_steps == 100
    with pytest.raises(InputError, match="--eval-examples: expected at most 6400, .*--max-steps 100.*; got 9600"):
        Settings(eval_examples=9_600, max_steps=100).resolve(DIGITS)


def test_a_trick_that_is_named_in_two_ways_is_one():
    settings = Settings(tricks=("mixup", "mixup=0.2", "mixup=0.4")).resolve(DIGITS)
    assert [trick.mixup.alpha for trick in settings.stage("stage4", DIGITS).tricks] == [0.2, 0.4]


def test_starts_none_of_which_the_winner_reaches_are_refused_before_anything_is_trained():
    before = Decision(stage="stage2", question="?", metric=ACCURACY, winner=constant(Plan(), 0.1, 100), value=0.9, rule="")
    with pytest.raises(InputError, match="^--starts: expected steps from 0 to 99, .*; got 100, 200$"):
        rests_on(Settings(stages=("stage3",), starts=(100, 200)), [before], "study")
    assert rests_on(Settings(stages=("stage3",), starts=(50, 200)), [before], "study") == before  # of 200 the decision warns
