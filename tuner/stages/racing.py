"""Who goes on? Trials of different lengths, compared; the hopeless ones dropped.

The one rule is pace. A trial that took k times the steps to get where the leader got will, at the end of the budget,
stand where the leader stood at 1/k of it. If the leader is past that place already, more steps for that trial would be
spent for nothing. Being ahead counts in either of two curves, the training loss and the validation: rates that
generalise better than they fit are judged by what they are good at.
"""

import math
from collections.abc import Iterable

from studies.trial import Metric, Trial
from tuner.stages.rules import Curve, best_so_far, descending


def hopeful(metric: Metric, trials: Iterable[Trial], horizon: float) -> list[Trial]:
    """Those that may still win by `horizon` training examples, in their order; broken ones may not.

    Trials may have come to different lengths, and batch sizes may differ: paths are measured in examples.
    """
    alive = [trial for trial in trials if not trial.broken]
    losses = [_by_examples(trial, trial.curve("train_loss")) for trial in alive]
    scores = [_by_examples(trial, descending(metric, trial.curve(metric.name))) for trial in alive]
    return [trial for trial, by_loss, by_score in zip(alive, _on_pace(losses, horizon), _on_pace(scores, horizon)) if by_loss or by_score]


def _by_examples(trial: Trial, curve: Curve) -> list[tuple[float, float]]:
    return best_so_far([(step * trial.plan.batch_size, value) for step, value in curve])


def _on_pace(falls: list[Curve], horizon: float) -> list[bool]:
    """For each of the falling curves: will it, at the pace it kept, be past the leader's present place by the horizon?"""
    measured = [fall for fall in falls if fall]
    if not measured:
        return [False] * len(falls)
    leader = min(measured, key=lambda fall: (fall[-1][1], fall[-1][0]))
    present = _reached(leader, leader[-1][1])
    return [bool(fall) and _reached(leader, fall[-1][1]) * horizon / fall[-1][0] >= present for fall in falls]


def _reached(fall: Curve, value: float) -> float:
    """Where a falling curve first got as low as `value`."""
    return next((place for place, low in fall if low <= value), math.inf)
