"""What does timm's train.py need to be told? Its `--config`, a YAML file of its own arguments.

It counts in epochs, and drops what is left over of one after the last full batch. A schedule stepped with the updates may
have fractions of epochs, but there are whole ones of training, and of warming up to a rate that will glide down.
"""

import math
from dataclasses import replace
from typing import Any

from reports.export.phases import Phases, Unsayable, phases
from reports.export.text import yaml
from studies.plan import Plan
from studies.schedule import Cosine, Linear

SUFFIX = ".yaml"
USE = (
    "For timm's train.py:  python train.py DATA --model MODEL --config {file}",
    "on one device. Of augmentation the plan says nothing; train.py has some unless --no-aug is given.",
)

OPTIMIZERS = {
    "sgd": {"opt": "momentum"},
    "nesterov": {"opt": "sgd"},
    "adam": {"opt": "adam"},
    "adamw": {"opt": "adamw"},
    "nadam": {"opt": "nadam"},
    "rmsprop": {"opt": "rmsprop", "opt_kwargs": {"alpha": 0.99}},
    "adagrad": {"opt": "adagrad", "opt_eps": 1e-10},
}
"""By our name, so that they are torch's own; timm has a few other defaults."""

GLIDES = {"linear": "linear", "cosine": "cosine", "sqrt": "1-sqrt"}


def written(plan: Plan, examples: int | None) -> tuple[str, tuple[str, ...]]:
    """The arguments as YAML; examples: of an epoch. Raises: Unsayable."""
    path, notes = phases(plan)
    if not examples:
        raise Unsayable("timm counts in epochs, and the task does not say of how many training examples")
    updates = examples // plan.batch_size
    if not updates:
        raise Unsayable(f"timm drops a batch that is not full, and {examples} examples do not fill one of {plan.batch_size}")
    whole = _whole(path, updates)
    if whole.rise != path.rise:
        notes += (f"a warm-up before a decay takes whole epochs: {whole.rise:,} updates, in the plan {path.rise:,}",)
    epochs = whole.steps // updates
    if whole.steps != path.steps:
        ends = ", and the decay ends with them" if path.glides else ""
        notes += (f"timm trains whole epochs: {whole.steps:,} updates, in the plan {path.steps:,}{ends}",)
    fields = {
        **_optimizer(plan),
        "lr": whole.lr,
        "weight_decay": 0.0,
        "batch_size": plan.batch_size,
        "grad_accum_steps": 1,
        "clip_grad": None,
        "epochs": epochs,
        "sched_on_updates": True,
        **_schedule(whole, updates),
        "cooldown_epochs": 0,
        "smoothing": 0.0,
        "mixup": 0.0,
        "cutmix": 0.0,
        "drop": 0.0,
        "seed": plan.seed,
    }
    comments = {"epochs": f"of {updates:,} updates: {examples:,} training examples", "opt": f"torch's {plan.optimizer}"}
    if fields["sched"] == "multistep":
        comments["decay_milestones"] = "timm drops the rate one update before a milestone is passed"
    if fields["sched"] == "wsd":
        comments["sched"] = "timm 1.0.31 or newer"
    return yaml(fields, comments), notes


def _whole(path: Phases, updates: int) -> Phases:
    """In whole epochs, where timm has only these: the path, no shorter than it was, and the nearest warm-up."""
    whole = path.to(math.ceil(path.steps / updates) * updates)
    if path.glides and path.rise % updates:
        rise = max(1, round(path.rise / updates)) * updates
        if rise > path.begin:
            first = "timm warms up in whole epochs before a decay, and the plan's decay begins within the first"
            raise Unsayable(f"{first}, of {updates:,} updates")
        return replace(whole, warmup=path.warmup.model_copy(update={"over": rise + 1}))
    return whole


def _optimizer(plan: Plan) -> dict[str, Any]:
    if plan.optimizer not in OPTIMIZERS:
        raise Unsayable(f"timm has no optimizer {plan.optimizer!r}")
    name = "sgd" if plan.optimizer == "nesterov" and not plan.momentum else plan.optimizer
    betas = {"opt_betas": [plan.momentum, 0.999]} if "adam" in name else {}
    return {**OPTIMIZERS[name], "momentum": plan.momentum, **betas}


def _schedule(path: Phases, updates: int) -> dict[str, Any]:
    """sched and what it goes by, of a path in whole epochs of so many updates."""
    rise = path.rise // updates if path.rise % updates == 0 else path.rise / updates
    warmup = {"warmup_epochs": rise, "warmup_lr": path.first, "warmup_prefix": False}
    if path.decay is None:
        still = {"sched": "step", "decay_rate": 1.0, "decay_epochs": path.steps // updates}
        return {**(still if path.rise else {"sched": "none"}), **warmup}
    if path.drops:
        drops, factor = path.drops, path.decay.factor
        at_once = {"lr": path.lr * factor} if drops[0] == 0 else {}  # before the first update timm has no drop
        # it drops where step + 1 reaches a milestone; half an update on either side is room for rounding
        milestones = [(step + 0.5) / updates for step in drops if step]
        return {"sched": "multistep", "decay_rate": factor, "decay_milestones": milestones, **at_once, **warmup}
    if not path.begin and isinstance(path.decay, Linear | Cosine):
        shape = {"sched": "cosine"} if isinstance(path.decay, Cosine) else {"sched": "poly", "decay_rate": 1.0}
        return {**shape, "min_lr": path.decay.end, **warmup}
    falls = path.steps - path.begin
    share = falls / updates if falls >= updates else falls / (path.steps - path.rise)  # below 1, timm takes it for a share
    return {"sched": "wsd", "lr_decay_fn": GLIDES[path.decay.shape], "decay_epochs": share, "min_lr": path.decay.end, **warmup}
