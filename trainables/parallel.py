"""How is one training spread over several processes, with the result of one? Each takes its share of every batch (text 003).

Goyal et al. 2017 (arXiv:1706.02677, 3): the loss is normalised over the whole batch, not over a process's share; and one shuffle
an epoch is divided among all. So gradients, averaged by torch's DistributedDataParallel, are those of one process up to rounding,
except where a layer looks at the examples around: batch norm is synchronised on GPUs, where torch can, and else sees shares.
"""

import hashlib
import io
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from studies.errors import InputError, TaskError
from studies.plan import Plan
from studies.scratch import own_folder
from trainables.eager import eager
from trainables.machine import end_with, kind_of, settle
from trainables.randomness import seed_everything
from trainables.recipe import layers
from trainables.recipe.large_batch import split
from trainables.split import count_of
from trainables.supervised import Supervised, call
from trainables.task import Supervision, check_unedited, load_task
from trainables.trainable import Workload

LOST = "of its processes died (killed, out of memory, or crashed in native code)"
"""What a training's error says then; its last state is as good as ever."""

LAST_WORDS_SECONDS = 1.0
"""So long may it take until one that has ended is seen to have."""

NORMS = nn.modules.batchnorm._BatchNorm


class Member(Supervised):
    """One process's part in a training; the others do the same at the same time. `join` before training.

    rank, size: which one of how many. synchronised: batch norm sees whole batches, which torch can on GPUs only.

    Raises: InputError, too, if there are more processes than examples in a batch.
    """

    def __init__(self, *given: Any, rank: int = 0, size: int, synchronised: bool):
        super().__init__(*given)
        if size > self.plan.batch_size:
            raise InputError(f"--processes: expected at most {self.plan.batch_size}, the batch size; got {size}")
        self._rank, self._size, self._weight = rank, size, 1.0
        if synchronised:
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # the same parameters in other layers
            self.still = layers.still(self.model, self.plan.recipe.freeze.names) if self.plan.recipe.freeze else ()

    def join(self) -> None:
        """Meet the others, who stand where this one does, and do the same now."""
        # Also where none is unused: the gradients then keep their places in what is sent, on which a sum of three depends.
        with eager():
            self._shared = DistributedDataParallel(self.model, find_unused_parameters=True)

    @property
    def approximations(self) -> tuple[str, ...]:
        told = "processes: batch norm sees each process's share of a batch, so this only approximates training in one"
        alone = any(isinstance(layer, NORMS) and not isinstance(layer, nn.SyncBatchNorm) for layer in self.model.modules())
        return (*super().approximations, *([told] if alone else []))

    def _gradients(self, inputs: Any, targets: Any) -> torch.Tensor:
        whole = count_of(targets)
        inputs, targets = (list(split(part, self._size))[self._rank] for part in (inputs, targets))
        seed_everything(self.plan.seed, self.step, f"process {self._rank}")  # dropout is another one in each
        self._weight = self._size * count_of(targets) / whole  # of which the mean over the processes is taken
        loss = super()._gradients(inputs, targets).detach() / self._size
        distributed.all_reduce(loss)
        return loss

    def _pieces(self) -> int:
        return min(super()._pieces(), self.plan.batch_size // self._size)  # as many in each, also where shares are uneven

    def _outputs(self, inputs: Any) -> Any:
        return call(self._shared, inputs)

    def _measured(self) -> float:
        value = torch.tensor(super()._measured() if self._rank == 0 else 0.0, dtype=torch.float64, device=self.device)
        distributed.broadcast(value, 0)  # batch norm may have seen other examples in each
        return float(value)

    def _loss(self, inputs: Any, targets: Any) -> torch.Tensor:
        return self._weight * super()._loss(inputs, targets)


class Leader(Member):
    """The first process's part, which the others follow (trainables.trainable.Trainable)."""

    def __init__(self, *given: Any, others: "Others", **more: Any):
        super().__init__(*given, **more)
        self._others, self.teachers = others, tuple[Supervised, ...]()

    def train(self, steps: int, lr: float) -> float:
        with self._others.following(self):
            self._others.tell("train", steps, lr)
            return super().train(steps, lr)

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._others.leave(self)

    def enlist(self, teachers: Sequence[Supervised]) -> None:
        super().enlist(teachers)
        self.teachers = tuple(teachers)
        self._others.leave(self)


class Others:
    """The processes beside this one: each has the task loaded, and follows one leader at a time.

    What is raised in a training ends them, as some may wait for the rest; the next one starts them anew. They end by themselves
    when this process does, however that comes.
    """

    def __init__(
        self, spec: str, data: str | None, fingerprint: str, device: str, threads: int, size: int, readers: int | None = None
    ):
        self._task, self._device, self._threads, self._size = (spec, data, readers, fingerprint), device, threads, size
        self._orders: list[Connection] = []
        self._leader: Leader | None = None
        self._ours = ExitStack()

    @contextmanager
    def following(self, leader: Leader) -> Iterator[None]:
        """Within it they stand where the leader does, and do what they are told at the same time as it."""
        try:
            self.start()
            if self._leader is not leader:
                teachers = [(teacher.plan, teacher.state()) for teacher in leader.teachers]
                self.tell("follow", leader.plan, _packed(leader.state()), [(plan, _packed(state)) for plan, state in teachers])
                leader.join()
                self._leader = leader
            yield
            if wait(self._orders, 0):  # what was computed without it is worth nothing
                raise ChildProcessError("one of the processes that share the training has ended")
        except BaseException as error:
            for words in self._last_words():
                error.add_note(words)
            self.close()
            raise

    def tell(self, *order: Any) -> None:
        for orders in self._orders:
            orders.send(order)

    def leave(self, leader: Leader) -> None:
        """They no longer stand where this leader does."""
        if self._leader is leader:
            self._leader = None

    def close(self) -> None:
        self._ours.close()
        self._orders, self._leader = [], None

    def start(self) -> None:
        """Unless they have been. Raises: TaskError if the task cannot be loaded there."""
        if self._orders:
            return
        context = multiprocessing.get_context("spawn")
        meeting = str(Path(self._ours.enter_context(own_folder("tune-team-"))) / "meeting")
        watch = threading.Thread(target=_watch, args=(self._orders,), daemon=True)
        self._ours.callback(_part, watch)
        for rank in range(1, self._size):
            mine, theirs = context.Pipe()
            order = (theirs, self._task, self._device, self._threads, meeting, rank, self._size)
            process = context.Process(target=_follow, args=order, daemon=True)
            process.start()
            theirs.close()
            self._ours.callback(_kill, process)
            self._orders.append(mine)
        for orders in self._orders:
            try:
                said = orders.recv()
            except EOFError:
                said = f"one {LOST}, while it was started"
            if said != "ready":
                raise TaskError(said.splitlines()[-1], said)
        _meet(self._device, meeting, 0, self._size)
        watch.start()

    def _last_words(self) -> Iterator[str]:
        """What those said who have ended by themselves, if any did; last who could not say anything."""
        said, lost = wait(self._orders, LAST_WORDS_SECONDS), []
        for rank, orders in enumerate(self._orders, 1):
            if orders in said:
                try:
                    yield f"process {rank} of {self._size}: {orders.recv().strip()}"
                except (EOFError, ConnectionError):
                    lost.append(f"one {LOST}: {rank} of {self._size}")
        yield from lost


class Spread:
    """A Task as a workload whose trainings are each shared by several processes; in all else it is the one that it is made of.

    fingerprint: another one than for one process, and for each number, since sums are rounded in their own way.
    """

    def __init__(self, workload: Supervision, others: Others, size: int, synchronised: bool):
        self._workload, self.others = workload, others
        self._kind = partial(Leader, others=others, size=size, synchronised=synchronised)
        self.fingerprint = hashlib.sha256(f"{workload.fingerprint} in {size} processes".encode()).hexdigest()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workload, name)

    def trainable(self, plan: Plan, device: str) -> Leader:
        return self._workload.trainable(plan, device, self._kind)


