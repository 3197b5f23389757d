"""Which optimizers are there? torch's and timm's by name, and heavy ball.

momentum is SGD's, or the first beta of Adam's kin. Weight decay is off unless a recipe switches it on. Text 001 compares them;
LARS (You et al. 2017, arXiv:1708.03888) is for large batches (text 002), and adapts the rate of every layer by itself.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from studies.errors import InputError
from studies.plan import Plan
from trainables.eager import eager
from trainables.recipe.layers import GROUPED, groups


def _lars(parameters: Any, momentum: float) -> torch.optim.Optimizer:
    from timm.optim import Lars

    return Lars(parameters, lr=1.0, momentum=momentum, always_adapt=True)


OPTIMIZERS: dict[str, Callable[[Any, float], torch.optim.Optimizer]] = {
    "sgd": lambda parameters, momentum: torch.optim.SGD(parameters, lr=1.0, momentum=momentum),
    "nesterov": lambda parameters, momentum: torch.optim.SGD(parameters, lr=1.0, momentum=momentum, nesterov=momentum > 0),
    "heavyball": lambda parameters, momentum: HeavyBall(parameters, lr=1.0, momentum=momentum),
    "adam": lambda parameters, momentum: torch.optim.Adam(parameters, lr=1.0, betas=(momentum, 0.999)),
    "adamw": lambda parameters, momentum: torch.optim.AdamW(parameters, lr=1.0, betas=(momentum, 0.999), weight_decay=0.0),
    "nadam": lambda parameters, momentum: torch.optim.NAdam(parameters, lr=1.0, betas=(momentum, 0.999)),
    "rmsprop": lambda parameters, momentum: torch.optim.RMSprop(parameters, lr=1.0, momentum=momentum),
    "adagrad": lambda parameters, momentum: torch.optim.Adagrad(parameters, lr=1.0),
    "lars": _lars,
}


def make_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimizer, at a rate of 1.

    Raises: InputError if there is none of its name, or if the recipe asks of it what it cannot.
    """
    if plan.optimizer not in OPTIMIZERS:
        raise InputError(f"--optimizer: expected one of {', '.join(OPTIMIZERS)}; got {plan.optimizer!r}")
    if plan.optimizer == "lars":
        import timm.optim  # noqa: F401  it brings torch's compiler along, which must not find its stand-in there
    apart = any(getattr(plan.recipe, name) for name in GROUPED)
    with eager():
        made = OPTIMIZERS[plan.optimizer](groups(model, plan.recipe) if apart else model.parameters(), plan.momentum)
    if plan.recipe.momentum_correction:
        if not isinstance(made, HeavyBall):
            raise InputError(
                "recipe: momentum_correction: expected heavyball, whose velocity holds the rate; "
                f"got {plan.optimizer}, which needs none: its velocity holds no rate"
            )
        for group in made.param_groups:
            group["corrected"] = True
    return made


class HeavyBall(torch.optim.Optimizer):
    """SGD whose velocity holds the rate: v = m v + lr g, w = w - v (Polyak 1964; Caffe's and Keras's form; text 003).

    torch's SGD, v = m v + g, w = w - lr v, is the same at one rate. Where the rate changes, here the old one goes on in the
    velocity; corrected: times new / old, which is torch's form again (Goyal et al. 2017, arXiv:1706.02677, 3, remark 2).
    """

    def __init__(
        self, params: Iterable, lr: float = 1.0, momentum: float = 0.0, weight_decay: float = 0.0, corrected: bool = False
    ):
        own = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "corrected": corrected, "before": 0.0}
        super().__init__(params, own)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            lr, before = group["lr"], group["before"]
            kept = group["momentum"] * (lr / before if group["corrected"] and before else 1.0)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                state = self.state[parameter]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(parameter)
                parameter.sub_(state["velocity"].mul_(kept).add_(gradient, alpha=lr))
            group["before"] = lr
