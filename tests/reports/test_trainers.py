"""Does each trainer, told what was exported for it, train with the plan's rate at every step?"""

import re
import runpy
import warnings
from argparse import Namespace
from itertools import product

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from reports.export import TRAINERS, suffix, write_for
from studies.errors import InputError
from studies.plan import Plan, Segment
from studies.recipe import Recipe
from studies.schedule import Constant, Cosine, Exponential, Linear, Sqrt, Warmup
from tests.reports.sample import stage3
from trainables.recipe.optimizers import OPTIMIZERS, make_optimizer

DECISION = stage3().decision
BATCH, UPDATES = 8, 10
EXAMPLES = BATCH * UPDATES + 3
"""Of an epoch; the last batch is not full."""


def path(*segments, **values):
    return Plan(**{"batch_size": BATCH, **values}, segments=tuple(Segment(steps=steps, rate=rate) for steps, rate in segments))


def hold(steps, lr=0.1):
    return steps, Constant(lr=lr)


def rise(over, lr=0.1, **more):
    return over, Warmup(lr=lr, start=0.025, over=over, **more)


def glide(kind, over, lr=0.1, **more):
    return over, kind(lr=lr, over=over, **more)


def planned(plan):
    return [plan.at(step) for step in range(plan.steps)]


SAID = {  # by all trainers
    "constant": path(hold(60, 3e-5)),
    "linear": path(glide(Linear, 60)),
    "cosine": path(glide(Cosine, 60)),
    "linear to an end": path(glide(Linear, 60, end=0.004)),
    "cosine to an end": path(glide(Cosine, 60, end=1e-5)),
    "cooldown": path(glide(Sqrt, 60)),
    "warm-up": path(rise(8), hold(52)),
    "a warm-up of one step": path(rise(1), hold(59)),
    "constant, linear": path(hold(13), glide(Linear, 47)),
    "constant, cosine": path(hold(55), glide(Cosine, 5, end=1e-4)),
    "constant, cooldown": path(hold(30), glide(Sqrt, 30)),
    "warm-up to where it came from": path(rise(11), hold(19), glide(Cosine, 30, end=0.025 + 0.075 / 11)),
}
DROPPED = {
    "drops": path(hold(13), (47, Exponential(lr=0.1, factor=0.5, interval=7))),
    "drops from the first step": path((60, Exponential(lr=0.1, factor=0.3, interval=9))),
    "drops after a warm-up": path(rise(8), hold(12), (40, Exponential(lr=0.1, factor=0.1, interval=20))),
    "a drop at every step": path(hold(20), (40, Exponential(lr=0.1, factor=0.9, interval=1))),
}
STAIRS = path(rise(12, interval=4), hold(20), glide(Cosine, 28, interval=7))
OTHERWISE = {  # the trainer, what is planned, what is trained instead, and what is said of it
    "stairs, timm": ("timm", path(glide(Linear, 60, interval=7)), path(glide(Linear, 60)), ["linear .* every 7: .* up to 0.01$"]),
    "stairs, transformers": (
        "transformers",
        path(hold(20), glide(Sqrt, 40, interval=10)),
        path(hold(20), glide(Sqrt, 40)),
        ["sqrt .* every 10: .* up to 0.0474$"],
    ),
    "constant, longer": ("timm", path(hold(53)), path(hold(60)), ["60 updates, in the plan 53$"]),
    "linear, longer": (
        "timm",
        path(hold(13), glide(Linear, 44)),
        path(hold(13), glide(Linear, 47)),
        ["60 updates, in the plan 57, and the decay ends with them"],
    ),
    "drops, longer": (
        "timm",
        path(hold(13), (44, Exponential(lr=0.1, factor=0.5, interval=7))),
        path(hold(13), (47, Exponential(lr=0.1, factor=0.5, interval=7))),
        ["60 updates, in the plan 57$"],
    ),
    "a warm-up in whole epochs": (
        "timm",
        path(rise(8), hold(12), glide(Sqrt, 40)),
        path(rise(11), hold(9), glide(Sqrt, 40)),
        ["10 updates, in the plan 7$"],
    ),
    "a warm-up from where the decay ends": (
        "transformers",
        path(rise(8), hold(12), glide(Linear, 40)),
        [0.1 * step / 7 for step in range(7)] + planned(path(hold(13), glide(Linear, 40))),
        ["starts where the decay ends, at 0, in the plan at 0.034375"],
    ),
}
JUMPING = {
    "a jump": path(hold(30, 0.1), hold(30, 0.01)),
    "down and up": path(glide(Linear, 30), rise(30)),
    "a warm-up that breaks off": path((5, Warmup(lr=0.1, start=0.01, over=9)), hold(55)),
    "a decay that breaks off": path((50, Linear(lr=0.1, over=60))),
}


