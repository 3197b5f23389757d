"""What does timm's train.py need to be told? Its `--config`, a YAML file of its own arguments.

It counts in epochs, and drops what is left over of one after the last full batch. A schedule stepped with the updates may
have fractions of epochs, but there are whole ones of training, and of warming up to a rate that will glide down.
"""

import math
from collections.abc import Mapping
from typing import Any

from reports.export.parts import in_pieces, left
from reports.export.phases import Phases, Unsayable, phases
from reports.export.text import yaml
from studies.plan import Plan
from studies.recipe import Recipe
from studies.schedule import Cosine, Linear

SUFFIX = ".yaml"
USE = (
    "For timm's train.py:  python train.py DATA --model MODEL --config {file}",
    "on one device.",
)

OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"opt": "momentum"},
    "nesterov": {"opt": "sgd"},
    "adam": {"opt": "adam"},
    "adamw": {"opt": "adamw"},
    "nadam": {"opt": "nadam"},
    "rmsprop": {"opt": "rmsprop", "opt_kwargs": {"alpha": 0.99}},
    "adagrad": {"opt": "adagrad", "opt_eps": 1e-10},
    "lars": {"opt": "lars", "opt_kwargs": {"always_adapt": True}},
}
"""By our name, with the values that ours have; timm has a few other defaults."""

GLIDES = {"linear": "linear", "cosine": "cosine", "sqrt": "1-sqrt"}

SAID = (
    "weight_decay",
    "dropout",
    "label_smoothing",
    "mixup",
    "cutmix",
    "flip",
    "color_jitter",
    "accumulate",
    "clip",
    "precision",
)
"""Of the recipe. (timm's RandAugment has other operations and magnitudes, its crops no padding, its erasing no fixed size.)"""


