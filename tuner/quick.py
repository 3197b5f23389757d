"""Which rate would a few batches propose? For those who cannot afford the sweep.

Two cheap readings. The text of method/004: the norm of an update over the norm of the parameters should be near 1e-3 (its
10^3 is a slip). And one exponential ramp of the rate, as learning-rate finders do (method/001; Smith 2017, arXiv:1506.01186):
the rate at which the loss falls fastest. Where both agree the proposal is worth something; where they do not, it says so.
"""

import math
from dataclasses import dataclass

from studies.curves import HEALTHY
from studies.errors import StageError
from studies.plan import Plan
from trainables.task import blamed
from trainables.trainable import Workload

LOWEST, HIGHEST = 1e-6, 10.0
BATCHES = 140
"""Twenty for each factor of ten."""

READINGS = 14
"""How often the ramp is stopped to read the update ratio: twice for each factor of ten."""

BLOWN = 4.0
"""The ramp ends when the loss is this many times its lowest."""

SMOOTHING = 0.9


@dataclass(frozen=True)
class Proposal:
    """lr: the proposal; by_ratio, by_ramp: what either reading says, None if it says nothing; sure: how sure this is, in
    words; batches: how many were trained for it."""

    lr: float
    by_ratio: float | None
    by_ramp: float | None
    sure: str
    batches: int

    @property
    def around(self) -> tuple[float, ...]:
        """A sweep with the proposal in its middle: half a factor of ten apart."""
        return tuple(float(f"{self.lr * 10**exponent:.2g}") for exponent in (1, 0.5, 0, -0.5, -1))


def propose(workload: Workload, start: Plan, device: str) -> Proposal:
    """Read a rate off a few batches. Trains one ramp from the start's fresh initialisation and throws it away.

    Raises: StageError if neither reading says anything; TaskError.
    """
    with blamed(f"quick: {workload.name}"):
        rates, losses, ratios = _ramp(workload, start, device)
    by_ramp, by_ratio = _steepest(rates, losses), _healthy(ratios)
    said = [rate for rate in (by_ramp, by_ratio) if rate]
    if not said:
        raise StageError("quick: the loss does not fall anywhere between 1e-6 and 10; sweep with --lrs, or mend the task")
    lr = float(f"{math.exp(sum(map(math.log, said)) / len(said)):.1g}")
    return Proposal(lr, by_ratio, by_ramp, _sure(by_ratio, by_ramp), len(rates))


def _ramp(workload: Workload, start: Plan, device: str) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    """Rates, smoothed losses, and (rate, update ratio) readings of one training whose rate grows exponentially."""
    trainable = workload.trainable(start.upto(0), device)
    rates, losses, ratios, mean = [], [], [], 0.0
    for batch in range(BATCHES):
        rate = LOWEST * (HIGHEST / LOWEST) ** (batch / (BATCHES - 1))
        loss = float(trainable.train(1, rate))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed = mean / (1 - SMOOTHING ** (batch + 1))
        if not math.isfinite(loss) or (losses and smoothed > BLOWN * min(losses)):
            break
        rates.append(rate)
        losses.append(smoothed)
        if (batch + 1) % (BATCHES // READINGS) == 0:
            try:
                measured = trainable.evaluate()
            except Exception:
                if not ratios:
                    raise
                break  # metrics of a model that has diverged often do
            ratios.append((rate, float(measured.get("update_ratio", math.nan))))
    return rates, losses, ratios


def _steepest(rates: list[float], losses: list[float]) -> float | None:
    """The rate at which the smoothed loss falls fastest over a factor of ten, if it falls by more than it wobbles."""
    span = BATCHES // 7
    falls = [(losses[i + span] - losses[i], math.sqrt(rates[i] * rates[i + span])) for i in range(len(losses) - span)]
    if not falls or min(falls)[0] > -0.02 * abs(losses[0]):
        return None
    return min(falls)[1]


def _healthy(ratios: list[tuple[float, float]]) -> float | None:
    """The rate at which an update is about 1e-3 of the parameters: between the two readings around it, in logarithms."""
    read = [(math.log(rate), math.log(ratio / HEALTHY)) for rate, ratio in ratios if math.isfinite(ratio) and ratio > 0]
    for (low, below), (high, above) in zip(read, read[1:]):
        if below <= 0 <= above and above > below:
            return math.exp(low + (high - low) * -below / (above - below))
    return None


def _sure(by_ratio: float | None, by_ramp: float | None) -> str:
    if by_ratio is None or by_ramp is None:
        return f"unsure: only the {'ramp' if by_ramp else 'update ratio'} says anything"
    apart = max(by_ratio, by_ramp) / min(by_ratio, by_ramp)
    told = f"the two readings lie a factor of {apart:.1f} apart"
    return f"{'sure' if apart <= 3 else 'fairly sure' if apart <= 10 else 'unsure'}: {told}"
