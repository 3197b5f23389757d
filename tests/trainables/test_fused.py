"""Many trainings as one: each lane is what it would be alone, up to rounding."""

import gc
import math
import weakref
from itertools import product

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from studies.finish import Pruned
from studies.plan import Plan, constant
from studies.recipe import Recipe
from tests.trainables.helpers import in_another_process, same, workload
from trainables import fused
from trainables.fused import Fused, fused_from, hindrance
from trainables.supervised import Supervised

RATES = (0.1, 0.01, 0.003)
MOMENTA = (0.0, 0.9, 0.5)
BASE = Plan(batch_size=8, seed=1)
ALIKE = "only trainings of one batch size, seed and recipe can be"
RULED = "only trainings by one optimizer, torch's SGD (without dampening), Adam or AdamW (without amsgrad), can be"
HELD = "only models whose optimizer has all parameters that are trained, and no others, can be"
DECAY = {"weight_decay": {"rate": 0.01, "biases_and_norms": False}}


def lanes(name: str, rates=RATES, momenta=MOMENTA, task=None, **changes) -> list[Supervised]:
    task = task or workload(name)
    return [task.trainable(constant(BASE.but(momentum=m, **changes), lr, 1000), "cpu") for lr, m in zip(rates, momenta)]


def mixed(**changes) -> list[Supervised]:
    """Some trainings, and some more of the same task with other plans."""
    task = workload("Plain")
    return [*lanes("Plain", task=task), *lanes("Plain", task=task, **changes)]


def rates(trainings) -> list[float]:
    return [lane.plan.lr for lane in trainings]


def vector(lane: Supervised) -> torch.Tensor:
    return torch.cat([value.double().reshape(-1) for value in lane.state()["model"].values()])


def apart(one: Supervised, other: Supervised) -> float:
    """Distance of parameters and buffers, relative to their size."""
    return float((vector(one) - vector(other)).norm() / vector(other).norm())


@pytest.mark.parametrize("name", ["Images", "Line", "Words", "Plain", "Tied", "Frozen"])
def test_lanes_agree_with_training_alone(name):
    together, alone = lanes(name), lanes(name)
    one = Fused(together)
    for _ in range(8):
        losses = one.train(25, rates(together))
        for place, (other, loss) in enumerate(zip(alone, losses)):
            assert loss == pytest.approx(other.train(25, other.plan.lr), rel=1e-4, abs=1e-6)
            assert one.evaluate(place) == pytest.approx(other.evaluate(), rel=1e-3, abs=1e-6)
    for lane, other in zip(together, alone):
        assert lane.step == 200 and apart(lane, other) < 1e-4


# (Under Adam a bias before batch norm, whose gradient is nothing but rounding, goes its own way in every training.)
@pytest.mark.parametrize(
    ("name", "optimizer", "parts"),
    [
        ("Images", "nesterov", {}),
        ("Words", "nesterov", {}),
        ("Words", "adam", {}),
        ("Attentive", "nesterov", {}),
        ("Plain", "adam", {}),
        ("Line", "adamw", {}),
        ("Colours", "sgd", {**DECAY, "clip": 0.1, "l1": 0.001}),
        ("Colours", "nesterov", {"layer_decay": 0.5, "layer_rates": {"0.1": 3.0}, "l1": 0.001}),
        ("Colours", "sgd", {"freeze": "0", **DECAY, "clip": 0.1}),
        ("Flat", "adam", {**DECAY, "layer_decay": 0.5}),
        ("Flat", "adamw", {"freeze": "0.bias", **DECAY, "l1": 0.001}),
        ("Spare", "nesterov", {"weight_decay": 0.1, "l1": 0.1}),
        ("Spare", "adamw", {"weight_decay": 0.1}),
        ("Frozen", "nesterov", {"weight_decay": 0.1}),
        ("Momenta", "sgd", {}),
        ("Betas", "sgd", {}),
    ],
)
def test_lanes_of_other_optimizers_and_recipes_agree_with_training_alone_and_go_on_so(name, optimizer, parts):
    how = {"rates": [rate / 10 for rate in RATES], "optimizer": optimizer, "recipe": Recipe.read(parts)}
    assert fused_from(lanes(name, **how), always=True) == (1, "fused")
    together, alone = lanes(name, **how), lanes(name, **how)
    for lane in together:
        lane.train(20, lane.plan.lr)
    one = Fused(together)
    for steps in (60, 80):
        one.train(steps, rates(together))
    for place, lane in enumerate(alone):
        lane.train(160, lane.plan.lr)
        assert one.evaluate(place) == pytest.approx(lane.evaluate(), rel=1e-3, abs=1e-6)
    fresh = lanes(name, **how)
    for lane, left in zip(fresh, one.part()):
        lane.restore(left.state())
    for one, other, more in zip(together, fresh, alone):
        loss = more.train(40, more.plan.lr)
        assert one.train(40, one.plan.lr) == other.train(40, other.plan.lr) == pytest.approx(loss, rel=1e-4, abs=1e-6)
        assert apart(one, more) < 1e-4 and one.step == more.step == 200
        mine, theirs = (lane.state()["optimizer"]["state"] for lane in (one, more))
        assert all(mine[parameter].keys() == kept.keys() for parameter, kept in theirs.items())


