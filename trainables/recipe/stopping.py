"""When is a training over before its path is? Early stopping, as a pure function of the step like all else: what is left of the
path changes nothing, so that paths keep the lengths by which they are shared, forked and resumed."""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from studies.trial import Metric


class Stopping:
    """Early stopping of one training (Prechelt 1998, Early stopping, but when?; text 001).

    metric: what is looked at; every: steps between two looks; patience: so many in a row without a better value end it.
    ended: whether it is over. at: the step of the best look, 0 before the first. loss: mean training loss up to that look,
    since the one before.
    """

    def __init__(self, metric: Metric, every: int, patience: int):
        self.metric, self._every, self._patience = metric, every, patience
        self.ended, self.at, self.loss = False, 0, math.nan
        self._best: tuple[float, dict[str, Any]] = (math.nan, {})
        self._total: Any = 0.0

    def after(self, step: int, loss: torch.Tensor, model: nn.Module, measure: Callable[[], float]) -> bool:
        """A step has been done, at this loss; whether there was a look, or the model has become the best one again.

        measure: the metric now.
        """
        self._total = self._total + loss
        if step % self._every:
            return False
        mean, self._total = float(self._total) / self._every, 0.0
        value = measure() if math.isfinite(mean) else math.nan
        if not self.at or math.isfinite(value) and not self.metric.gain(value, self._best[0]) <= 0:
            self.at, self.loss, self._best = step, mean, (value, deepcopy(model.state_dict()))
        elif step - self.at >= self._patience * self._every:
            self.ended = True
            model.load_state_dict(self._best[1])
        return True

    def state(self) -> dict[str, Any]:
        value, weights = self._best
        kept = {"ended": self.ended, "at": self.at, "loss": self.loss, "value": value, "weights": weights}
        return {**kept, "total": float(self._total)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.ended, self.at, self.loss, self._total = (state[name] for name in ("ended", "at", "loss", "total"))
        self._best = state["value"], state["weights"]