def written(trainer, plan, folder, examples=EXAMPLES):
    file = folder / f"best{suffix(trainer)}"
    return file, write_for(trainer, file, plan, study="digits", decision=DECISION, examples=examples)


def rates_timm(file):
    """As timm's train.py goes through its epochs."""
    scheduler_factory = pytest.importorskip("timm.scheduler", reason="timm is not installed")
    from timm.optim import create_optimizer_v2, optimizer_kwargs

    args = Namespace(**yaml.safe_load(file.read_text()))
    optimizer = create_optimizer_v2(nn.Linear(2, 2), **optimizer_kwargs(cfg=args), **getattr(args, "opt_kwargs", {}))
    scheduler, epochs = scheduler_factory.create_scheduler_v2(
        optimizer, **scheduler_factory.scheduler_kwargs(args), updates_per_epoch=UPDATES
    )
    assert not scheduler.t_in_epochs  # train.py asks
    found, updates = [], 0
    for epoch in range(epochs):
        for _ in range(UPDATES):
            found.append(optimizer.param_groups[0]["lr"])
            updates += 1
            scheduler.step_update(num_updates=updates)
        scheduler.step(epoch + 1)
    return found, optimizer, args


class Images(torch.utils.data.Dataset):
    def __len__(self):
        return EXAMPLES

    def __getitem__(self, i):
        return {"x": torch.ones(2) * i, "labels": torch.tensor(0.0)}


class Held(nn.Module):
    def __init__(self, parameter):
        super().__init__()
        self.parameter = parameter


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x, labels):
        return {"loss": (self.layer(x).squeeze(1) - labels).mean()}


def rates_transformers(file):
    """Of a real training."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    mine = file.with_name("mine.yaml")
    mine.write_text(file.read_text() + f"output_dir: {file.parent}\nuse_cpu: true\nreport_to: none\nsave_strategy: 'no'\n")
    (args,) = transformers.HfArgumentParser(transformers.TrainingArguments).parse_yaml_file(mine)
    found = []

    class Watch(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer, **more):
            found.append(optimizer.param_groups[0]["lr"])

    trainer = transformers.Trainer(Model(), args, train_dataset=Images(), callbacks=[Watch()])
    trainer.remove_callback(transformers.ProgressCallback)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    assert trainer._train_batch_size * args.gradient_accumulation_steps == BATCH
    return found, trainer.optimizer.optimizer, args


QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def module_lightning(content, found):
    """A module into which the exported class is mixed, and which keeps the rates."""
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")

    class Mine(content["Tuned"], lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Model()

        def training_step(self, batch):
            found.append(self.optimizers().param_groups[0]["lr"])
            return self.model(**batch)["loss"]

        def train_dataloader(self):
            return torch.utils.data.DataLoader(Images(), content["BATCH_SIZE"], drop_last=True)

    return Mine


def rates_lightning(file):
    """Of a real training."""
    content, found = runpy.run_path(str(file)), []
    module = module_lightning(content, found)()
    from lightning.pytorch import Trainer

    Trainer(**content["TRAINER"], **QUIET, accelerator="cpu").fit(module)
    return found, module.optimizers().optimizer, content


def rates_torch(file):
    content = runpy.run_path(str(file))
    optimizer = content["make_optimizer"](nn.Linear(2, 2).parameters())
    scheduler, found = content["make_scheduler"](optimizer), []
    for _ in range(content["STEPS"]):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found, optimizer, content


RATES = {"timm": rates_timm, "transformers": rates_transformers, "lightning": rates_lightning, "torch": rates_torch}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("name", [*SAID, *DROPPED])
def test_the_rate_at_every_step_is_the_plans(trainer, name, tmp_path):
    plan = (SAID | DROPPED)[name]
    if trainer == "transformers" and name in DROPPED:
        with pytest.raises(InputError, match="--format transformers: .*no drops.*: yaml, json, timm, lightning, torch$"):
            written(trainer, plan, tmp_path)
        return
    file, notes = written(trainer, plan, tmp_path)
    found, _, _ = RATES[trainer](file)
    assert notes == () and len(found) == plan.steps
    assert found == (planned(plan) if trainer in ("lightning", "torch") else pytest.approx(planned(plan), rel=1e-9, abs=1e-12))


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_trained_otherwise_is_said(name, tmp_path):
    trainer, plan, said, told = OTHERWISE[name]
    file, notes = written(trainer, plan, tmp_path)
    found, _, _ = RATES[trainer](file)
    assert found == pytest.approx(said if isinstance(said, list) else planned(said), rel=1e-9, abs=1e-12)
    assert len(notes) == len(told) and all(re.search(line, note) for line, note in zip(told, notes))
    assert all(f"# NOTE: {note}\n" in file.read_text() for note in notes)


def test_of_stairs_the_largest_difference_is_said(tmp_path):
    file, notes = written("timm", STAIRS, tmp_path)
    found, _, _ = rates_timm(file)
    apart = [abs(one - other) for one, other in zip(found[12:], planned(STAIRS)[12:])]
    assert any(re.fullmatch(f"the cosine .* every 7: .* by up to {max(apart):.3g}", note) for note in notes)


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("name", [*JUMPING, "stairs"])
def test_code_says_every_path_and_arguments_refuse_those_they_have_no_words_for(trainer, name, tmp_path):
    plan = {**JUMPING, "stairs": STAIRS}[name]
    if trainer in ("lightning", "torch"):
        file, notes = written(trainer, plan, tmp_path)
        assert notes == () and RATES[trainer](file)[0] == planned(plan)
    elif name != "stairs":
        with pytest.raises(InputError, match=f"--format {trainer}: .*; formats that can say .*: yaml, json, lightning, torch$"):
            written(trainer, plan, tmp_path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("momentum", [0.0, 0.85])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"heavyball"}))
def test_the_optimizer_is_the_plans(trainer, name, momentum, tmp_path):
    plan = path(hold(1), optimizer=name, momentum=momentum)
    if trainer == "transformers" and name in ("nadam", "lars"):
        with pytest.raises(InputError, match=f"no optimizer '{name}'; .*: yaml, json, timm, lightning, torch$"):
            written(trainer, plan, tmp_path)
        return
    file, _ = written(trainer, plan, tmp_path)
    ours, (_, theirs, _) = OPTIMIZERS[name]([nn.Parameter(torch.zeros(1))], momentum), RATES[trainer](file)
    same = set(ours.defaults) - {"lr", "foreach", "fused", "decoupled_weight_decay"}
    if (trainer, name) == ("transformers", "adam"):
        assert type(theirs) is torch.optim.AdamW  # without decay, the same
    else:
        assert type(theirs) is type(ours)
    for group, key in product(theirs.param_groups, same):
        assert np.all(np.equal(group[key], ours.defaults[key])), key  # betas may be a list


def trained(optimizer, parameter, plan):
    """The parameter after the plan's steps down a slope that is steeper the further away."""
    for step in range(plan.steps):
        optimizer.param_groups[0]["lr"] = plan.at(step)
        parameter.grad = 2 * parameter.detach()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("segment, followed", [(glide(Linear, 60), True), (hold(60), None)])