def test_what_is_frozen_is_computed_once_for_all_lanes():
    alone, together = lanes("Frozen"), lanes("Frozen")
    one = Fused(together)
    work = [_products(lambda: alone[0].train(1, 0.1)), _products(lambda: one.train(1, rates(together)))]
    work += [_products(alone[0].evaluate), _products(lambda: one.evaluate(0))]
    per_example = 2 * (3 * 9 + 9 * 99)  # of what is frozen
    trained = [alone_work - per_example * examples for alone_work, examples in zip(work[::2], (8, 16))]
    assert work[1::2] == [per_example * examples + 3 * more for more, examples in zip(trained, (8, 16))]


def _products(act) -> int:
    """Multiplications and additions in matrix products."""
    with FlopCounterMode(display=False) as counter:
        act()
    return counter.get_total_flops()


def test_lanes_go_on_alone_and_as_one_from_any_state():
    alone, moving = lanes("Images"), lanes("Images")
    for lane in alone:
        lane.train(60, lane.plan.lr)
    for lane in moving:
        lane.train(15, lane.plan.lr)
    one = Fused(moving)
    one.train(15, rates(moving))
    states = [lane.state() for lane in moving]
    fresh = lanes("Images")
    for lane, state in zip(fresh, states):
        lane.restore(state)
    two = Fused(fresh)
    two.train(15, rates(fresh))
    for lane in two.part():
        lane.train(15, lane.plan.lr)
    for lane, other in zip(fresh, alone):
        assert apart(lane, other) < 1e-4 and lane.step == other.step
        assert lane.state()["optimizer"]["state"].keys() == other.state()["optimizer"]["state"].keys()


def test_a_state_of_a_lane_holds_no_more_than_its_own():
    together = lanes("Plain")
    Fused(together).train(2, rates(together))
    alone = lanes("Plain")[0]
    size = sum(value.untyped_storage().nbytes() for value in together[0].state()["model"].values())
    assert size == sum(value.untyped_storage().nbytes() for value in alone.state()["model"].values())


@pytest.mark.parametrize("name", ["Images", "Plain"])
def test_a_lane_that_diverges_changes_nothing_for_the_others(name):
    calm, wild = lanes(name), lanes(name)
    Fused(calm).train(30, rates(calm))
    losses = Fused(wild).train(30, [RATES[0], 1e38, *RATES[2:]])
    assert not math.isfinite(losses[1]) and not vector(wild[1]).isfinite().all()
    for place in (0, 2):
        assert same(wild[place].state(), calm[place].state())


def test_a_lane_whose_metrics_raise_is_the_only_one_without():
    def metrics(outputs, targets):
        if not outputs.isfinite().all():
            raise ValueError("no number")
        return {"largest": float(outputs.max())}

    task = workload("Line")
    task.task.metrics = metrics
    calm, wild = lanes("Line", task=task), lanes("Line", task=task)
    one, other = Fused(calm), Fused(wild)
    one.train(3, rates(calm))
    other.train(3, [RATES[0], math.inf, *RATES[2:]])
    with pytest.raises(ValueError, match="no number"):
        other.evaluate(1)
    assert [other.evaluate(place) for place in (0, 2)] == [one.evaluate(place) for place in (0, 2)]


def test_lanes_that_part_do_not_touch_one_another():
    together = lanes("Images")
    one = Fused(together)
    one.train(10, rates(together))
    first, *rest = one.part()
    before = first.state()
    smaller = Fused(rest)
    smaller.train(10, rates(rest))
    assert same(first.state(), before)
    middle = [lane.state() for lane in rest]
    first.train(10, 0.1)
    assert same([lane.state() for lane in rest], middle)


def test_what_has_parted_is_freed_at_once():
    together = lanes("Images")
    one = Fused(together)
    one.train(2, rates(together))
    one.part()
    gc.disable()
    try:
        there, one = weakref.ref(one), None
        assert there() is None
    finally:
        gc.enable()


def test_evaluating_and_saving_a_lane_disturb_nothing():
    looked, left = lanes("Images"), lanes("Images")
    one, other = Fused(looked), Fused(left)
    for _ in range(3):
        one.train(5, rates(looked))
        other.train(5, rates(left))
        for lane in looked:
            lane.evaluate(), lane.state()
    for lane, twin in zip(looked, left):
        assert same(lane.state(), twin.state())


