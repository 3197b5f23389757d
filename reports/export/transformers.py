"""What does the Trainer of Hugging Face Transformers need to be told? TrainingArguments, as YAML for HfArgumentParser."""

from typing import Any

from reports.export.parts import in_pieces, left
from reports.export.phases import Phases, Unsayable, phases
from reports.export.text import yaml
from studies.plan import Plan

SUFFIX = ".yaml"
USE = (
    "For Transformers:  (args,) = HfArgumentParser(TrainingArguments).parse_yaml_file('{file}')",
    "then  Trainer(model, args, train_dataset=..., ...).train()  on one device.",
)

GLIDES = {"linear": "linear", "cosine": "cosine", "sqrt": "1-sqrt"}


SAID = ("weight_decay", "label_smoothing", "accumulate", "clip", "precision")
"""Of the recipe; the rest is the model's, or the data's."""


def written(plan: Plan, examples: int | None) -> tuple[str, tuple[str, ...]]:
    """The arguments as YAML. Raises: Unsayable."""
    unsaid = left(plan, "Transformers", SAID)
    path, notes = phases(plan)
    notes += unsaid
    batch_size, pieces = in_pieces(plan, "Transformers")
    decay, smoothing, clip = plan.recipe.weight_decay, plan.recipe.label_smoothing, plan.recipe.clip
    if decay and plan.optimizer == "adam":
        raise Unsayable("Transformers has no Adam whose weight decay is in the gradient, only AdamW")
    if decay:
        spared = "in the plan they decay" if decay.biases_and_norms else "in the plan all norms are"
        notes += (f"biases and layer norms are spared from weight decay, other norms are not; {spared}",)
    schedule = _schedule(path)
    if path.rise and path.glide and path.first != path.glide.end:
        notes += (f"the warm-up starts where the decay ends, at {path.glide.end:g}, in the plan at {path.first:g}",)
    fields = {
        "max_steps": path.steps,
        "per_device_train_batch_size": batch_size,
        "gradient_accumulation_steps": pieces,
        "dataloader_drop_last": True,
        **_optimizer(plan),
        "learning_rate": path.lr,
        "weight_decay": decay.rate if decay else 0.0,
        "max_grad_norm": clip.norm if clip else 0.0,
        **({"bf16": True} if plan.recipe.precision else {}),
        **schedule,
        "label_smoothing_factor": smoothing.smoothing if smoothing else 0.0,
        "seed": plan.seed,
    }
    comments = {"max_steps": "optimizer updates", **({} if clip else {"max_grad_norm": "no clipping"})}
    if plan.optimizer == "adam":
        comments["optim"] = "without weight decay, the same as Adam"
    return yaml(fields, comments), notes


def _optimizer(plan: Plan) -> dict[str, Any]:
    if plan.optimizer in ("sgd", "nesterov"):
        nesterov = ",nesterov=true" if plan.optimizer == "nesterov" and plan.momentum else ""
        return {"optim": "sgd", "optim_args": f"momentum={plan.momentum}{nesterov}"}
    if plan.optimizer in ("adam", "adamw"):
        return {"optim": "adamw_torch", "adam_beta1": plan.momentum, "adam_beta2": 0.999, "adam_epsilon": 1e-8}
    if plan.optimizer == "rmsprop":
        return {"optim": "rmsprop", "optim_args": f"momentum={plan.momentum}"}
    if plan.optimizer == "adagrad":
        return {"optim": "adagrad"}
    raise Unsayable(f"Transformers has no optimizer {plan.optimizer!r}")


def _schedule(path: Phases) -> dict[str, Any]:
    """Without a warm-up, a decay to zero from the first step has a name; all else is a warm-up, a stable rate and a decay."""
    if path.drop:
        raise Unsayable(f"Transformers has no drops of the rate, and the plan has one every {path.drop.interval:,} steps")
    glide, shape = path.glide, path.glide.shape if path.glide else "linear"
    if not path.rise and not glide:
        return {"lr_scheduler_type": "constant"}
    lowest = glide.end if glide else path.first
    if path.begin == path.rise == lowest == 0 and shape in ("linear", "cosine"):
        return {"lr_scheduler_type": shape, "warmup_steps": 0}
    falls = {"num_decay_steps": path.steps - path.begin, "decay_type": GLIDES[shape], "min_lr_ratio": lowest / path.lr}
    return {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": falls, "warmup_steps": path.rise}