def test_heavy_ball_whose_velocity_follows_the_rate_is_sgd(trainer, segment, followed, tmp_path):
    plan = path(segment, optimizer="heavyball", recipe=Recipe(momentum_correction=followed))
    theirs = RATES[trainer](written(trainer, plan, tmp_path)[0])[1]
    assert type(theirs) is torch.optim.SGD and not theirs.defaults["nesterov"]
    one, other = (nn.Parameter(torch.tensor([3.0])) for _ in range(2))
    sgd = torch.optim.SGD([other], momentum=plan.momentum)
    assert trained(make_optimizer(Held(one), plan), one, plan) == pytest.approx(trained(sgd, other, plan), rel=1e-5)
    with pytest.raises(InputError, match=f"--format {trainer}: .*'heavyball'.*: yaml, json$"):
        written(trainer, path(glide(Linear, 60), optimizer="heavyball"), tmp_path)


def test_an_optimizer_of_the_tasks_own_has_no_words(tmp_path):
    for trainer in TRAINERS:
        with pytest.raises(InputError, match=f"--format {trainer}: .*'mine'.*: yaml, json$"):
            written(trainer, path(hold(60), optimizer="mine"), tmp_path)


def test_lightnings_command_line_trains_so_too(tmp_path):
    plan, found = DROPPED["drops after a warm-up"], []
    content = runpy.run_path(str(written("lightning", plan, tmp_path)[0]))
    module = module_lightning(content, found)
    pytest.importorskip("jsonargparse", reason="jsonargparse is not installed")
    from lightning.pytorch.cli import LightningCLI

    defaults = {**content["TRAINER"], **QUIET, "accelerator": "cpu"}
    LightningCLI(module, trainer_defaults=defaults, seed_everything_default=3, save_config_callback=None, args=["fit"])
    assert found == planned(plan)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_it_says_how_to_use_it_and_what_comes_from_elsewhere_stays_a_comment(trainer, tmp_path):
    hostile = DECISION.model_copy(update={"metric": DECISION.metric.model_copy(update={"name": "f1\nimport os\nlr: 3"})})
    file = tmp_path / f"best_{trainer}{suffix(trainer)}"
    write_for(trainer, file, path(hold(60)), study="digits", decision=hostile, examples=EXAMPLES)
    first, *more = file.read_text().splitlines()
    assert first == f"# The winner of the study digits: f1 import os lr: 3 {DECISION.value:.4g}."
    head = more[: more.index("")]
    assert all(line.startswith("#") for line in head) and f"best_{trainer}" in "".join(head)
    RATES[trainer](file)


