"""Does training with a recipe go on bit for bit, fuse where it may, cost nothing where it is off, and refuse nonsense at once?"""

import pytest
import torch

from studies.errors import InputError, TaskError
from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe, kinds
from studies.schedule import Constant, Linear
from tests.trainables.helpers import completed, left, points, same, train, values, workload
from trainables.fused import Fused, hindrance

BASE = Plan(batch_size=8, momentum=0.9, seed=3)
STEPS = 23
RECIPES = {
    "weight_decay": {"rate": 0.01, "biases_and_norms": False},
    "l1": 0.01,
    "dropout": 0.4,
    "label_smoothing": 0.1,
    "mixup": True,
    "cutmix": True,
    "sample_pairing": True,
    "flip": {"vertical": True},
    "crop": 1,
    "rotate": {"degrees": 30, "zoom": 0.2},
    "color_jitter": True,
    "randaugment": True,
    "autoaugment": "cifar10",
    "cutout": 3,
    "noise": 0.1,
    "early_stopping": 1,
    "init": {"conv": "kaiming_normal", "linear": "orthogonal"},
    "freeze": "0",
    "layer_rates": {"2": 2.0},
    "layer_decay": 0.5,
    "accumulate": 3,
    "clip": 0.1,
    "precision": True,
    "momentum_correction": True,
}
WHOLE = {name: part for name, part in RECIPES.items() if name != "freeze"}


def path(optimizer="sgd", **recipe):
    """With a rate that changes on the way."""
    decay = Segment(steps=12, rate=Linear(lr=0.05, over=12, interval=2))
    return constant(BASE.but(optimizer=optimizer, recipe=Recipe(**recipe)), 0.05, 11).then(decay)


PATHS = {name: path("heavyball" if name == "momentum_correction" else "sgd", **{name: part}) for name, part in RECIPES.items()}
PATHS["all of it"] = path("heavyball", **WHOLE)
PATHS["lars"] = path("lars", weight_decay=0.01)
PATHS["adam, then sgd, then adam"] = BASE.but(optimizer="adam").but(
    segments=[Segment(steps=n, rate=Constant(lr=0.01), optimizer=name) for n, name in ((9, None), (8, "sgd"), (6, None))]
)


@pytest.mark.parametrize("name", PATHS)
def test_in_pieces_it_ends_bit_for_bit_where_it_ends_in_one_go(name, tmp_path):
    plan = PATHS[name]
    reports = train("Colours", plan, tmp_path / "whole")
    assert completed(reports), reports[-1].error
    told = []
    for end in (4, 9, 17, STEPS):  # one where an optimizer ends, one just before, one among the steps of a piece
        torch.rand(3)
        told += points(train("Colours", plan.upto(end), tmp_path / "pieces"))
    assert same(left("Colours", plan, tmp_path / "pieces").state, left("Colours", plan, tmp_path / "whole").state)
    whole, pieces = values(points(reports)), values(told)
    assert {step: pieces[step] for step in whole} == whole


def test_every_part_is_among_these_and_does_something(tmp_path):
    assert RECIPES.keys() == kinds().keys()
    plain = {}
    for plan in PATHS.values():
        start = plan.but(recipe=Recipe())
        if start not in plain:
            plain[start] = left_after(start)
        assert plan.recipe == Recipe() or not same(left_after(plan), plain[start]), plan.recipe


def left_after(plan):
    training = workload("Colours").trainable(plan, "cpu")
    for steps, rate in plan.stretches(0, plan.steps):
        training.train(steps, rate)
    return training.model.state_dict()


def test_frozen_layers_stay_what_they_were():
    training = workload("Colours").trainable(path(freeze="0"), "cpu")
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    training.train(5, 0.05)
    after = training.model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"2.weight", "2.bias"}


def test_l1_draws_every_parameter_towards_0():
    plain, drawn = (workload("Plain").trainable(path(**recipe), "cpu") for recipe in ({}, {"l1": 0.01}))
    signs = [parameter.detach().sign() for parameter in plain.model.parameters()]
    assert plain.train(1, 0.05) == drawn.train(1, 0.05)
    for one, other, sign in zip(plain.model.parameters(), drawn.model.parameters(), signs):
        assert torch.allclose(one - other, 0.05 * 0.01 * sign, atol=1e-7)


@pytest.mark.parametrize("pieces", [2, 3, 50])
def test_a_batch_in_pieces_gives_the_gradient_of_the_whole(pieces):
    whole, parts = (workload("Words").trainable(path(**recipe), "cpu") for recipe in ({}, {"accumulate": pieces}))
    for _ in range(5):
        assert parts.train(1, 0.05) == pytest.approx(whole.train(1, 0.05), rel=1e-5)
    for one, other in zip(whole.model.parameters(), parts.model.parameters()):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6) and torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6)
    assert parts.approximations == ()