def written(plan: Plan, examples: int | None) -> tuple[str, tuple[str, ...]]:
    """The arguments as YAML; examples: of an epoch. Raises: Unsayable."""
    unsaid = left(plan, "timm", SAID)
    path, notes = phases(plan)
    notes += unsaid
    batch_size, pieces = in_pieces(plan, "timm")
    if not examples:
        raise Unsayable("timm counts in epochs, and the task does not say of how many training examples")
    if batch_size % 2 and (plan.recipe.mixup or plan.recipe.cutmix):
        raise Unsayable(f"timm mixes batches of an even number of examples, and {batch_size} is odd")
    updates = math.ceil(examples // batch_size / pieces)
    if fewer := examples // batch_size % pieces:
        notes += (f"the last update of an epoch is of {fewer} of {pieces} pieces",)
    if not updates:
        raise Unsayable(f"timm drops a batch that is not full, and {examples} examples do not fill one of {batch_size}")
    whole = _whole(path, updates)
    if whole.rise != path.rise:
        notes += (f"a warm-up before a decay takes whole epochs: {whole.rise:,} updates, in the plan {path.rise:,}",)
    epochs = whole.steps // updates
    if whole.steps != path.steps:
        ends = ", and the decay ends with them" if path.glide else ""
        notes += (f"timm trains whole epochs: {whole.steps:,} updates, in the plan {path.steps:,}{ends}",)
    fields = {
        **_optimizer(plan),
        "lr": whole.lr,
        "batch_size": batch_size,
        "grad_accum_steps": pieces,
        "clip_grad": plan.recipe.clip.norm if plan.recipe.clip else None,
        **({"amp": True, "amp_dtype": "bfloat16"} if plan.recipe.precision else {}),
        "epochs": epochs,
        "sched_on_updates": True,
        **_schedule(whole, updates),
        "cooldown_epochs": 0,
        **_recipe(plan.recipe),
        "seed": plan.seed,
    }
    return yaml(fields, _comments(plan, fields["sched"], f"of {updates:,} updates: {examples:,} training examples")), notes


def _comments(plan: Plan, sched: str, epochs: str) -> dict[str, str]:
    """What a reader needs to know beside a field; epochs: of what."""
    told = {"opt": f"the plan's {plan.optimizer}", "epochs": epochs}
    told["scale"] = "no crops; what the task's own data set does is not said here"
    if plan.recipe.dropout:
        told["drop"] = "where timm's model has it: before its classifier, as a rule"
    if sched == "multistep":
        told["decay_milestones"] = "timm drops the rate one update before a milestone is passed"
    if sched == "wsd":
        told["sched"] = "timm 1.0.31 or newer"
    return told


def _whole(path: Phases, updates: int) -> Phases:
    """In whole epochs, where timm has only these: the path, no shorter than it was, and the nearest warm-up."""
    whole = path.to(math.ceil(path.steps / updates) * updates)
    if path.glide and path.rise % updates:
        rise = max(1, round(path.rise / updates)) * updates
        if rise > path.begin:
            first = "timm warms up in whole epochs before a decay, and the plan's decay begins within the first"
            raise Unsayable(f"{first}, of {updates:,} updates")
        return whole.rising(rise)
    return whole


def _optimizer(plan: Plan) -> dict[str, Any]:
    if plan.optimizer not in OPTIMIZERS:
        raise Unsayable(f"timm has no optimizer {plan.optimizer!r}")
    name = "sgd" if plan.optimizer == "nesterov" and not plan.momentum else plan.optimizer
    betas = {"opt_betas": [plan.momentum, 0.999]} if "adam" in name else {}
    decay, fields = plan.recipe.weight_decay, {**OPTIMIZERS[name], "momentum": plan.momentum, **betas}
    if decay and decay.biases_and_norms:
        fields["opt_kwargs"] = {**fields.get("opt_kwargs", {}), "filter_bias_and_bn": False}
    return {**fields, "weight_decay": decay.rate if decay else 0.0}


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """With everything that train.py would do otherwise; its random crops and flips too."""
    flip, jitter = recipe.flip, recipe.color_jitter
    images = {
        "scale": [1.0, 1.0],
        "ratio": [1.0, 1.0],
        "hflip": flip.p if flip else 0.0,
        "vflip": flip.p if flip and flip.vertical else 0.0,
        "color_jitter": [jitter.brightness, jitter.contrast, jitter.saturation] if jitter else None,
    }
    return {
        "smoothing": recipe.label_smoothing.smoothing if recipe.label_smoothing else 0.0,
        "mixup": recipe.mixup.alpha if recipe.mixup else 0.0,
        "cutmix": recipe.cutmix.alpha if recipe.cutmix else 0.0,
        "drop": recipe.dropout.p if recipe.dropout else 0.0,
        **images,
    }


def _schedule(path: Phases, updates: int) -> dict[str, Any]:
    """sched and what it goes by, of a path in whole epochs of so many updates."""
    rise = path.rise // updates if path.rise % updates == 0 else path.rise / updates
    warmup = {"warmup_epochs": rise, "warmup_lr": path.first, "warmup_prefix": False}
    if path.drop:
        at_once = {"lr": path.lr * path.drop.factor} if path.begin == 0 else {}  # before the first update timm has no drop
        # it drops where step + 1 reaches a milestone; half an update on either side is room for rounding
        milestones = [(step + 0.5) / updates for step in path.drops if step]
        return {"sched": "multistep", "decay_rate": path.drop.factor, "decay_milestones": milestones, **at_once, **warmup}
    if path.glide is None:  # ("none" breaks some versions of train.py)
        return {"sched": "step", "decay_rate": 1.0, "decay_epochs": path.steps // updates, **warmup}
    ends = {"min_lr": path.glide.end, **warmup}
    if not path.begin and isinstance(path.glide, Cosine):
        return {"sched": "cosine", **ends}
    if not path.begin and isinstance(path.glide, Linear):
        return {"sched": "poly", "decay_rate": 1.0, **ends}  # the power
    falls = path.steps - path.begin
    share = falls / updates if falls >= updates else falls / (path.steps - path.rise)  # below 1, timm takes it for a share
    return {"sched": "wsd", "lr_decay_fn": GLIDES[path.glide.shape], "decay_epochs": share, **ends}
