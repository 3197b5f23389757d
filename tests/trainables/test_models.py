"""Are the networks those of the papers, and do they train as everything else does?"""

import pytest
import torch
from torch import nn

from studies.errors import InputError
from studies.plan import Plan, constant
from tests.trainables.helpers import same
from tests.trainables.test_cifar10 import folder, images
from trainables import load_task
from trainables.fused import Fused
from trainables.models import resnet50vd, shakedrop110, shakeshake26, small_resnet_vd
from trainables.models.shaking import ShakeDrop, ShakeShake
from trainables.source import BUILT_IN
from trainables.tasks import cifar10

PLAN = constant(Plan(batch_size=11, seed=2), 0.05, 6)


def convolution(size, before, after):
    """Its weights, and a scale and a shift of the batch norm that follows."""
    return size * size * before * after + 2 * after


def stem(width):
    return convolution(3, 3, width // 2) + convolution(3, width // 2, width // 2) + convolution(3, width // 2, width)


def of_bottlenecks(classes, depths, width, after):
    """Parameters of ResNet-50 as it is described, with the other stem; where an image is halved makes no difference."""
    total, before = stem(width), width
    for depth in depths:
        for block in range(depth):
            inner = after // 4
            total += convolution(1, before, inner) + convolution(3, inner, inner) + convolution(1, inner, after)
            total += convolution(1, before, after) if block == 0 else 0
            before = after
        after *= 2
    return total + before * classes + classes


def of_basics(classes, depths, width, after, branches=1):
    total, before = stem(width), width
    for depth in depths:
        for _ in range(depth):
            total += branches * (convolution(3, before, after) + convolution(3, after, after))
            total += convolution(1, before, after) if before != after else 0
            before = after
        after *= 2
    return total + before * classes + classes


COUNTS = {
    "resnet50vd": (lambda: resnet50vd(1000), of_bottlenecks(1000, (3, 4, 6, 3), 64, 256)),
    "resnet20vd": (lambda: small_resnet_vd(10, 20), of_basics(10, (3, 3, 3), 16, 16)),
    "resnet56vd": (lambda: small_resnet_vd(100, 56), of_basics(100, (9, 9, 9), 16, 16)),
    "shakeshake26": (lambda: shakeshake26(10), of_basics(10, (4, 4, 4), 16, 32, branches=2)),
    "shakedrop110": (lambda: shakedrop110(10), of_basics(10, (18, 18, 18), 16, 16)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_it_has_as_many_parameters_as_its_description(name):
    made, count = COUNTS[name]
    assert sum(parameter.numel() for parameter in made().parameters()) == count


def test_resnet50vd_is_timms_resnet50d():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    ours, theirs = resnet50vd(1000).eval(), timm.create_model("resnet50d").eval()
    values = theirs.state_dict().values()
    assert [value.shape for value in ours.state_dict().values()] == [value.shape for value in values]
    ours.load_state_dict(dict(zip(ours.state_dict(), values)))
    batch = torch.randn(2, 3, 75, 64)
    with torch.no_grad():
        assert torch.allclose(ours(batch), theirs(batch), atol=1e-6)


def shapes(network, batch):
    """Of what the stem and each stage give."""
    found = []
    for part in (network.stem, *network.stages):
        part.register_forward_hook(lambda module, inputs, output: found.append(tuple(output.shape[1:])))
    with torch.no_grad():
        network.eval()(batch)
    return found


def test_each_stage_after_the_first_halves_the_image_and_doubles_the_channels():
    large = shapes(resnet50vd(10), torch.zeros(1, 3, 64, 64))
    assert large == [(64, 16, 16), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (2048, 2, 2)]
    for small, width in ((small_resnet_vd(10, 20), 16), (shakeshake26(10), 32)):
        found = shapes(small, torch.zeros(1, 3, 32, 32))
        assert found == [(16, 32, 32), (width, 32, 32), (2 * width, 16, 16), (4 * width, 8, 8)]


def test_no_convolution_of_one_pixel_skips_any():
    strides = {(layer.kernel_size, layer.stride) for layer in resnet50vd(10).modules() if isinstance(layer, nn.Conv2d)}
    assert strides == {((1, 1), (1, 1)), ((3, 3), (1, 1)), ((3, 3), (2, 2))}


def test_a_depth_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"depth must be 6 n \+ 2 .*, got 21"):
        small_resnet_vd(10, 21)


def test_shake_shake_mixes_by_other_shares_on_the_way_back():
    one, other = (torch.randn(5, 2, 3, 3, requires_grad=True) for _ in range(2))
    mixed = ShakeShake()(one, other)
    share = ((mixed - other) / (one - other)).detach()
    assert torch.allclose(share, share[:, :1, :1, :1].expand_as(share), atol=1e-3) and 0 <= share.min() and share.max() <= 1
    mixed.sum().backward()
    back = one.grad
    assert torch.equal(back, back[:, :1, :1, :1].expand_as(back)) and torch.allclose(back + other.grad, torch.ones_like(back))
    assert (back - share)[:, 0, 0, 0].abs().min() > 1e-3 and len(back[:, 0, 0, 0].unique()) == 5
    assert torch.equal(ShakeShake().eval()(one, other), (one + other) / 2)


def test_shake_drop_leaves_alone_or_shakes():
    branch = torch.ones(20_000, 1, 1, 1, requires_grad=True)
    assert torch.equal(ShakeDrop(1.0)(branch), branch)
    shaken = ShakeDrop(0.0)(branch)
    shaken.sum().backward()
    assert -1 <= shaken.min() < -0.99 and 0.99 < shaken.max() < 1 and abs(shaken.mean()) < 0.02
    assert 0 <= branch.grad.min() < 0.01 and 0.99 < branch.grad.max() < 1 and abs(branch.grad.mean() - 0.5) < 0.02
    alone = [torch.equal(half(branch), branch) for half in [ShakeDrop(0.3)] for _ in range(1000)]
    assert 0.25 < sum(alone) / 1000 < 0.35
    assert torch.equal(ShakeDrop(0.3).eval()(branch), 0.3 * branch)


def test_the_deeper_the_less_is_kept():
    kept = [block.kept for block in shakedrop110(10).modules() if isinstance(block, ShakeDrop)]
    assert len(kept) == 54 and kept == pytest.approx([1 - block / 108 for block in range(1, 55)])


@pytest.mark.parametrize("name", ["Small", "Narrow", "Shaken", "Dropped"])
def test_it_learns_and_goes_on_bit_for_bit(name):
    task = load_task(f"tests.trainables.networks:{name}")
    whole, first, second = (task.trainable(PLAN, "cpu") for _ in range(3))
    losses = [whole.train(3, 0.05), whole.train(3, 0.05)]
    first.train(3, 0.05)
    first.evaluate(), torch.rand(7)  # what others draw changes nothing
    second.restore(first.state())
    assert second.train(3, 0.05) == losses[1] and same(second.state(), whole.state())
    whole.train(40, 0.02)
    assert whole.train(5, 0.02) < losses[0] / 2


@pytest.mark.parametrize("name", ["Shaken", "Dropped"])
def test_shaken_lanes_are_fused_with_the_same_numbers(name):
    task = load_task(f"tests.trainables.networks:{name}")
    together, alone = ([task.trainable(constant(PLAN.upto(0), lr, 6), "cpu") for lr in (0.01, 0.02)] for _ in range(2))
    losses = Fused(together).train(3, (0.01, 0.02))
    assert losses == pytest.approx([lane.train(3, lane.plan.lr) for lane in alone], rel=1e-4)


@pytest.mark.parametrize("spec", [spec for spec in BUILT_IN if spec.startswith("cifar10:")])
def test_a_network_of_the_built_in_task_is_named_with_it(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "CACHE", tmp_path / "cache")
    task = load_task(spec, str(folder(tmp_path / "data", images(3))))
    trainable = task.trainable(PLAN, "cpu")
    assert task.name == spec and trainable.model[1].head.out_features == 3
    if spec == "cifar10:resnet20vd":
        trainable.train(2, 0.01)
        assert trainable.evaluate().keys() >= {"val_loss", "accuracy"}


def test_an_unknown_network_is_one_line():
    with pytest.raises(InputError, match="--task cifar10:vgg: .*; expected cifar10:resnet20vd, .*, file.py:Name or module:Name"):
        load_task("cifar10:vgg")
