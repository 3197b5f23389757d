"""Are examples mixed as torchvision does it, and labels as the papers say?"""

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot
from torchvision.transforms import v2

from studies.errors import InputError
from studies.recipe import Recipe
from trainables.recipe.mixing import check_inputs, check_labels, mixtures, paired, smoothed, soft_cross_entropy

GENERATOR = torch.Generator().manual_seed(2)
IMAGES, LABELS = torch.rand(16, 3, 6, 6, generator=GENERATOR), torch.randint(5, (16,), generator=GENERATOR)
OUTPUTS = torch.randn(16, 5, generator=GENERATOR)


@pytest.mark.parametrize("name, theirs", [("mixup", v2.MixUp), ("cutmix", v2.CutMix)])
def test_blends_are_torchvisions(name, theirs):
    (mix,) = mixtures(Recipe(**{name: 0.7}), 5)
    torch.manual_seed(1)
    torch.randint(1, ())  # which of the blends it is
    expected = theirs(alpha=0.7, num_classes=5)(IMAGES, LABELS)
    torch.manual_seed(1)
    assert all(torch.equal(ours, other) for ours, other in zip(mix(IMAGES, LABELS), expected))


def test_with_both_each_batch_gets_either():
    (mix,) = mixtures(Recipe(mixup=True, cutmix=True), 5)
    torch.manual_seed(1)
    kept = [bool((mix(IMAGES, LABELS)[0] == IMAGES).any()) for _ in range(30)]  # cutmix keeps most pixels, mixup none
    assert 5 < sum(kept) < 25


@pytest.mark.parametrize("inputs", [torch.rand(16, 7), (IMAGES * 255).byte()], ids=["table", "bytes"])
def test_mixup_takes_whatever_is_numbers(inputs):
    (mix,) = mixtures(Recipe(mixup=1.0), 5)
    mixed, labels = mix(inputs, LABELS)
    share = labels[0, LABELS[0]]  # whose neighbour has another label
    assert LABELS[0] != LABELS[-1] and mixed.shape == inputs.shape
    assert torch.allclose(mixed, share * inputs + (1 - share) * inputs.roll(1, 0), rtol=1e-4, atol=1e-4)
    assert torch.allclose(labels, share * one_hot(LABELS, 5) + (1 - share) * one_hot(LABELS, 5).roll(1, 0))


def test_pairs_are_means_with_the_neighbour_and_the_labels_stay():
    halves = paired(IMAGES, 1.0)
    assert torch.equal(halves, (IMAGES + IMAGES.roll(1, 0)) / 2)
    some = (paired(IMAGES, 0.5) == IMAGES).flatten(1).all(1)
    assert 0 < some.sum() < 16
    (mix,) = mixtures(Recipe(sample_pairing=True), 0)
    assert mix(IMAGES, LABELS)[1] is LABELS


def test_smoothed_labels_are_torchs_label_smoothing():
    soft = smoothed(LABELS, 0.1, 5)
    assert torch.allclose(soft_cross_entropy(OUTPUTS, soft), cross_entropy(OUTPUTS, LABELS, label_smoothing=0.1))
    mixed = v2.MixUp(num_classes=5)(IMAGES, LABELS)[1]
    ours = soft_cross_entropy(OUTPUTS, smoothed(mixed, 0.1, 5))
    assert torch.allclose(ours, cross_entropy(OUTPUTS, mixed, label_smoothing=0.1))


def hinge(outputs, targets):
    return (1 - outputs[torch.arange(len(targets)), targets]).relu().mean()


def squares(outputs, targets):
    return ((outputs - (targets if targets.is_floating_point() else one_hot(targets, 5))) ** 2).mean()


def test_a_loss_of_the_tasks_own_is_taken_if_it_says_the_same_of_both_kinds_of_labels():
    check_labels("mixup", squares, OUTPUTS, LABELS)
    check_labels("mixup", cross_entropy, OUTPUTS, LABELS)
    check_labels("mixup", soft_cross_entropy, OUTPUTS, LABELS.int())


@pytest.mark.parametrize(
    "loss, outputs, targets, words",
    [
        (hinge, OUTPUTS, LABELS, "mixup: expected a loss that takes soft labels"),
        (lambda o, t: o.mean() + t.float().mean(), OUTPUTS, LABELS, "mixup: expected a loss that takes soft labels"),
        (squares, OUTPUTS, OUTPUTS[:, 0], r"expected classes as targets, whole .*; got torch.float32 of shape \(16,\)"),
        (cross_entropy, OUTPUTS[:, :, None], LABELS, r"expected outputs of shape \(batch, classes\); got shape \(16, 5, 1\)"),
        (cross_entropy, OUTPUTS[:, :1], LABELS, r"expected outputs of shape \(batch, classes\); got shape \(16, 1\)"),
    ],
)
def test_what_cannot_have_soft_labels_is_refused(loss, outputs, targets, words):
    with pytest.raises(InputError, match=words):
        check_labels("mixup", loss, outputs, targets)


@pytest.mark.parametrize("inputs, came", [(LABELS, "torch.int64"), ({"a": IMAGES}, "dict")])
def test_what_cannot_be_blended_is_refused(inputs, came):
    with pytest.raises(InputError, match=f"mixup: expected inputs that can be blended, .*; got {came}"):
        check_inputs("mixup", inputs)
