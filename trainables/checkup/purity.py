"""Is training a pure function of (plan, step)? Everything that is shared, resumed and compared rests on it."""

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from studies.plan import Plan
from trainables.checkup.finding import Finding, Verdict
from trainables.supervised import Supervised, copied
from trainables.trainable import Workload

STEPS, RATE = 3, 1e-2
"""Before and after the place where it is looked at, or stopped."""


def checks(workload: Workload, plan: Plan, device: str) -> Iterator[Finding]:
    """The same plan twice; with an evaluation between; and stopped, restored elsewhere, and gone on with: bit for bit."""
    once, twice = _trained(workload, plan, device), _trained(workload, plan, device)
    whole = _on(once, [once.train(STEPS, RATE)])
    again = _on(twice, [twice.train(STEPS, RATE)])
    yield _same("the same plan twice", again, whole, device, "what changes from one training to the next")

    looked = _trained(workload, plan, device)
    first = looked.train(STEPS, RATE)
    state, measured = copied(dict(looked.state())), dict(looked.evaluate())
    yield _same("evaluating changes nothing", _on(looked, [first]), whole, device, "what evaluate leaves behind")
    yield _metric(workload, measured)

    try:
        state = _read_again(state)
    except Exception as error:
        told = str(error).strip().splitlines()[0][:200]
        do = "let state return tensors, numbers and strings, in dicts, lists and tuples"
        yield Finding("the state comes back", Verdict.WRONG, f"it cannot be read from a file: {told}", do)
        return
    resumed = _trained(workload, plan, device)
    resumed.restore(copied(state))
    back = ([], copied(dict(resumed.state())), {})
    yield _same("the state comes back", back, ([], state, {}), device, "what state returns and restore takes")
    yield _same("stopped and gone on with", _on(resumed, [first]), whole, device, "what training depends on, and state lacks")


def _on(training: Any, losses: list[float]) -> tuple[list[float], Any, Any]:
    """Train on; all losses, the state and, where they may depend on more than the state, the metrics at the end."""
    losses = [*losses, training.train(STEPS, RATE)]
    metrics = {} if isinstance(training, Supervised) else dict(training.evaluate())
    return losses, copied(dict(training.state())), metrics


def _metric(workload: Workload, measured: Mapping[str, float]) -> Finding:
    name = workload.target.name
    if name not in measured:
        do = f"return {name!r} from evaluate or metrics, or let another decide: {', '.join(sorted(measured))}"
        return Finding("metric", Verdict.WRONG, f"{name} is not measured", do)
    if not math.isfinite(float(measured[name])):
        return Finding(
            "metric", Verdict.WRONG, f"{name} is {float(measured[name])} at step {STEPS}", "look at how it is computed"
        )
    return Finding("metric", Verdict.OK, f"{name} is {float(measured[name]):.4g} at step {STEPS}")


def _read_again(state: Any) -> Any:
    """As from a checkpoint."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _trained(workload: Workload, plan: Plan, device: str) -> Any:
    return workload.trainable(plan.upto(0), device)


def _same(name: str, told: Any, expected: Any, device: str, look: str) -> Finding:
    parts = zip(("loss", "state", "metrics"), told, expected)
    place = next((found for part, one, other in parts if (found := _difference(one, other, part))), None)
    if place is None:
        return Finding(name, Verdict.OK, "bit for bit" if name != "the state comes back" else "exactly")
    if device != "cpu" and _near(told, expected):
        return Finding(name, Verdict.OK, f"to rounding ({place} differs): kernels of {device} sum in any order")
    return Finding(
        name, Verdict.WRONG, f"{place} differs", f"look at {look}; randomness belongs to torch, numpy and random alone"
    )


def _difference(one: Any, other: Any, place: str) -> str | None:
    """Where the two first differ; None if they are the same, bit for bit (NaN is itself)."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype
        return None if alike and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)) else place
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return place
        return next((found for key in one if (found := _difference(one[key], other[key], f"{place}.{key}"))), None)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        if len(one) != len(other):
            return place
        pairs = enumerate(zip(one, other))
        return next((found for i, (a, b) in pairs if (found := _difference(a, b, f"{place}.{i}"))), None)
    try:
        return None if bool(one == other) or (one != one and other != other) else place
    except (TypeError, ValueError, RuntimeError):  # an array, say: what a state may not hold
        return None if repr(one) == repr(other) else place


def _near(told: Any, expected: Any) -> bool:
    """Losses, where there are any, agree as float arithmetic in another order does."""
    return bool(told[0]) and all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-6) for a, b in zip(told[0], expected[0]))