def load_spread(
    spec: str, data: str | None, processes: int = 1, device: str = "auto", threads: int = 1, readers: int | None = None
) -> Workload:
    """The workload that `--task` names (see load_task); each of its trainings by so many processes, on this kind of device.

    Raises: InputError, too, if its trainings cannot be divided.
    """
    workload = load_task(spec, data, readers)
    if processes == 1:
        return workload
    if not isinstance(workload, Supervision):
        raise InputError(f"--processes: expected a Task, whose batches can be shared out; {workload.name} trains in its own way")
    device = kind_of(device)
    others = Others(spec, data, workload.fingerprint, device, threads, processes, readers)
    return Spread(workload, others, processes, synchronised=device != "cpu")


@contextmanager
def gathered(workload: Workload) -> Iterator[None]:
    """Within it the processes are there that share the workload's trainings, if it has any.

    Raises: TaskError if the task cannot be loaded there.
    """
    if not isinstance(workload, Spread):
        yield
        return
    try:
        workload.others.start()
        yield
    finally:
        workload.others.close()


def _meet(device: str, meeting: str, rank: int, size: int) -> None:
    """Become one of a group, once all have come."""
    if device != "cpu":
        torch.cuda.set_device(rank)
    backend = "gloo" if device == "cpu" else "nccl"
    distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=size)
    with eager():  # at the first use of all the class asks for the compiler once more
        DistributedDataParallel(nn.Linear(1, 1).to(device))(torch.zeros(1, 1, device=device))


