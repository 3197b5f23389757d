"""How fast is a step, and how large may a batch be?"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import torch

from studies.plan import Plan
from trainables.checkup.finding import Finding, Verdict
from trainables.machine import release
from trainables.split import Split
from trainables.supervised import call
from trainables.task import Supervision

LARGEST = 8192
"""Beyond that no batch is tried: rates no longer follow there (method/003's papers stop at 8,192, too)."""

SPARED = 0.8
"""Of the memory that is there, so much is counted on."""

SETTLED = 2
"""Steps after which all memory has been taken: the optimizer's own is there from the second one's backward pass on."""

TIMED = 5
RATE = 1e-4

MOST = 0.5
"""Of a step's time: where reading takes more than all else, it is what to make faster."""

FEW_BATCHES = 10
"""In an epoch: with fewer of them, a smaller batch makes more of a small collection (method/004)."""


def checks(workload: Supervision, plan: Plan, device: str, seconds: float) -> Iterator[Finding]:
    """A step's time, its memory, and the largest batch that fits."""
    training = workload.trainable(plan, device)
    training.train(SETTLED, RATE)
    took = _timed(training, device)
    rate = f"{plan.batch_size / took:,.0f} examples a second at batch size {plan.batch_size:,}"
    yield Finding("speed", Verdict.OK, f"a step takes {1000 * took:.3g} ms, {rate}")
    yield _reading(workload.splits(device)[0], plan.batch_size, took)
    if device.startswith("cuda"):
        del training  # it takes memory
        largest, how = _by_trying(workload, plan, device, seconds)
    else:
        largest, how = _by_counting(training, plan)
    epoch, size = workload.train_examples, plan.batch_size
    largest = max(size, min(largest, LARGEST))  # so many have just been trained
    saw = f"{size:,} fits" + (f", {largest:,} does, too" if largest > size else "") + f" ({how})"
    if epoch < FEW_BATCHES * size and size > 8:
        smaller = max(8, _power(epoch // FEW_BATCHES))
        do = f"begin with a smaller one: --batch-size {smaller}"
        yield Finding("batch size", Verdict.DOUBT, f"{saw}; an epoch has {epoch / size:.0f} batches of {size:,}", do)
    else:
        yield Finding("batch size", Verdict.OK, saw)


def _reading(train: Split, batch_size: int, took: float) -> Finding:
    """What of a step, which takes so many seconds, is reading, once all has been read that can be kept."""
    indices = torch.arange(batch_size) % len(train)
    read = min(_seconds(lambda: train.take(indices)) for _ in range(TIMED))
    saw = f"{1000 * read:.2g} ms of a step"
    if read < MOST * took:
        return Finding("reading", Verdict.OK, saw)
    do = "what is random may be a part of the recipe instead (tune recipes), so that items are read once; else try --readers 4"
    why = "items are read anew each time, as they draw random numbers, are too large, or are collated in a way of their own"
    return Finding("reading", Verdict.DOUBT, f"{saw}; {why}", do)


def ran_out(workload: Supervision, plan: Plan, device: str) -> Finding:
    """What is told where memory ran out at the plan's batch size: the half of it that fits, or the half of that..."""
    size, saw = plan.batch_size // 2, f"memory ran out at {plan.batch_size:,}"
    while size and not _fits(workload, plan.but(batch_size=size), device):
        size //= 2
    if not size:
        return Finding("batch size", Verdict.WRONG, f"{saw}; not even 1 fits", "take a smaller model or a larger GPU")
    do = f"begin with --batch-size {size}, or accumulate gradients (recipe: accumulate)"
    return Finding("batch size", Verdict.WRONG, f"{saw}; {size:,} fits", do)


def _fits(workload: Supervision, plan: Plan, device: str) -> bool:
    try:
        workload.trainable(plan, device).train(SETTLED, RATE)
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        release()


def _timed(training, device: str) -> float:
    """Seconds a step: the fastest of a few, since neighbours on the machine only ever slow one down."""
    taken = []
    for _ in range(TIMED):
        training.batch()  # from now on it is kept, if it can be
        taken.append(_seconds(lambda: training.train(1, RATE)))  # its loss is a number: whatever the device has in hand is done
    return min(taken)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _by_counting(training, plan: Plan) -> tuple[int, str]:
    """What a backward pass keeps for each example, against the memory that is free."""
    kept = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    inputs, targets = training.batch()
    training.model.train()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        training.task.loss(call(training.model, inputs), targets)
    parameters = sum(p.numel() * p.element_size() for p in training.model.parameters())
    each = max(1.0, (kept - parameters) / plan.batch_size, kept / plan.batch_size / 100)
    free = _available()
    fits = int(SPARED * (free - 4 * parameters) / each)
    return _power(fits), f"{each / 1e6:.3g} MB an example, {free / 1e9:.3g} GB free"


def _available() -> int:
    """Bytes of memory that a process could still get."""
    return psutil.virtual_memory().available


def _by_trying(workload: Supervision, plan: Plan, device: str, seconds: float) -> tuple[int, str]:
    """Double the batch until steps of it do not fit the GPU, or time is up."""
    until, size, fits, peak = time.monotonic() + seconds, plan.batch_size, 0, 0
    while not fits or (size <= LARGEST and time.monotonic() < until):
        torch.cuda.reset_peak_memory_stats()
        if not _fits(workload, plan.but(batch_size=size), device):
            break
        fits, peak, size = size, torch.cuda.max_memory_allocated(), 2 * size
    whole = torch.cuda.get_device_properties(0).total_memory
    return fits, f"tried on the GPU: {peak / 1e9:.3g} of {whole / 1e9:.3g} GB"


def _power(number: int) -> int:
    """The largest power of two up to it; 1 at least."""
    return 1 << max(0, number.bit_length() - 1)
