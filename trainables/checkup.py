"""Is a task fit to be tuned? What method/001 and method/004 have a person look at before any training, one finding each."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from studies.plan import Plan, constant
from trainables.supervised import Split, call, checked_loss, fresh_model, seed_everything
from trainables.task import Supervision, Task
from trainables.trainable import Workload

RATES = (0.1, 0.01, 0.001, 0.0001)
"""Tried to learn a few examples by heart: one of them suits, whatever the optimizer and the scale of the loss."""

BY_HEART_STEPS = 300
BY_HEART = 0.02
"""Of the loss at first: what is left when it is near zero to the eye."""

LOOKED_AT = 2_000
"""Examples of each half that are looked at."""

BATCH = 64

EVEN = 3.0
"""Times as many examples as of another class: beyond it method/004 calls labels unbalanced."""

DEAD = 0.5
"""Of a layer's ReLUs that are zero for every example: beyond it a wide layer is hardly there."""

APART = 1e-6
"""Between the smallest and the largest layer's share of gradient to weights: beyond it, one does not learn beside the other."""

STEPS = 6
"""Trained to see whether a step is a function of plan and step."""

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

Verdict = Literal["ok", "doubt", "wrong", "unseen"]


@dataclass(frozen=True)
class Finding:
    """verdict: "unseen" is what could not be looked at. saw: the numbers. do: what to do about it; "" if nothing."""

    name: str
    verdict: Verdict
    saw: str
    do: str = ""


def checkup(workload: Workload, plan: Plan, device: str) -> Iterator[Finding]:
    """One finding after another, as it is there. plan: where stage 1 starts from.

    Raises: TaskError, InputError if the task cannot be trained at all; whatever its code raises.
    """
    yield from purity(workload, plan, device)
    if not isinstance(workload, Supervision):
        yield Finding("data, model, gradients", "unseen", "the task trains in its own way: only its four methods were tried")
        return
    task, (train, valid) = workload.task, workload.splits(device)
    yield from labels(train, valid)
    yield inputs(train)
    yield leak(train, valid)
    yield start(task, plan, train, device)
    yield from gradients(task, plan, train, device)
    yield regularisation(task, plan, device)
    for count in (1, min(8, len(train))):
        yield by_heart(task, plan, train, device, count)
    yield room(task, plan, train, device)