def test_an_epoch_without_a_full_batch_or_of_unknown_length_is_refused(tmp_path):
    for examples, told in ((None, "does not say of how many"), (BATCH - 1, "7 examples do not fill one of 8")):
        with pytest.raises(InputError, match=f"--format timm: timm .* {told}.*: yaml, json, lightning, transformers, torch$"):
            written("timm", path(hold(60)), tmp_path, examples)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(2, 2), nn.LayerNorm(2)


def decayed(trainer, content, model):
    """The weight decay that each parameter gets, by its name."""
    if trainer == "timm":
        from timm.optim import create_optimizer_v2, optimizer_kwargs

        optimizer = create_optimizer_v2(model, **optimizer_kwargs(cfg=content), **getattr(content, "opt_kwargs", {}))
    elif trainer == "transformers":
        import transformers

        optimizer = transformers.Trainer(model, content).create_optimizer()
    else:
        optimizer = content["make_optimizer"](model.parameters())
    of = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    return {name: of[id(parameter)] for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("all_of_them", [True, False])
def test_weight_decay_is_of_the_parameters_that_are_to_decay(trainer, all_of_them, tmp_path):
    recipe = Recipe(weight_decay={"rate": 5e-4, "biases_and_norms": all_of_them})
    file, notes = written(trainer, path(hold(UPDATES), recipe=recipe), tmp_path)
    content = RATES[trainer](file)[2]
    spared = 0.0 if not all_of_them or trainer == "transformers" else 5e-4
    found = decayed(trainer, content, Net())
    assert found == {"layer.weight": 5e-4, "layer.bias": spared, "norm.weight": spared, "norm.bias": spared}
    assert bool(notes) == (trainer == "transformers")


def test_timm_does_what_the_recipe_does_to_images_and_labels(tmp_path):
    recipe = Recipe(label_smoothing=0.1, mixup=0.3, cutmix=0.7, flip={"p": 0.4, "vertical": True}, color_jitter={"contrast": 0.2})
    _, _, args = rates_timm(written("timm", path(hold(1), recipe=recipe), tmp_path)[0])
    from timm.data import Mixup, create_transform

    mixed = Mixup(args.mixup, args.cutmix, label_smoothing=args.smoothing, num_classes=4)
    assert (mixed.mixup_alpha, mixed.cutmix_alpha, mixed.label_smoothing, mixed.switch_prob) == (0.3, 0.7, 0.1, 0.5)
    how = {name: getattr(args, name) for name in ("scale", "ratio", "hflip", "vflip", "color_jitter")}
    steps = {type(step).__name__: step for step in create_transform(32, is_training=True, **how).transforms}
    assert steps["RandomHorizontalFlip"].p == steps["RandomVerticalFlip"].p == 0.4
    jitter = steps["ColorJitter"]
    assert (jitter.brightness, jitter.contrast, jitter.hue) == ((0.6, 1.4), (0.8, 1.2), None)
    image = torch.arange(3 * 32 * 32, dtype=torch.uint8).reshape(3, 32, 32)
    plain = rates_timm(written("timm", path(hold(1)), tmp_path)[0])[2]
    how = {name: getattr(plain, name) for name in how}
    untouched = create_transform(32, is_training=True, mean=(0,) * 3, std=(1,) * 3, **how)
    from torchvision.transforms.functional import to_pil_image

    assert torch.equal((untouched(to_pil_image(image)) * 255).round().to(torch.uint8), image)


@pytest.mark.parametrize("trainer", ["timm", "transformers", "lightning"])
def test_a_batch_in_pieces_is_one_update(trainer, tmp_path):
    plan = path(glide(Linear, 2 * UPDATES), recipe=Recipe(accumulate=2))
    file, notes = written(trainer, plan, tmp_path)
    found, _, content = RATES[trainer](file)
    if trainer == "timm":
        assert (content.batch_size, content.grad_accum_steps) == (BATCH // 2, 2)
    elif trainer == "transformers":
        assert (content.per_device_train_batch_size, content.gradient_accumulation_steps) == (BATCH // 2, 2)
    else:
        assert len(found) == 2 * plan.steps
        found = found[::2]
    assert notes == () and found == pytest.approx(planned(plan), rel=1e-9)


@pytest.mark.parametrize("trainer", ["timm", "transformers", "lightning"])
def test_gradients_are_clipped_and_numbers_halved_as_in_the_plan(trainer, tmp_path):
    names = {
        "timm": (("clip_grad", 0.5, None), ("amp", True, None), ("amp_dtype", "bfloat16", None)),
        "transformers": (("max_grad_norm", 0.5, 0.0), ("bf16", True, False)),
        "lightning": (("gradient_clip_val", 0.5, None), ("precision", "bf16-mixed", "32-true")),
    }
    for recipe, place in ((Recipe(clip=0.5, precision=True), 1), (Recipe(), 2)):
        file, notes = written(trainer, path(hold(UPDATES), recipe=recipe), tmp_path)
        content = RATES[trainer](file)[2]
        told = content["TRAINER"] if trainer == "lightning" else vars(content)
        assert notes == () and all(told.get(name[0]) == name[place] for name in names[trainer])


def test_pieces_that_are_left_at_the_end_of_an_epoch_are_an_update(tmp_path):
    plan = path(hold(22), recipe=Recipe(accumulate=2))
    file, notes = written("timm", plan, tmp_path, 21 * BATCH // 2)
    assert notes == ("the last update of an epoch is of 1 of 2 pieces",) and yaml.safe_load(file.read_text())["epochs"] == 2


@pytest.mark.parametrize(
    "trainer, told",
    [
        ("timm", "crop (padding 4), early_stopping (patience 7)"),
        ("transformers", "mixup (alpha 0.3), crop (padding 4), early_stopping (patience 7)"),
    ],
)
def test_what_a_trainer_has_no_word_for_is_left_to_do_and_said_to_be(trainer, told, tmp_path):
    plan = path(hold(60), recipe=Recipe(mixup=0.3, crop=4, early_stopping=7))
    file, notes = written(trainer, plan, tmp_path)
    words = f"left to you is the rest of the recipe: {told}"
    assert words in notes and f"# NOTE: {words}\n" in file.read_text()


def test_label_smoothing_is_torchs_or_is_left_to_do(tmp_path):
    for trainer in ("timm", "transformers"):
        pytest.importorskip(trainer, reason=f"{trainer} is not installed")
    from timm.loss import LabelSmoothingCrossEntropy
    from transformers.trainer_pt_utils import LabelSmoother

    plan = path(hold(60), recipe=Recipe(label_smoothing=0.1, freeze="stem"))
    for trainer in ("torch", "lightning"):
        assert written(trainer, plan, tmp_path)[1] == (
            "left to you is the rest of the recipe: label_smoothing (smoothing 0.1), freeze (names ['stem'])",
        )
    plan = path(hold(60), recipe=Recipe(label_smoothing=0.1))
    of_timm, of_transformers = (yaml.safe_load(written(name, plan, tmp_path)[0].read_text()) for name in ("timm", "transformers"))
    outputs, targets = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    ours = nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)
    assert torch.allclose(LabelSmoothingCrossEntropy(of_timm["smoothing"])(outputs, targets), ours)
    assert torch.allclose(LabelSmoother(of_transformers["label_smoothing_factor"])({"logits": outputs}, targets), ours)


@pytest.mark.parametrize(
    "trainer, recipe, more, told",
    [
        ("transformers", {"weight_decay": 1e-4}, {"optimizer": "adam"}, "no Adam whose .*: yaml, json, timm, lightning, torch$"),
        ("timm", {"accumulate": 3}, {}, "8 examples are not 3 such; .*: yaml, json, torch$"),
        ("timm", {"cutmix": True}, {"batch_size": 7}, "an even number of examples, and 7 is odd"),
    ],
)
def test_parts_of_a_recipe_that_would_be_others_are_refused(trainer, recipe, more, told, tmp_path):
    with pytest.raises(InputError, match=f"--format {trainer}: .*{told}"):
        written(trainer, path(hold(60), recipe=Recipe(**recipe), **more), tmp_path)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_change_of_the_optimizer_is_refused(trainer, tmp_path):
    changing = path(hold(30)).then(Segment(steps=30, rate=Constant(lr=0.1), optimizer="adam"))
    with pytest.raises(InputError, match="a change of the optimizer on the way; .*: yaml, json$"):
        written(trainer, changing, tmp_path)
