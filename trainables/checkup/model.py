"""Can the model learn? The loss it starts from, the gradients that reach it, and whether it learns a batch by heart."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from studies.plan import Plan
from trainables.checkup.finding import Finding, Verdict
from trainables.eager import eager
from trainables.measuring import checked_loss
from trainables.randomness import seed_everything
from trainables.supervised import Supervised, call, fresh_model
from trainables.task import Supervision, Task

LOOKED_AT = 512
"""Training examples on which the untrained model is judged."""

FEW_STEPS, GENTLE = 5, 1e-3
"""After so many steps at this rate gradients are looked at: what a careful initialisation sets to zero has moved by then."""

NEAR = 1.5
"""Times the loss of guessing. Usual initialisations start within 1.2 of it."""

FAINT = 1e-5
"""Of the largest, relative gradient among the weights: a layer below gets nothing that the rate of the others could use."""

STORM = 1e3
"""Norm of all gradients; healthy ones at the start are between 0.1 and 100."""

RATES = (1e-2, 1e-3, 1e-1, 1e-4)
STEPS = 300
"""Of Adam at each rate: enough for one batch wherever there is a way at all."""

USUAL = 64
"""Examples by which batch normalisation is set for learning by heart."""

NOTHING = 0.02
"""Of the loss at the start: "near 0" (method/001)."""


def checks(workload: Supervision, plan: Plan, device: str) -> Iterator[Finding]:
    """What one look at the untrained model and a few steps show."""
    training = workload.trainable(plan, device)
    train, _ = workload.splits(device)
    inputs, targets = train.take(_spread(len(train), min(LOOKED_AT, len(train))))
    yield _parameters(training, device)
    known = None if "loss" in training.own else _all_targets(workload)
    first = _first_loss(workload.task, training.model, inputs, targets, known)
    yield first
    yield _regularisation(training)
    if first.name == "outputs":
        return
    training.train(FEW_STEPS, GENTLE)
    yield from _gradients(workload.task, training.model, inputs, targets)


def _all_targets(workload: Supervision) -> torch.Tensor | None:
    """Targets of up to a few thousand training examples: how many classes there are, how far numbers spread."""
    train, _ = workload.splits("cpu")
    _, targets = train.take(_spread(len(train), min(4 * LOOKED_AT, len(train))))
    return targets if isinstance(targets, torch.Tensor) else None


def _parameters(training: Supervised, device: str) -> Finding:
    parameters = list(training.model.parameters())
    count, frozen = sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if not p.requires_grad)
    elsewhere = {str(p.device) for p in parameters if p.device.type != torch.device(device).type}
    known = {id(p) for group in training.optimizer.param_groups for p in group["params"]}
    forgotten = [name for name, p in training.model.named_parameters() if p.requires_grad and id(p) not in known]
    saw = f"{count:,} parameters on {device}" + (f", {frozen:,} of them frozen" if frozen else "")
    if elsewhere:
        return Finding(
            "parameters", Verdict.WRONG, f"some parameters are on {', '.join(elsewhere)}", f"leave all to be on {device}"
        )
    if forgotten:
        return Finding("parameters", Verdict.WRONG, f"the optimizer does not have {_some(forgotten)}", "give it all that learns")
    return Finding("parameters", Verdict.OK, saw)


def _first_loss(task: Task, model: nn.Module, inputs, targets, known: torch.Tensor | None) -> Finding:
    """Karpathy, "A recipe for training neural networks" (2019): verify the loss at initialisation.

    known: what targets there are; None where the loss is the task's own.
    """
    _wake(model)
    with torch.no_grad():
        outputs = call(model, inputs)
    usual = known is not None and isinstance(outputs, torch.Tensor)
    classes = outputs.shape[1] if usual and not known.is_floating_point() and outputs.dim() > 1 else None
    if classes and not 0 <= int(known.min()) <= int(known.max()) < classes:
        saw = f"labels go from {int(known.min())} to {int(known.max())}, the model has {classes} outputs"
        return Finding("outputs", Verdict.WRONG, saw, "give it one output for each class; classes count from 0")
    loss = checked_loss(task.loss(outputs, targets)).item()
    name = "loss at the start"
    if not math.isfinite(loss):
        do = "look for NaN in the inputs, a logarithm of 0, or a wild initialisation"
        return Finding(name, Verdict.WRONG, f"it is {loss}", do)
    if not usual:
        return Finding(name, Verdict.OK, f"it is {loss:.4g}; what chance has with this loss is not known")
    if classes:
        chance, words = math.log(classes), f"ln {classes}"
        do = "outputs are far from 0 at the start: initialise the last layer smaller, or normalise the inputs"
    else:
        chance, words = float(known.float().var(correction=0)), "the targets' variance"
        do = "subtract the targets' mean, divide by their standard deviation"
    saw = f"it is {loss:.4g}; chance has {words}, {chance:.4g}"
    if loss > NEAR * chance + 1e-3:
        return Finding(name, Verdict.DOUBT, saw, do)
    if loss < chance / NEAR:
        return Finding(name, Verdict.DOUBT, saw, "an untrained model should know nothing: is the answer among the inputs?")
    return Finding(name, Verdict.OK, saw)


def _regularisation(training: Supervised) -> Finding:
    """method/004: off while stages 1 to 3 look for the optimum of the loss."""
    if on := training.regularisation:
        do = "switch it off until the rate, batch and decay are found: it bends the curves that decide (dropout: 0 in a recipe)"
        return Finding("regularisation", Verdict.DOUBT, f"on: {_some(on)}", do)
    return Finding("regularisation", Verdict.OK, "no dropout, no weight decay")


def _gradients(task: Task, model: nn.Module, inputs, targets) -> Iterator[Finding]:
    """One backward pass: who gets a gradient, how large each is beside its weights, and which units never fire."""
    model.train()
    model.zero_grad(set_to_none=True)
    seed_everything("check")
    with _firing(model) as fired:
        checked_loss(task.loss(call(model, inputs), targets)).backward()
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    grads = {name: p.grad.norm().item() if p.grad is not None else None for name, p in learning.items()}
    unreached = [name for name, grad in grads.items() if grad is None]
    bad = [name for name, grad in grads.items() if grad is not None and not math.isfinite(grad)]
    still = [name for name, grad in grads.items() if grad == 0]
    sizes = {
        name: grads[name] / max(p.detach().norm().item(), 1e-12)
        for name, p in learning.items()
        if grads[name] and math.isfinite(grads[name]) and p.dim() > 1
    }
    faint = [name for name, size in sizes.items() if size < FAINT * max(sizes.values())]
    norm = math.sqrt(sum(grad**2 for grad in grads.values() if grad))
    name = "gradients"
    if bad:
        yield Finding(name, Verdict.WRONG, f"not finite in {_some(bad)}", "they explode: normalise inputs, initialise smaller")
    elif unreached:
        do = "use them in forward (and not within no_grad or detach), or take them out"
        yield Finding(name, Verdict.WRONG, f"none reaches {_some(unreached)}", do)
    elif still:
        do = "is something before them rounded, dead or multiplied by 0?"
        yield Finding(name, Verdict.WRONG, f"exactly 0 in {_some(still)} after {FEW_STEPS} steps", do)
    elif faint:
        do = "they vanish: ReLU for sigmoid, He initialisation, normalisation layers, shortcuts"
        yield Finding(name, Verdict.DOUBT, f"less than {FAINT:g} of the largest, beside the weights, in {_some(faint)}", do)
    elif norm > STORM:
        do = "they explode: normalise inputs and targets, initialise smaller"
        yield Finding(name, Verdict.DOUBT, f"their norm is {norm:.3g}", do)
    else:
        yield Finding(name, Verdict.OK, f"all {len(grads)} parameter tensors get one; norm {norm:.3g}")
    yield _dead(fired)


@contextmanager
def _firing(model: nn.Module) -> Iterator[dict[str, list[torch.Tensor]]]:
    """For each ReLU module by name: of each of its calls, which units (of dimension 1) were above 0 anywhere."""
    fired: dict[str, list[torch.Tensor]] = {}

    def note(name: str):
        def hook(module, given, output):
            units = output.detach().transpose(0, 1).flatten(1) if output.dim() > 1 else output.detach().reshape(1, -1)
            fired.setdefault(name, []).append((units > 0).any(1))

        return hook

    relus = [(name, one) for name, one in model.named_modules() if isinstance(one, nn.ReLU | nn.ReLU6)]
    hooks = [one.register_forward_hook(note(name)) for name, one in relus]
    try:
        yield fired
    finally:
        for hook in hooks:
            hook.remove()


def _dead(fired: dict[str, list[torch.Tensor]]) -> Finding:
    """method/001: a ReLU that is 0 for every example passes no gradient and never learns again."""
    shares = {name: 1 - torch.stack(calls).any(0).float().mean().item() for name, calls in fired.items()}
    if not shares:
        return Finding("dead units", Verdict.UNSEEN, "the model has no nn.ReLU module to look at")
    worst = max(shares, key=shares.get)
    saw = f"{shares[worst]:.0%} of the units of {worst} are 0 for every example looked at"
    do = "initialise as He, normalise the inputs, lower the rate, or use a leaky ReLU"
    if shares[worst] > 0.99:
        return Finding("dead units", Verdict.WRONG, saw, do)
    return Finding("dead units", Verdict.DOUBT if shares[worst] > 0.5 else Verdict.OK, saw, do if shares[worst] > 0.5 else "")


def overfits(workload: Supervision, plan: Plan, device: str, seconds: float) -> Iterator[Finding]:
    """method/001: the first thing to do is to overfit one example; then a batch. What cannot is built wrong."""
    train, _ = workload.splits(device)
    until = time.monotonic() + seconds
    usual, _ = train.take(_spread(len(train), min(USUAL, len(train))))
    for count, words in ((1, "one example by heart"), (min(plan.batch_size, len(train)), "one batch by heart")):
        seconds = (until - time.monotonic()) / (2 if count == 1 else 1)
        yield _overfits(workload.task, plan, *train.take(_spread(len(train), count)), usual, device, words, seconds)


def _spread(examples: int, count: int) -> torch.Tensor:
    """Indices from all over the data: those that lie side by side may be of one class."""
    return torch.linspace(0, examples - 1, count).long()


def _overfits(task: Task, plan: Plan, inputs, targets, usual, device: str, words: str, seconds: float) -> Finding:
    began, most, steps = math.nan, math.inf, 0
    until = time.monotonic() + seconds
    for rate in RATES:
        model = fresh_model(task, plan.seed).to(device)
        _settle(model, usual)
        with eager():
            optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
        for step in range(STEPS):
            seed_everything(plan.seed, step)
            with eager():
                optimizer.zero_grad(set_to_none=True)
            loss = checked_loss(task.loss(call(model, inputs), targets))
            value, steps = loss.item(), steps + 1
            began = value if math.isnan(began) else began
            most = min(most, value) if math.isfinite(value) else most
            if most <= NOTHING * abs(began) + 1e-6:
                return Finding(
                    words, Verdict.OK, f"the loss fell from {began:.3g} to {most:.2g} in {step} steps at rate {rate:g}"
                )
            if not math.isfinite(value) or time.monotonic() > until:
                break
            loss.backward()
            with eager():
                optimizer.step()
        if time.monotonic() > until:
            break
    if not math.isfinite(most):
        return Finding(
            words, Verdict.WRONG, f"the loss is {began}", "look for NaN in the inputs, or a logarithm of 0 in the loss"
        )
    saw = f"the loss fell only from {began:.3g} to {most:.3g} in {steps} steps"
    if time.monotonic() > until and most < 0.1 * began:
        return Finding(words, Verdict.OK, f"the loss fell from {began:.3g} to {most:.2g} in the {steps} steps there was time for")
    if time.monotonic() > until:
        return Finding(words, Verdict.UNSEEN, f"{saw}, for which there was time", "give it longer: --seconds")
    if most > 0.7 * began:
        do = "something is cut off: look at the shapes (reshape, flatten), the loss, the last layer, what is detached or frozen"
        return Finding(words, Verdict.WRONG, saw, do)
    do = "has the loss a floor (a prior, say)? else the model is too small, or there are equal inputs with unequal targets"
    return Finding(words, Verdict.DOUBT, saw, do)


def _wake(model: nn.Module) -> None:
    """For training, but without dropout. (Evaluated untrained, norms change nothing: a deep model's loss is then in the hundreds,
    of which chance is next to nothing.)"""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()


def _settle(model: nn.Module, usual) -> None:
    """Awake, but batch normalisation by what these inputs are in the untrained model, for good: one example has no variance."""
    _wake(model)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            call(model, usual)
    for norm in norms:
        norm.eval()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
