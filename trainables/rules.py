"""How does an optimizer step on many models at once? torch's rules, with all parameters of a model as the row of a matrix."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from studies.plan import Plan

SQUARES, EPSILON = 0.999, 1e-8
"""Of Adam's kin: the second beta, and what keeps it from dividing by zero."""


@dataclass(frozen=True)
class Rule:
    """One optimizer's.

    step: one update, in place, of parameters by gradients and what is kept, shape (models, parameters) each, at a rate and a
    momentum, shape (models, 1); the last number is that of the update, from 1 on. keeps: names of what is kept in the optimizer's
    state, the mean of the gradients first. counts: whether updates are counted there, too.
    """

    step: Callable[[Tensor, Tensor, Sequence[Tensor], Tensor, Tensor, int], None]
    keeps: tuple[str, ...]
    counts: bool = False

    def keeps_for(self, plan: Plan) -> bool:
        """Whether there is anything to be kept."""
        return self.counts or plan.momentum > 0


def _sgd(parameters: Tensor, gradients: Tensor, kept: Sequence[Tensor], rate: Tensor, momentum: Tensor, number: int) -> None:
    (velocity,) = kept
    velocity.mul_(momentum).add_(gradients)
    parameters.addcmul_(velocity, rate, value=-1)


def _nesterov(parameters: Tensor, gradients: Tensor, kept: Sequence[Tensor], rate: Tensor, momentum: Tensor, number: int) -> None:
    (velocity,) = kept
    velocity.mul_(momentum).add_(gradients)
    parameters.addcmul_(gradients.addcmul(velocity, momentum), rate, value=-1)


def _adam(parameters: Tensor, gradients: Tensor, kept: Sequence[Tensor], rate: Tensor, momentum: Tensor, number: int) -> None:
    mean, squares = kept
    mean.mul_(momentum).addcmul_(gradients, 1 - momentum)
    squares.mul_(SQUARES).addcmul_(gradients, gradients, value=1 - SQUARES)
    rate = (rate / (1 - momentum.double() ** number)).to(rate.dtype)
    parameters.addcdiv_(mean * rate, (squares.sqrt() / math.sqrt(1 - SQUARES**number)).add_(EPSILON), value=-1)


ADAM = Rule(_adam, ("exp_avg", "exp_avg_sq"), counts=True)

RULES: Mapping[str, Rule] = {
    "sgd": Rule(_sgd, ("momentum_buffer",)),
    "nesterov": Rule(_nesterov, ("momentum_buffer",)),
    "adam": ADAM,
    "adamw": ADAM,  # without weight decay, which recipes bring
}
"""By the optimizer's name."""