def test_gradients_are_no_longer_than_they_may_be():
    plain, clipped = (workload("Words").trainable(path(**recipe), "cpu") for recipe in ({}, {"clip": 0.01}))
    for training in (plain, clipped):
        training.train(1, 0.05)
    whole, cut = (torch.cat([p.grad.flatten() for p in one.model.parameters()]) for one in (plain, clipped))
    assert cut.norm() == pytest.approx(0.01, rel=1e-3) and torch.allclose(cut, whole * 0.01 / whole.norm(), rtol=1e-3)


def test_in_half_precision_weights_losses_and_what_is_measured_are_single():
    seen = []
    task = workload("Words")
    whole, half = (task.trainable(path(**recipe), "cpu") for recipe in ({}, {"precision": True}))
    half.model.register_forward_hook(lambda _model, _inputs, outputs: seen.append(outputs.dtype))
    losses = whole.train(5, 0.05), half.train(5, 0.05)
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02) and seen == [torch.bfloat16] * 5
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}
    assert half.evaluate().keys() == whole.evaluate().keys() and seen[-1] == torch.float32


def test_under_batch_norm_pieces_are_an_approximation_and_said_to_be():
    (told,) = workload("Colours").trainable(path(accumulate=2), "cpu").approximations
    assert told.startswith("accumulate: batch norm sees pieces of a batch")


@pytest.mark.parametrize(
    "recipe", [{"mixup": True, "crop": 1, "label_smoothing": 0.1}, {"clip": 0.01}, {"init": {"conv": "orthogonal"}}]
)
def test_fused_lanes_train_as_alone(recipe):
    task, plans = workload("Flat"), [constant(BASE.but(recipe=Recipe(**recipe)), lr, 8) for lr in (0.05, 0.01)]
    fused = [task.trainable(plan, "cpu") for plan in plans]
    assert hindrance(fused) == ""
    together = Fused(fused).train(6, [0.05, 0.01])
    alone = [task.trainable(plan, "cpu").train(6, plan.lr) for plan in plans]
    assert together == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize(
    "recipes, told",
    [
        ([{"mixup": True}, {}], "only trainings of one batch size, seed and recipe can be"),
        *(
            ([{name: RECIPES[name]}] * 2, f"{name} in the recipe is done to one model at a time")
            for name in ("accumulate", "precision", "early_stopping")
        ),
    ],
)
def test_what_cannot_be_fused_says_why(recipes, told):
    task = workload("Colours")
    assert hindrance([task.trainable(path(**recipe), "cpu") for recipe in recipes]) == told


@pytest.mark.parametrize(
    "name, recipe, words",
    [
        ("Line", {"label_smoothing": 0.1}, "label_smoothing: expected classes as targets, .*; got torch.float64 of shape"),
        ("Line", {"crop": 1}, r"crop: expected batches of images, .*; got a tensor of shape \(16, 3\)"),
        ("Words", {"mixup": True}, "mixup: expected inputs that can be blended, .*; got dict"),
        ("Hinged", {"mixup": True}, "mixup: expected a loss that takes soft labels"),
        ("Plain", {"cutmix": True}, "cutmix: expected batches of images"),
        ("Plain", {"dropout": 0.1}, "dropout: expected a model with dropout layers; Linear has none"),
        ("Plain", {"freeze": "head"}, "freeze: expected the names of parameters or layers; got 'head'"),
        ("Plain", {"momentum_correction": True}, "momentum_correction: expected heavyball"),
        ("TwoRates", {"weight_decay": 0.1}, "weight_decay: expected a task without an optimizer of its own"),
        ("Bandit", {"weight_decay": 0.1}, "recipe: expected a Task, .*; Bandit trains in its own way"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_trains(name, recipe, words):
    with pytest.raises(InputError, match=words):
        workload(name).trainable(path(**recipe), "cpu")


def test_a_task_may_have_a_recipe_of_its_own():
    assert workload("Plain").recipe == Recipe()
    assert workload("Seasoned").recipe == Recipe(weight_decay=0.1)
    with pytest.raises(TaskError, match="Misspelt.recipe: wait_decay: expected one of weight_decay, dropout, "):
        workload("Misspelt").recipe  # noqa: B018


def test_looking_whether_a_recipe_goes_with_the_data_leaves_the_model_as_it_was():
    looked, plain = (workload("Colours").trainable(path(**recipe), "cpu") for recipe in ({"mixup": True}, {}))
    assert same(looked.model.state_dict(), plain.model.state_dict())