@pytest.mark.parametrize(
    ("name", "optimizer", "parts"),
    [
        *product(["Images", "Line", "Words", "Plain", "Betas", "Momenta"], ["sgd", "nesterov", "adam"], [{}]),
        *product(["Colours", "Flat"], ["nesterov", "adamw"], [{**DECAY, "layer_decay": 0.5, "l1": 0.01, "clip": 0.1}]),
        *product(["Colours", "Flat"], ["sgd", "adamw"], [{"freeze": "0", **DECAY}, {"freeze": "*.bias", "clip": 0.1}]),
    ],
)
def test_not_a_bit_of_a_lane_depends_on_its_company(name, optimizer, parts):
    companies = [lanes(name, optimizer=optimizer, recipe=Recipe.read(parts))[:count] for count in (3, 2, 1)]
    seen = []
    for company in companies:
        one = Fused(company)
        one.train(20, rates(company))
        seen.append([one.evaluate(place) for place in range(len(company))])
    assert seen[1] == seen[0][:2] and seen[2] == seen[0][:1]
    for company in companies[1:]:
        for lane, twin in zip(company, companies[0]):
            assert same(lane.state(), twin.state())


@pytest.mark.parametrize(
    ("trainings", "told"),
    [
        (lambda: mixed(batch_size=9), ALIKE),
        (lambda: mixed(seed=9), ALIKE),
        (lambda: mixed(recipe=Recipe.read({"l1": 0.1})), ALIKE),
        (lambda: lanes("Plain", optimizer="rmsprop"), RULED),
        (lambda: mixed(optimizer="adam"), RULED),
        (lambda: mixed(optimizer="nesterov"), RULED),
        (lambda: lanes("Damped"), RULED),
        (lambda: lanes("Hooked"), RULED),
        (lambda: lanes("Varying"), RULED),
        (lambda: lanes("Partly"), HELD),
        (
            lambda: lanes("Plain", finish=Pruned(share=0.5, at=5)),
            "what is done with a winner at last is done to one model at a time",
        ),
        (lambda: [*lanes("Plain"), *lanes("Line")], "they are not at one step of one task"),
        (lambda: lanes("Wandering"), "only models in which the same is frozen can be"),
    ],
)
def test_what_cannot_be_fused_says_why(trainings, told):
    found = trainings()
    assert hindrance(found) == told
    assert fused_from(found) == fused_from(found, always=True) == (math.inf, told)


def test_a_task_that_cannot_be_batched_is_not_fused():
    fewest, words = fused_from(lanes("Branches"))
    assert fewest == math.inf and words.startswith("RuntimeError: ")


@pytest.mark.parametrize("momenta", [MOMENTA, (0.0, 0.0, 0.0)])
def test_a_model_that_finds_its_weights_elsewhere_is_not_fused_however_low_the_rate(momenta):
    """They would get no gradient, which so few steps do not show in the loss."""
    fewest, words = fused_from(lanes("Listed", rates=(0.1, 0.01, 1e-5), momenta=momenta), always=True)
    assert fewest == math.inf and words.startswith("a gradient would be another one")


@pytest.mark.parametrize("order", [1, -1])
def test_a_model_that_keeps_something_of_the_batched_one_is_not_fused(order):
    fewest, words = fused_from(lanes("Remembering", rates=RATES[::order]), always=True)
    assert fewest == math.inf and "escaped" in words


def test_a_task_that_would_draw_other_random_numbers_is_not_fused():
    fewest, words = fused_from(lanes("Transposed"), always=True)
    assert fewest == math.inf and words.startswith("the loss would differ by ")


@pytest.mark.parametrize(
    ("alone", "one", "all_of_them", "fewest"),
    [(1.0, 2.0, 6.0, 3), (1.0, 2.0, 32.0, math.inf), (1.0, 0.5, 6.0, 2)],
    ids=["from three on", "never clearly", "even two"],
)
def test_models_are_fused_from_as_many_on_as_were_clearly_faster(monkeypatch, alone, one, all_of_them, fewest):
    took = iter((alone, one, all_of_them))
    monkeypatch.setattr(fused, "_seconds", lambda work: (work(), next(took))[1])
    found, words = fused_from(lanes("Plain", rates=[0.01] * 32, momenta=[0.9] * 32))
    assert found == fewest and words.startswith("32 fused train ")


def test_what_torch_batches_slowly_is_said_to_be_so_by_a_measurement_alone():
    process = in_another_process(
        "import warnings; from tests.trainables.test_fused import *\n"
        "with warnings.catch_warnings(record=True) as told: print(*fused_from(lanes('Bagged'), always=True), *told)"
    )
    assert process.communicate(timeout=120)[0] == "1 fused\n"


def test_a_parameter_that_is_not_used_stays():
    alone, together = lanes("Idle"), lanes("Idle")
    Fused(together).train(10, rates(together))
    for lane, other in zip(together, alone):
        other.train(10, other.plan.lr)
        assert same(lane.model.idle, other.model.idle) and apart(lane, other) < 1e-5
