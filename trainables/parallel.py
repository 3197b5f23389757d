"""How is one training spread over several processes, with the result of one? Each takes its share of every batch (text 003).

Goyal et al. 2017 (arXiv:1706.02677, 3): the loss is normalised over the whole batch, not over a process's share; and one shuffle
an epoch is divided among all. So gradients, averaged by torch's DistributedDataParallel, are those of one process up to rounding,
except where a layer looks at the examples around: batch norm is synchronised on GPUs, where torch can, and else sees shares.
"""

import io
import multiprocessing
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from studies.errors import InputError
from studies.plan import Plan
from trainables.machine import settle
from trainables.recipe import layers
from trainables.recipe.large_batch import split
from trainables.supervised import Supervised, call, checked_loss, seed_everything
from trainables.task import Supervision, load_task
from trainables.trainable import Workload

NORMS = nn.modules.batchnorm._BatchNorm


class Member(Supervised):
    """One process's part in a training; the others do the same at the same time. `join` before training."""

    def join(self, rank: int, size: int) -> None:
        self._rank, self._size, self._weight = rank, size, 1.0
        if self.device != "cpu":
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # the same parameters in other layers
            self._still = layers.still(self.model, self.plan.recipe.freeze.names) if self.plan.recipe.freeze else ()
        self._shared = DistributedDataParallel(self.model)

    @property
    def approximations(self) -> tuple[str, ...]:
        told = "processes: batch norm sees each process's share of a batch, so this only approximates training in one"
        alone = any(isinstance(layer, NORMS) and not isinstance(layer, nn.SyncBatchNorm) for layer in self.model.modules())
        return (*super().approximations, *([told] if alone else []))

    def _gradients(self, inputs: Any, targets: Any) -> torch.Tensor:
        whole = len(targets)
        inputs, targets = (list(split(part, self._size))[self._rank] for part in (inputs, targets))
        seed_everything(self.plan.seed, self.step, f"process {self._rank}")  # dropout is another one in each
        self._weight = self._size * len(targets) / whole  # of which the mean over the processes is taken
        loss = super()._gradients(inputs, targets).detach() / self._size
        distributed.all_reduce(loss)
        return loss

    def _loss(self, inputs: Any, targets: Any) -> torch.Tensor:
        return self._weight * checked_loss(self.loss(call(self._shared, inputs), targets))


class Team:
    """The processes of one training, this one the first of them (trainables.trainable.Trainable). See `spread`."""

    def __init__(self, member: Member, others: list[Connection]):
        self._member, self._others = member, others
        self.approximations = member.approximations

    def train(self, steps: int, lr: float) -> float:
        self._tell("train", steps, lr)
        return self._member.train(steps, lr)

    def evaluate(self) -> Mapping[str, float]:
        return self._member.evaluate()

    def state(self) -> Mapping[str, Any]:
        return self._member.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self._tell("restore", buffer.getvalue())
        self._member.restore(state)

    def _tell(self, *order: Any) -> None:
        for other in self._others:
            other.send(order)


class Spread:
    """A Task's workload whose one training is carried out by a team."""

    def __init__(self, workload: Workload, member: Member, others: list[Connection]):
        self._workload, self._team = workload, Team(member, others)
        self.name, self.fingerprint, self.target = workload.name, workload.fingerprint, workload.target

    def trainable(self, plan: Plan, device: str) -> Team:
        return self._team


@contextmanager
def spread(workload: Workload, spec: str, data: str | None, plan: Plan, device: str, threads: int, size: int) -> Iterator[Spread]:
    """The workload (which spec and data name), to carry this one plan out once in so many processes, which last as long.

    Raises: InputError if it cannot be divided so.
    """
    if not isinstance(workload, Supervision):
        raise InputError(f"--processes: expected a Task, whose batches can be shared out; {workload.name} trains in its own way")
    if size > plan.batch_size:
        raise InputError(f"--processes: expected at most {plan.batch_size}, the batch size; got {size}")
    if device == "cuda" and size > torch.cuda.device_count():
        raise InputError(f"--processes: expected at most {torch.cuda.device_count()}, as many as there are GPUs; got {size}")
    context, others = multiprocessing.get_context("spawn"), []
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        started = []
        for rank in range(1, size):
            mine, theirs = context.Pipe()
            order = (theirs, spec, data, plan.model_dump_json(), device, threads, meeting, rank, size)
            started.append(context.Process(target=_follow, args=order, daemon=True))
            started[-1].start()
            theirs.close()
            others.append(mine)
        try:
            yield Spread(workload, _joined(workload, plan, device, meeting, 0, size), others)
        finally:
            for process in started:  # they have nothing that is not known here
                process.kill()
                process.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _joined(workload: Any, plan: Plan, device: str, meeting: str, rank: int, size: int) -> Member:
    """This process's part in the training of a Supervision's plan, once all have met."""
    own = device if device == "cpu" else f"cuda:{rank}"
    if own != "cpu":
        torch.cuda.set_device(own)
    backend = "gloo" if own == "cpu" else "nccl"
    distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=size)
    member = workload.trainable(plan, own, Member)
    member.join(rank, size)
    return member


def _follow(
    orders: Connection, spec: str, data: str | None, plan: str, device: Any, threads: int, meeting: str, rank: int, size: int
) -> None:
    """One of the other processes: do what the first one does, until that has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the first one
    settle(device, threads)
    member = _joined(load_task(spec, data), Plan.model_validate_json(plan), device, meeting, rank, size)
    while True:
        try:
            what, *values = orders.recv()
        except EOFError:
            return
        if what == "restore":
            member.restore(torch.load(io.BytesIO(values[0]), weights_only=True))
        else:
            member.train(*values)
