"""Do optimizers do what their sources say: momentum's two forms, LARS, decay, Adam first and SGD later?"""

import pytest
import torch
from timm.optim import Lars
from torch import nn

from studies.errors import InputError
from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe
from studies.schedule import Constant
from tests.trainables.helpers import workload
from trainables.recipe.optimizers import OPTIMIZERS, HeavyBall, make_optimizer

RATES = [0.1, 0.1, 0.05, 0.02, 0.02, 0.08, 0.01]


def path(optimizer, rates):
    """The weights after each step down a fixed quadratic, and the rates it is done at."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    made, walked = optimizer([weight]), []
    for rate in rates:
        made.param_groups[0]["lr"] = rate
        weight.grad = weight.detach() * torch.tensor([1.0, 3.0])
        made.step()
        walked.append(weight.detach().clone())
    return torch.stack(walked)


def by_hand(rates, momentum, corrected):
    """v = m v + lr g, w = w - v; corrected: v = m (lr / before) v + lr g (text 003)."""
    weight, velocity, before, walked = torch.tensor([1.0, -2.0]).double(), torch.zeros(2).double(), rates[0], []
    for rate in rates:
        velocity = momentum * (rate / before if corrected else 1.0) * velocity + rate * weight * torch.tensor([1.0, 3.0])
        weight, before = weight - velocity, rate
        walked.append(weight)
    return torch.stack(walked)


@pytest.mark.parametrize("corrected", [False, True])
def test_heavy_ball_is_its_closed_form(corrected):
    ours = path(lambda weights: HeavyBall(weights, momentum=0.9, corrected=corrected), RATES)
    assert torch.allclose(ours, by_hand(RATES, 0.9, corrected), rtol=1e-12)


def test_corrected_it_is_torchs_form_which_needs_no_correction():
    torchs = path(lambda weights: torch.optim.SGD(weights, lr=1.0, momentum=0.9), RATES)
    assert torch.allclose(torchs, by_hand(RATES, 0.9, corrected=True), rtol=1e-12)
    assert not torch.allclose(torchs, by_hand(RATES, 0.9, corrected=False), rtol=1e-2)
    steady = path(lambda weights: HeavyBall(weights, momentum=0.9), [0.1] * 5)
    assert torch.allclose(steady, path(lambda weights: torch.optim.SGD(weights, lr=1.0, momentum=0.9), [0.1] * 5), rtol=1e-12)


def test_heavy_ball_decays_as_sgd_does():
    def decayed(kind):
        return path(lambda weights: kind(weights, lr=1.0, momentum=0.9, weight_decay=0.1), [0.1] * 5)

    assert torch.allclose(decayed(HeavyBall), decayed(torch.optim.SGD), rtol=1e-12)


def test_lars_is_timms_and_adapts_without_decay_too():
    made = OPTIMIZERS["lars"]([nn.Parameter(torch.ones(2, 2))], 0.8)
    assert type(made) is Lars and made.defaults["momentum"] == 0.8 and made.defaults["always_adapt"]
    gradient, weight = torch.full((2, 2), 0.5), nn.Parameter(torch.full((2, 2), 3.0))
    made = OPTIMIZERS["lars"]([weight], 0.0)
    weight.grad = gradient
    made.step()
    assert torch.allclose(weight, 3.0 - 0.001 * (weight.numel() * 9) ** 0.5 / gradient.norm() * gradient)  # trust, |w| / |g|


def test_lars_leaves_biases_and_norms_alone_where_they_are_spared():
    recipe = Recipe(weight_decay={"rate": 0.1, "biases_and_norms": False})
    made = make_optimizer(nn.Linear(3, 2), Plan(optimizer="lars", recipe=recipe))
    assert {group["params"][0].dim(): (group["weight_decay"], group["always_adapt"]) for group in made.param_groups} == {
        2: (0.1, True),
        1: (0.0, False),
    }


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_weight_decay_reaches_every_optimizer_and_is_off_without_a_recipe(name):
    model = nn.Linear(3, 2)
    for recipe, rate in [(Recipe(), 0.0), (Recipe(weight_decay=0.03), 0.03)]:
        made = make_optimizer(model, Plan(optimizer=name, recipe=recipe))
        assert {group["weight_decay"] for group in made.param_groups} == {rate}


@pytest.mark.parametrize("name", ["sgd", "lars"])
def test_a_velocity_that_holds_no_rate_needs_no_correction(name):
    with pytest.raises(InputError, match=f"momentum_correction: expected heavyball, .*; got {name}, which needs none"):
        make_optimizer(nn.Linear(3, 2), Plan(optimizer=name, recipe=Recipe(momentum_correction=True)))


def test_adam_first_and_sgd_later_is_sgd_from_where_adam_has_come():
    adam = constant(Plan(batch_size=8, optimizer="adam"), 0.01, 6)
    both = workload("Plain").trainable(adam.then(Segment(steps=4, rate=Constant(lr=0.1), optimizer="sgd")), "cpu")
    both.train(6, 0.01)
    assert type(both.optimizer) is torch.optim.Adam
    later = workload("Plain").trainable(constant(Plan(batch_size=8), 0.1, 10), "cpu")
    later.model.load_state_dict(both.model.state_dict())
    later.step = 6
    assert both.train(4, 0.1) == later.train(4, 0.1) and type(both.optimizer) is torch.optim.SGD
    assert all(torch.equal(one, other) for one, other in zip(both.model.parameters(), later.model.parameters()))


def test_an_optimizer_for_later_is_refused_at_once():
    plan = constant(Plan(batch_size=8), 0.01, 6).then(Segment(steps=4, rate=Constant(lr=0.1), optimizer="newton"))
    with pytest.raises(InputError, match="expected one of .*; got 'newton'"):
        workload("Plain").trainable(plan, "cpu")
