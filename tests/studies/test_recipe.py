"""Is a recipe a value that is what is on, however it was written?"""

import json

import pytest
from pydantic import ValidationError

from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe, kinds
from studies.schedule import Constant
from studies.value import problem

BASE = constant(Plan(), 0.1, 100)


@pytest.mark.parametrize(
    "short, whole",
    [
        ({"mixup": True}, {"mixup": {"alpha": 0.2}}),
        ({"mixup": 0.2}, {"mixup": {"alpha": 0.2}}),
        ({"weight_decay": 5e-4}, {"weight_decay": {"rate": 5e-4, "biases_and_norms": True}}),
        ({"init": {"conv": "orthogonal"}}, {"init": {"conv": {"way": "orthogonal"}}}),
        ({"freeze": "stem"}, {"freeze": {"names": ["stem"]}}),
        ({"layer_rates": {"head": 10, "body": 0.5}}, {"layer_rates": {"factors": {"body": 0.5, "head": 10.0}}}),
        ({"flip": 0.3, "crop": False}, {"flip": {"p": 0.3, "vertical": False}}),
        ({"color_jitter": 0.2}, {"color_jitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}}),
        ({"momentum_correction": True}, {"momentum_correction": {"on": True}}),
    ],
)
def test_what_is_written_in_short_is_the_same_plan(short, whole):
    plan = BASE.but(recipe=Recipe(**short))
    assert plan.recipe.model_dump(mode="json") == whole
    assert plan == BASE.but(recipe=Recipe(**whole)) and hash(plan)
    again = Plan.read(json.loads(json.dumps(plan.describe())))
    assert again == plan and again.id == plan.id != BASE.id
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_without_a_recipe_a_plan_says_nothing_of_it_and_keeps_its_id():
    assert "recipe" not in BASE.describe() and BASE.but(recipe=Recipe()).id == BASE.id
    assert not Recipe() and Recipe(mixup=True)


def test_the_id_holds_what_was_chosen_so_that_parts_added_later_keep_it():
    assert BASE.but(recipe=Recipe(mixup=True, weight_decay=5e-4)).id == "0cec315a9f721050"


def test_the_order_of_the_names_means_nothing():
    one, other = ({"layer_rates": dict(pairs)} for pairs in ([("a", 1.0), ("b", 2.0)], [("b", 2.0), ("a", 1.0)]))
    assert Recipe(**one) == Recipe(**other)


def test_segments_with_an_optimizer_of_their_own_are_a_path():
    adam = constant(Plan(), 0.1, 30).then(Segment(steps=20, rate=Constant(lr=0.1), optimizer="adam"))
    assert [adam.optimizer_at(step) for step in (0, 29, 30, 49, 99)] == ["sgd", "sgd", "adam", "adam", "adam"]
    assert len(adam.segments) == 2 and adam.common(BASE) == 30 and adam.upto(40).to(50) == adam
    assert Plan.read(json.loads(json.dumps(adam.describe()))) == adam


@pytest.mark.parametrize(
    "content, words",
    [
        ({"mixup": "0.2"}, "mixup.alpha: input should be a valid number; got '0.2'"),
        ({"mixup": -1}, "mixup.alpha: input should be greater than 0; got -1"),
        ({"mixup": {"aplha": 1}}, "mixup.aplha: extra"),
        ({"mix_up": 1}, "mix_up: extra"),
        ({"cutout": True}, "cutout.size: field required"),
        ({"label_smoothing": 1.0}, "label_smoothing.smoothing: input should be less than 1"),
        ({"init": {}}, "init: expected a filling for one of conv, linear"),
        ({"init": {"conv": "he"}}, "init.conv.way: input should be 'xavier_uniform'"),
        ({"freeze": []}, "freeze.names"),
        ({"accumulate": 1}, "accumulate.pieces: input should be greater than or equal to 2"),
        ({"weight_decay": float("nan")}, "weight_decay.rate"),
        ({"flip": {"vertical": "yes"}}, "flip.vertical: input should be a valid boolean; got 'yes'"),
        ({"init": {"bias": "orthogonal"}}, "init: bias: expected one of constant, normal, uniform"),
        ({"momentum_correction": 0.5}, "momentum_correction.on"),
        ({"mix_up": False}, "mix_up: extra"),
        ({"layer_rates": {"head": "fast"}}, "layer_rates.factors.head: input should be a valid number; got 'fast'"),
    ],
)
def test_a_recipe_checks_itself(content, words):
    with pytest.raises(ValidationError) as refused:
        Recipe(**content)
    assert words in problem(refused.value)


def test_each_part_has_a_line_that_says_what_it_does_and_where_it_is_from():
    for name, kind in kinds().items():
        line = kind.__doc__.splitlines()[0]
        assert line.endswith(".") and ("text" in line or "texts" in line or "arXiv" in line or "et al" in line), name
