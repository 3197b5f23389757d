"""How does an optimizer step on many models at once? torch's rules, on matrices that have a model's parameters in a row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

UNKNOWN = ("dampening", "maximize", "amsgrad", "capturable", "differentiable")
"""What no rule has, where an optimizer has it on."""

RULED = "torch's SGD (without dampening), Adam or AdamW (without amsgrad)"


@dataclass(frozen=True)
class Rule:
    """Of a group of an optimizer's parameters; models whose groups have equal ones can step as one.

    share: by which the rate is multiplied. decay: of the weights.
    keeps: what is kept of each parameter in the optimizer's state, by name. counts: whether updates are counted there, too.
    """

    share: float
    decay: float

    keeps: ClassVar[tuple[str, ...]]
    counts: ClassVar[bool] = False

    def momentum(self, group: Mapping[str, Any]) -> float:
        """That of the group, which may be another one in each model."""
        raise NotImplementedError

    def kept(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """What is kept of the group's parameters."""
        return self.keeps

    def step(
        self, parameters: Tensor, gradients: Tensor, kept: Sequence[Tensor], rate: Tensor, momentum: Tensor, number: int
    ) -> None:
        """Do update `number` (from 1) in place.

        parameters, gradients (which are used up), each of kept: shape (models, parameters of the group); rate (times the share),
        momentum: shape (models, 1).
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Momentum(Rule):
    """SGD's."""

    nesterov: bool

    keeps = ("momentum_buffer",)

    def momentum(self, group):
        return group["momentum"]

    def kept(self, group):
        return self.keeps if group["momentum"] else ()

    def step(self, parameters, gradients, kept, rate, momentum, number):
        (velocity,) = kept
        if self.decay:
            gradients.add_(parameters, alpha=self.decay)
        velocity.mul_(momentum).add_(gradients)
        parameters.addcmul_(gradients.addcmul_(velocity, momentum) if self.nesterov else velocity, rate, value=-1)


@dataclass(frozen=True)
class Moments(Rule):
    """Adam's, and where the decay is decoupled from the gradients, AdamW's.

    beta: of the mean of the squares. epsilon: added to its root.
    """

    decoupled: bool
    beta: float
    epsilon: float

    keeps = ("exp_avg", "exp_avg_sq")
    counts = True

    def momentum(self, group):
        return float(group["betas"][0])

    def step(self, parameters, gradients, kept, rate, momentum, number):
        mean, squares = kept
        if self.decay and self.decoupled:
            parameters.mul_((1 - rate.double() * self.decay).to(rate.dtype))
        elif self.decay:
            gradients.add_(parameters, alpha=self.decay)
        mean.mul_(momentum).addcmul_(gradients, 1 - momentum)
        squares.mul_(self.beta).addcmul_(gradients, gradients, value=1 - self.beta)
        rate = (rate / (1 - momentum.double() ** number)).to(rate.dtype)
        parameters.addcdiv_(mean * rate, (squares.sqrt() / math.sqrt(1 - self.beta**number)).add_(self.epsilon), value=-1)


def rules_of(optimizers: Sequence[Optimizer], shares: Sequence[Sequence[float]]) -> list[Rule]:
    """What all of these step by, group by group; none if that is not known, or not the same. shares: of each one's groups."""
    ways = [
        [_ways(optimizer, group, share) for group, share in zip(optimizer.param_groups, theirs)]
        for optimizer, theirs in zip(optimizers, shares)
    ]
    if len({len(groups) for groups in ways}) > 1:
        return []
    common = [[rule for rule in first if all(rule in other for other in others)] for first, *others in zip(*ways)]
    return [rules[0] for rules in common] if all(common) else []


def _ways(optimizer: Optimizer, group: Mapping[str, Any], share: float) -> list[Rule]:
    """The rules that a group's updates are like."""
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks  # which may do anything
    if hooks or any(group.get(name) for name in UNKNOWN):
        return []
    if type(optimizer) is SGD:
        forms = [group["nesterov"]] if group["momentum"] else [False, True]  # without momentum, both are the same
        return [Momentum(share, group["weight_decay"], form) for form in forms]
    if type(optimizer) in (Adam, AdamW):
        decoupled = group["decoupled_weight_decay"]
        return [Moments(share, group["weight_decay"], decoupled, float(group["betas"][1]), group["eps"])]
    return []
