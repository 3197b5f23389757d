"""Are the data fit to be learnt? Their shapes, scale, labels, and the split."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from trainables.checkup.finding import Finding, Verdict
from trainables.split import Split, leaves
from trainables.task import Supervision

READ = 20_000
"""Examples of each half that are read at most: enough to see a class that is one in a thousand."""

READ_BYTES = 1 << 30
"""Of each half, as the checks need several times as much memory."""

PIECE = 256

FAINT, LOUD = 0.05, 20.0
"""Standard deviations outside of which initialisations (made for 1) are off by more than a factor of ten, in good measure."""

OFF_CENTRE = 3.0
"""Standard deviations that a mean may lie from 0. Pixels in [0, 1], which train well, lie about one from it."""

UNEQUAL = 1_000.0
"""Times the scale of another feature: the larger one alone sets the rate (LeCun et al. 1998, Efficient BackProp, 4.3)."""

CORRELATED, FEWEST = 2_000, 30
"""Examples, and features, whose correlations are looked at, at most; and examples, at least."""

SAME = 0.999
"""A correlation above which the loss is thousands of times as steep along two features as across them."""

LOPSIDED = 5.0
"""Times the examples of the rarest class: from here on accuracy hides the rare ones."""

LEAKED = 0.01
"""Of the validation: some doubles are in many collections (CIFAR-10 has a few in a thousand); more is a wrong split."""

SHIFTED = 0.25
"""Total variation between the classes of both halves: a random split of 100 examples into 10 classes stays below 0.2."""


def checks(workload: Supervision, seconds: float) -> Iterator[Finding]:
    """Shapes, scale, leaks, labels. Reads up to READ examples of each half, while there is time."""
    train, valid = workload.splits("cpu")
    seen, held = _read(train, seconds / 2), _read(valid, seconds / 2)
    yield _shapes(train, valid, seen, held)
    yield _finite(seen, held)
    yield from _scale(seen)
    yield _leaks(seen, held, len(valid))
    targets, others = _classes(seen), _classes(held)
    if targets is None or others is None:
        return
    yield _split(targets, others)
    yield _balance(targets, workload.target.name)


def _read(split: Split, seconds: float) -> list[tuple[Any, Any]]:
    """Batches from all over the split, until there are enough or time is up."""
    count, until, found, size = min(len(split), READ), time.monotonic() + seconds, [], 0
    places = torch.linspace(0, len(split) - 1, count).long()
    if count < len(split):
        places = places[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    for indices in places.split(PIECE):
        found.append(split.take(indices))
        size += sum(one.numel() * one.element_size() for one in _tensors(found[-1]))
        if time.monotonic() > until or size > READ_BYTES:
            break
    return found


def _tensors(part: Any) -> list[torch.Tensor]:
    return [leaf for leaf in leaves(part) if isinstance(leaf, torch.Tensor)]


def _described(part: Any) -> str:
    told = [f"{str(one.dtype).removeprefix('torch.')} {tuple(one.shape[1:])}" for one in _tensors(part)]
    return ", ".join(told) or type(part).__name__


def _shapes(train: Split, valid: Split, seen: list, held: list) -> Finding:
    one, other = (f"inputs {_described(inputs)}, targets {_described(targets)}" for inputs, targets in (seen[0], held[0]))
    saw = f"{one}; {len(train):,} examples to train on, {len(valid):,} to validate with"
    if one != other:
        return Finding("shapes", Verdict.WRONG, f"training has {one}; validation has {other}", "make both halves alike")
    return Finding("shapes", Verdict.OK, saw)


def _finite(seen: list, held: list) -> Finding:
    for half, batches in (("training", seen), ("validation", held)):
        bad = sum(int((~torch.isfinite(one)).sum()) for batch in batches for one in _tensors(batch) if one.is_floating_point())
        if bad:
            do = "fill in or leave out what is missing: one of them makes the loss NaN"
            return Finding("finite numbers", Verdict.WRONG, f"{bad:,} numbers in the {half} data are NaN or infinite", do)
    return Finding("finite numbers", Verdict.OK, f"{_count(seen) + _count(held):,} examples read")


def _count(batches: list) -> int:
    return sum(len(next(iter(_tensors(inputs)), ())) for inputs, _ in batches)


def _scale(seen: list) -> Iterator[Finding]:
    """method/001: zero mean, unit variance; what is far from it learns badly. Of floating-point inputs."""
    inputs = [[one for one in _tensors(batch) if one.is_floating_point()] for batch, _ in seen]
    for number, parts in enumerate(zip(*inputs)):
        values = torch.cat([part.flatten(1) for part in parts]).double()
        values = values[torch.isfinite(values).all(1)]
        if not len(values):
            continue
        mean, scale = float(values.mean()), float(values.std(correction=0))
        which = f", input {number + 1}" if len(inputs[0]) > 1 else ""
        name = f"normalised inputs{which}"
        saw = f"mean {mean:.3g}, standard deviation {scale:.3g}"
        do = "subtract the training data's mean, divide by its standard deviation"
        if scale == 0:
            yield Finding(
                name, Verdict.WRONG, f"all inputs are {mean:.3g}", "look at how they are read: there is nothing to learn"
            )
        elif not FAINT < scale < LOUD or abs(mean) > OFF_CENTRE * scale:
            yield Finding(name, Verdict.DOUBT, saw, do)
        else:
            each = values.std(0, correction=0)
            each = each[each > 0]
            apart = float(each.max() / each.min()) if parts[0].dim() == 2 else 1.0  # pixels at the rim hardly ever vary
            if apart > UNEQUAL:
                yield Finding(
                    name, Verdict.DOUBT, f"the features' scales are up to {apart:,.0f} times apart", f"of each feature: {do}"
                )
            else:
                yield Finding(name, Verdict.OK, saw)
        if parts[0].dim() == 2:  # pixels side by side are alike by nature
            yield from _correlated(values, f"weakly correlated inputs{which}")


def _correlated(values: torch.Tensor, name: str) -> Iterator[Finding]:
    """method/001: weak correlation. values: shape (examples, features)."""
    some = values[:CORRELATED, :CORRELATED]
    places = (some.amax(0) > some.amin(0)).nonzero().flatten()
    if len(places) < 2 or len(some) < FEWEST:
        return
    alike = torch.corrcoef(some[:, places].T).abs().fill_diagonal_(0)
    one, other = sorted(int(places[place]) for place in divmod(int(alike.argmax()), len(places)))
    saw = f"of features {one} and {other}, the most alike, the correlation is {float(alike.max()):.4g}"
    if alike.max() > SAME:
        yield Finding(name, Verdict.DOUBT, saw, "leave one of them out: it says nothing that the other does not")
    else:
        yield Finding(name, Verdict.OK, saw)


def _leaks(seen: list, held: list, validation: int) -> Finding:
    """Examples that both halves have, by a hash of their inputs."""
    known = {one for inputs, _ in seen for one in _hashes(inputs)}
    others = [one for inputs, _ in held for one in _hashes(inputs)]
    both = sum(one in known for one in others)
    saw = f"{both:,} of {len(others):,} validation examples are in the training data, too" + (
        "" if len(others) == validation else f" (of {validation:,}; {_count(seen):,} training examples read)"
    )
    if both > max(1, LEAKED * len(others)):
        return Finding("leaks", Verdict.WRONG, saw, "split again without them: validation would reward what is learnt by heart")
    return Finding("leaks", Verdict.DOUBT if both else Verdict.OK, saw, "leave the doubles out" if both else "")


def _hashes(inputs: Any) -> list[bytes]:
    rows = [one.flatten(1).contiguous() if one.dim() > 1 else one.reshape(-1, 1) for one in _tensors(inputs)]
    whole = [row.view(torch.uint8).numpy() for row in rows]
    return [hashlib.blake2b(b"".join(part[i].tobytes() for part in whole), digest_size=16).digest() for i in range(len(rows[0]))]


def _classes(batches: list) -> list[int] | None:
    """The labels in the order read; None if the targets are no classes."""
    found = [targets for _, targets in batches]
    if any(not isinstance(one, torch.Tensor) or one.is_floating_point() or one.dim() != 1 for one in found):
        return None
    return torch.cat(found).tolist()


def _split(targets: list[int], others: list[int]) -> Finding:
    mine, theirs = Counter(targets), Counter(others)
    missing = sorted(theirs.keys() - mine.keys())
    apart = sum(abs(mine[c] / len(targets) - theirs[c] / len(others)) for c in mine | theirs) / 2
    alike = sum(a == b for a, b in zip(targets, targets[1:])) / max(1, len(targets) - 1)
    chance = sum((count / len(targets)) ** 2 for count in mine.values())
    ordered = "; the training data are stored in the order of their labels" if alike > (1 + chance) / 2 and len(mine) > 1 else ""
    do = "shuffle before splitting, or split each class alike"
    if missing:
        told = ", ".join(map(str, missing[:8]))
        return Finding("split", Verdict.WRONG, f"validation has classes that training lacks: {told}{ordered}", do)
    if apart > SHIFTED:
        saw = f"{apart:.0%} of the examples would have to change class to make both halves alike{ordered}"
        return Finding("split", Verdict.WRONG, saw, do)
    lost = len(mine.keys() - theirs.keys())
    saw = f"{len(mine)} classes, {apart:.1%} apart between training and validation{ordered}"
    if ordered:
        saw += " (each epoch shuffles them anyway)"
    return Finding("split", Verdict.DOUBT if lost else Verdict.OK, saw, f"{lost} classes are not validated: {do}" if lost else "")


def _balance(targets: list[int], metric: str) -> Finding:
    """method/004: where classes are unequal, watch F1, and take a larger batch."""
    ranked = Counter(targets).most_common()
    (most, many), (least, few) = ranked[0], ranked[-1]
    share = many / len(targets)  # the baseline of method/001
    if len(ranked) == 1:
        return Finding("labels", Verdict.WRONG, f"every label is {most}", "look at how they are read: there is nothing to learn")
    saw = f"class {most} has {many:,} examples, class {least} has {few:,}; to answer {most} to all is right for {share:.0%}"
    if many <= LOPSIDED * few:
        return Finding("labels", Verdict.OK, f"balanced: {saw}")
    if metric != "accuracy":
        return Finding(
            "labels", Verdict.OK, f"not balanced: {saw}; decided by {metric}; begin with a larger batch: --batch-size 128"
        )
    do = "let F1 decide (metrics = torchmetrics.F1Score(..., average='macro')), and begin with a larger batch: --batch-size 128"
    return Finding("labels", Verdict.DOUBT, f"not balanced: {saw}", do)