def purity(workload: Workload, plan: Plan, device: str) -> Iterator[Finding]:
    """Resuming, sharing and repeating rest on it (see trainables.trainable.Trainable)."""
    whole, lr = constant(plan, min(RATES), STEPS), min(RATES)
    straight, again = (workload.trainable(whole, device) for _ in range(2))
    for trainable in (straight, again):
        trainable.train(STEPS, lr)
    same = _equal(straight.state(), again.state())
    yield Finding(
        "the same plan, twice",
        "ok" if same else "wrong",
        f"after {STEPS} steps the states are {'the same' if same else 'different'}, bit by bit",
        "" if same else "draw what is random from torch, numpy or random, which are seeded at every step; keep nothing beside",
    )
    first, second = workload.trainable(whole, device), workload.trainable(whole, device)
    first.train(STEPS // 2, lr)
    first.evaluate()
    second.restore(first.state())
    for trainable in (first, second):
        trainable.train(STEPS - STEPS // 2, lr)
    calm, resumed = _equal(straight.state(), first.state()), _equal(straight.state(), second.state())
    yield Finding(
        "evaluated and resumed on the way",
        "ok" if calm and resumed else "wrong",
        f"evaluating {'leaves the training as it is' if calm else 'changes the training'}, and a state"
        f" {'goes on as if never stopped' if resumed else 'goes on in another way'}",
        "" if calm and resumed else "all that training changes must be in the model's state_dict (or in state())",
    )


def labels(train: Split, valid: Split) -> Iterator[Finding]:
    targets, held = _targets(train), _targets(valid)
    if targets is None or held is None:
        yield Finding("labels", "unseen", "the targets are no class numbers")
        return
    counts, others = Counter(targets.tolist()), Counter(held.tolist())
    most, least = max(counts.values()), min(counts.values())
    even = most <= EVEN * least
    yield Finding(
        "labels are balanced",
        "ok" if even else "doubt",
        f"{len(counts)} classes, of {least:,} to {most:,} examples of {len(targets):,}",
        "" if even else "let F1 decide (metrics = torchmetrics.F1Score(..., average='macro')), and begin with a batch above 64",
    )
    drift = sum(abs(counts[one] / len(targets) - others[one] / len(held)) for one in counts | others) / 2
    chance = math.sqrt(len(counts) / min(len(targets), len(held)))  # about what drawing at random makes of equal shares
    yield Finding(
        "both halves have the same labels",
        "ok" if drift <= 2 * chance else "wrong" if set(others) - set(counts) else "doubt",
        f"{100 * drift:.0f} % of the labels would have to change for the shares to agree",
        "" if drift <= 2 * chance else "shuffle the examples before they are split into train and valid; they look sorted",
    )


def inputs(train: Split) -> Finding:
    values = _inputs(train)
    if values is None:
        return Finding("inputs are normalised", "unseen", "the inputs are not one tensor of real numbers")
    if not torch.isfinite(values).all():
        return Finding("inputs are normalised", "wrong", "some inputs are NaN or infinite", "mend or drop these examples")
    mean, deviation = values.mean().item(), values.std().item()
    features = values.flatten(1).std(0)
    alike = features[features > 0]
    ratio = (alike.max() / alike.min()).item() if values.dim() == 2 and len(alike) else 1.0  # an image's edge may be blank
    fine = 0.1 <= deviation <= 10 and abs(mean) <= 3 * deviation and ratio <= 100
    told = f"mean {mean:.3g}, deviation {deviation:.3g}" + (f", features up to {ratio:.3g}-fold apart" if ratio > 1 else "")
    advice = "" if fine else "subtract the mean and divide by the deviation, feature by feature"
    return Finding("inputs are normalised", "ok" if fine else "doubt", told, advice)


def leak(train: Split, valid: Split) -> Finding:
    known = {*_hashes(train)}
    held = _hashes(valid)
    shared = sum(one in known for one in held)
    verdict: Verdict = "ok" if not shared else "doubt" if shared <= 0.01 * len(held) else "wrong"
    told = f"{shared:,} of {len(held):,} validation inputs are training inputs, too, of {len(known):,} looked at"
    advice = "take them out of one half: validation must be unseen" if shared else ""
    return Finding("nothing leaks into validation", verdict, told, advice)


def start(task: Task, plan: Plan, train: Split, device: str) -> Finding:
    """The loss of a model that knows nothing is that of guessing: ln of the number of classes, the variance of the targets."""
    name = "the loss begins at chance"
    if type(task).loss is not Task.loss:
        return Finding(name, "unseen", "the task has a loss of its own: chance is not known")
    model = fresh_model(task, plan.seed).to(device).eval()
    with torch.no_grad():
        batch, targets = train.take(torch.arange(min(len(train), 512)))
        outputs = call(model, batch)
        loss = checked_loss(task.loss(outputs, targets)).item()
    floats = targets.is_floating_point()
    chance = targets.double().var().item() if floats else math.log(outputs.shape[1])
    fine = loss <= (10 if floats else 2) * chance
    return Finding(
        name,
        "ok" if fine else "doubt",
        f"{loss:.3g}, where guessing has {chance:.3g} ({'the variance of the targets' if floats else f'ln {outputs.shape[1]}'})",
        "" if fine else "normalise targets and inputs; initialise the last layer small (method/001: initialisation)",
    )


def gradients(task: Task, plan: Plan, train: Split, device: str) -> Iterator[Finding]:
    """Of one batch: whom they reach, and how large they are beside the weights, layer by layer."""
    model = fresh_model(task, plan.seed).to(device).train()
    alive: dict[str, torch.Tensor] = {}

    def watch(name: str):
        def seen(module: nn.Module, given: Any, output: torch.Tensor) -> None:
            alive[name] = (output.detach() > 0).flatten(1).any(0)

        return seen

    for name, module in model.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(watch(name))
    seed_everything(plan.seed, 0)
    batch, targets = train.take(torch.arange(min(len(train), BATCH)))
    checked_loss(task.loss(call(model, batch), targets)).backward()
    asked = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    missed = [name for name, parameter in asked.items() if parameter.grad is None or not parameter.grad.any()]
    yield Finding(
        "gradients reach every parameter",
        "wrong" if missed else "ok",
        f"none reaches {_few(missed)}" if missed else f"{len(asked)} parameters, all of them",
        "use them in the forward pass, or leave them out (detach and no_grad cut gradients off)" if missed else "",
    )
    shares = {n: (p.grad.norm() / p.norm().clamp_min(1e-12)).item() for n, p in asked.items() if n not in missed and p.dim() > 1}
    if shares and not all(map(math.isfinite, shares.values())):
        advice = "lower the loss's scale; look for 0/0 and log 0"
        yield Finding("gradients are of one scale", "wrong", "some are NaN or infinite", advice)
    elif shares:
        low, high = min(shares, key=shares.get), max(shares, key=shares.get)
        fine = shares[low] > APART * shares[high]
        told = f"gradient to weights from {shares[low]:.2g} ({low}) to {shares[high]:.2g} ({high})"
        advice = "they vanish on the way: batch norm, shortcuts, ReLU for sigmoid, Kaiming or Xavier initialisation (method/001)"
        yield Finding("gradients are of one scale", "ok" if fine else "doubt", told, "" if fine else advice)
    if alive:
        worst = min(alive, key=lambda name: alive[name].float().mean().item())
        dead = 1 - alive[worst].float().mean().item()
        told = f"in {worst or 'the model'}, where they are most, {100 * dead:.0f} % of the ReLUs are zero for a whole batch"
        advice = "initialise by Kaiming, normalise the inputs, or take a leaky ReLU (method/001: dead units)"
        yield Finding("units are alive", "ok" if dead <= DEAD else "doubt", told, "" if dead <= DEAD else advice)


def regularisation(task: Task, plan: Plan, device: str) -> Finding:
    """method/004: off until the optimum of the loss is found."""
    model = fresh_model(task, plan.seed).to(device)
    on = [f"dropout {module.p:g} ({name})" for name, module in model.named_modules() if isinstance(module, DROPOUT) and module.p]
    decays = {group.get("weight_decay", 0) for group in task.optimizer(model, plan).param_groups} - {0}
    on += [f"weight decay {decay:g}" for decay in sorted(decays)]
    return Finding(
        "regularisation is off",
        "doubt" if on else "ok",
        f"on are {_few(on)}" if on else "no dropout, no weight decay",
        "take it out while stages 1 to 3 look for the optimum; `tune stage4` tunes it afterwards" if on else "",
    )


def by_heart(task: Task, plan: Plan, train: Split, device: str, count: int) -> Finding:
    """method/001's first test of a network: can it learn one example, one batch by heart?"""
    name = f"learns {'one example' if count == 1 else f'{count} examples'} by heart"
    first, least = math.inf, math.inf
    for lr in RATES:
        try:
            losses = _repeated(task, plan, train, device, count, lr)
        except ValueError as error:  # batch norm's, of a single value
            return Finding(name, "unseen", f"{type(error).__name__}: {error}"[:120])
        if losses[0] < least:
            first, least = losses[0], min(least, losses[0])
        least = min(least, losses[-1]) if math.isfinite(losses[-1]) else least
        if least <= max(BY_HEART * first, 1e-6):
            return Finding(name, "ok", f"the loss falls from {first:.3g} to {least:.2g} at rate {lr:g}")
    return Finding(
        name,
        "wrong",
        f"the loss stays at {least:.3g} of {first:.3g} at every rate from {RATES[0]:g} to {RATES[-1]:g}",
        "the model cannot express it, or loss and targets do not fit together: look at reshapes, loss, last layer (method/001)",
    )


def _repeated(task: Task, plan: Plan, train: Split, device: str, count: int, lr: float) -> list[float]:
    """The losses of training on the same few examples again and again."""
    model = fresh_model(task, plan.seed).to(device).train()
    for module in model.modules():
        if isinstance(module, DROPOUT):
            module.eval()
    optimizer = task.optimizer(model, plan)
    for group in optimizer.param_groups:
        group["lr"] = lr
    batch, targets = train.take(torch.arange(count))
    losses = []
    for _ in range(BY_HEART_STEPS):
        loss = checked_loss(task.loss(call(model, batch), targets))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or losses[-1] <= BY_HEART * losses[0]:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def room(task: Task, plan: Plan, train: Split, device: str) -> Finding:
    """The largest batch that fits: what autograd keeps of one example, against the memory that is free."""
    model, kept = fresh_model(task, plan.seed).to(device).train(), {}
    few = min(len(train), 8)
    batch, targets = train.take(torch.arange(few))

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        checked_loss(task.loss(call(model, batch), targets))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    each = sum(size for place, size in kept.items() if place not in weights) / few
    fits = int(free_bytes(device) / max(2 * each, 1))  # gradients of what is kept come beside it
    size = min(fits, len(train))
    fine = size >= min(plan.batch_size, len(train))
    told = f"{each / 1e6:.3g} MB an example: about {size:,} fit" + (", all there are" if size == len(train) else "")
    advice = f"begin with a smaller batch than {plan.batch_size}, or let pieces of it accumulate (--recipe, accumulate)"
    return Finding("a batch fits", "ok" if fine else "wrong", told, "" if fine else advice)


def free_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info()[0]
    import psutil

    return psutil.virtual_memory().available


def _targets(split: Split) -> torch.Tensor | None:
    """Class numbers; None if they are none."""
    _, targets = split.take(_some(split))
    whole = isinstance(targets, torch.Tensor) and not targets.is_floating_point() and targets.dim() == 1
    return targets if whole else None


def _inputs(split: Split) -> torch.Tensor | None:
    values, _ = split.take(_some(split))
    return values if isinstance(values, torch.Tensor) and values.is_floating_point() and values.dim() > 1 else None


def _some(split: Split) -> torch.Tensor:
    """Indices of examples to look at, evenly over all."""
    return torch.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).long()


def _hashes(split: Split) -> list[bytes]:
    values, _ = split.take(_some(split))
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else [values]
    rows = zip(*(part.cpu().reshape(len(part), -1).numpy() for part in parts if isinstance(part, torch.Tensor)))
    return [hashlib.blake2b(b"".join(cell.tobytes() for cell in row), digest_size=16).digest() for row in rows]


def _equal(a: Any, b: Any) -> bool:
    """Bit by bit, NaN being NaN."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_equal, a, b))
    return a == b or (a != a and b != b)


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