def _watch(others: Sequence[Connection]) -> None:
    """Wait for one of the others to end, or to say why it will; from then on nobody here waits for them."""
    wait(others)
    _abort()


def _abort() -> None:
    """Give up what is under way in the group: NCCL would wait for one that has gone, which gloo hears of by itself."""
    if distributed.is_initialized() and distributed.get_backend() == "nccl":
        distributed.distributed_c10d._abort_process_group()  # to destroy it would wait as well


def _part(watch: threading.Thread) -> None:
    """Leave the group, if this process has become one of it; the others have gone."""
    if watch.is_alive():
        watch.join()
    _abort()
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _kill(process: multiprocessing.process.BaseProcess) -> None:
    process.kill()  # it has nothing that is not known here
    process.join()


def _follow(
    orders: Connection,
    task: tuple[str, str | None, int | None, str],
    device: Any,
    threads: int,
    meeting: str,
    rank: int,
    size: int,
) -> None:
    """One of the other processes: do what the first one does, until that has gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the first one
    end = end_with(multiprocessing.parent_process().pid)
    try:
        spec, data, readers, fingerprint = task
        multiprocessing.current_process()._config["daemon"] = False  # it would be allowed no readers
        workload = load_task(spec, data, readers)
        check_unedited(workload, spec, fingerprint)
        orders.send("ready")
        _meet(device, meeting, rank, size)
        own = device if device == "cpu" else f"cuda:{rank}"
        kind = partial(Member, rank=rank, size=size, synchronised=device != "cpu")
        for what, *values in _received(orders):
            if what == "follow":
                settle(device, threads)
                member = _follower(workload, own, kind, *values)
            else:
                member.train(*values)
        end.join()
    except BaseException:
        with suppress(OSError):  # it has gone
            orders.send(traceback.format_exc())
    os._exit(1)  # at once, whatever the task has left running: others wait


def _received(orders: Connection) -> Iterator[Any]:
    with suppress(EOFError, ConnectionError):
        while True:
            yield orders.recv()


def _follower(workload: Supervision, device: str, kind: Any, plan: Plan, state: bytes, teachers: Any) -> Member:
    """The same as the leader, in the same place."""
    member = workload.trainable(plan, device, kind)
    member.restore(_unpacked(state))
    others = []
    for known, end in teachers:
        others.append(workload.trainable(known, device))
        others[-1].restore(_unpacked(end))
    if others:
        member.enlist(others)
    member.join()
    return member


def _packed(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _unpacked(state: bytes) -> Any:
    return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
