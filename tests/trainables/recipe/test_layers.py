"""Do initialisation, dropout, freezing, layer rates and decay reach the layers that they name, and no others?"""

import pytest
import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from studies.errors import InputError
from studies.recipe import Filling, Init, Recipe
from trainables.recipe import prepare
from trainables.recipe.init import fill
from trainables.recipe.layers import groups, scales_of
from trainables.recipe.regularize import draw_as_when_batched


def net():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), nn.Dropout2d(0.5)),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


def scales(recipe):
    model = net()
    found = scales_of(model, Recipe(**recipe))
    return {name: round(found[parameter], 9) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    "filling, theirs",
    [
        ({"way": "xavier_uniform", "value": 2.0}, lambda t: nn.init.xavier_uniform_(t, gain=2.0)),
        ({"way": "xavier_normal"}, nn.init.xavier_normal_),
        ({"way": "kaiming_uniform"}, nn.init.kaiming_uniform_),
        ({"way": "kaiming_normal", "value": 0.2}, lambda t: nn.init.kaiming_normal_(t, a=0.2)),
        ({"way": "orthogonal", "value": 0.5}, lambda t: nn.init.orthogonal_(t, gain=0.5)),
        ({"way": "constant"}, nn.init.zeros_),
        ({"way": "normal", "value": 0.3}, lambda t: nn.init.normal_(t, std=0.3)),
        ({"way": "uniform", "value": 0.1}, lambda t: nn.init.uniform_(t, -0.1, 0.1)),
    ],
)
def test_a_filling_is_torchs(filling, theirs):
    ours, expected = torch.ones(6, 4), torch.ones(6, 4)
    torch.manual_seed(0)
    fill(ours, Filling(**filling))
    torch.manual_seed(0)
    theirs(expected)
    assert torch.equal(ours, expected)


def test_layers_of_a_kind_are_filled_and_others_stay():
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prepare(model, Recipe(init=Init(conv="orthogonal", bias={"way": "constant", "value": 0.1})))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"0.0.weight", "0.0.bias", "1.0.weight", "3.bias"}
    rows = model[1][0].weight.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(4), atol=1e-5) and model[3].bias.eq(0.1).all()


def test_what_fills_a_gap_stays_zero():
    model = nn.Embedding(5, 3, padding_idx=1)
    prepare(model, Recipe(init=Init(embedding="normal")))
    assert model.weight.ne(0).all(1).tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("p", [0.2, 0])
def test_dropout_is_set_everywhere(p):
    model = net()
    prepare(model, Recipe(dropout=p))
    assert model[1][2].p == p


@pytest.mark.parametrize("training", [True, False])
def test_dropout_that_draws_as_when_batched_is_torchs(training):
    model, inputs = nn.Sequential(nn.Dropout(0.3), nn.Sequential(nn.Dropout(1.0))).train(training), torch.randn(5, 7)

    def through():
        torch.manual_seed(0)
        return model[0](inputs), model(inputs), torch.rand(1)

    before, kept = through(), model.state_dict().keys()
    draw_as_when_batched(model)
    assert all(map(torch.equal, through(), before)) and model.state_dict().keys() == kept
    torch.manual_seed(0)
    many = torch.func.vmap(model[0], randomness="same")(inputs.expand(3, 5, 7) * torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1))
    assert torch.equal(many[0], before[0]) and torch.equal(many[1], 2 * before[0])


def test_what_is_frozen_is_not_trained_and_its_norms_stand_still():
    model = net()
    still = prepare(model, Recipe(freeze=["0", "3.weight"]))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained == ["1.0.weight", "3.bias"] and model[0][1] in still


@pytest.mark.parametrize("names, frozen", [(["0"], False), (["0", "1"], True)])
def test_a_norm_without_parameters_is_frozen_with_its_layer(names, frozen):
    model = net()
    assert (model[1][1] in prepare(model, Recipe(freeze=names))) == frozen


@pytest.mark.parametrize(
    "recipe, expected",
    [
        ({"layer_rates": {"0": 0.1, "*.bias": 2, "3": 10}}, [0.1, 0.2, 0.1, 0.2, 1, 10, 20]),
        ({"layer_decay": 0.5}, [0.25, 0.25, 0.25, 0.25, 0.5, 1, 1]),
        ({"layer_decay": 0.5, "layer_rates": {"3.bias": 3}}, [0.25, 0.25, 0.25, 0.25, 0.5, 1, 3]),
    ],
)
def test_each_layer_learns_at_its_share_of_the_rate(recipe, expected):
    assert list(scales(recipe).values()) == pytest.approx(expected)


def test_layer_decay_is_timms_where_that_counts_layer_by_layer():
    model = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(4)))
    model.group_matcher = lambda coarse: {"blocks": r"(\d+)"}
    theirs = {
        parameter: group["lr_scale"]
        for group in param_groups_layer_decay(model, 0.0, layer_decay=0.7)
        for parameter in group["params"]
    }
    ours = scales_of(model, Recipe(layer_decay=0.7))
    assert [ours[parameter] for parameter in model.parameters()] == pytest.approx(list(theirs.values()))


def test_biases_and_norms_are_spared_as_timm_spares_them():
    model = net()
    theirs = {p: group["weight_decay"] for group in param_groups_weight_decay(model, 0.01) for p in group["params"]}
    spared = groups(model, Recipe(weight_decay={"rate": 0.01, "biases_and_norms": False}))
    assert {p: group["weight_decay"] for group in spared for p in group["params"]} == theirs
    (whole,) = groups(model, Recipe(weight_decay=0.01))
    assert whole["weight_decay"] == 0.01 and whole["params"] == list(model.parameters())


@pytest.mark.parametrize(
    "recipe, words",
    [
        ({"dropout": 0.1}, "dropout: expected a model with dropout layers; Linear has none"),
        ({"init": {"conv": "normal"}}, "init.conv: expected a model with such layers; got one of Linear"),
        ({"freeze": "head"}, "freeze: expected the names of parameters or layers; got 'head'; there are weight, bias"),
        ({"freeze": "*"}, r"freeze: expected something left to train; got all of it: \*"),
    ],
)
def test_what_the_model_has_not_is_refused(recipe, words):
    with pytest.raises(InputError, match=words):
        prepare(nn.Linear(2, 2), Recipe(**recipe))


def test_a_rate_for_what_is_not_there_is_refused():
    with pytest.raises(InputError, match="layer_rates: expected the names of parameters or layers; got 'head.*'; there are"):
        scales({"layer_rates": {"head.*": 2}})
