"""How does reading keep up with a training? Processes read the next batches while this one is trained on, by torch's DataLoader.

What they read is what this process would have read: they are told by which key the generators are seeded, and say where these
stand afterwards.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from trainables.machine import end_with
from trainables.randomness import Place, seed_everything

Order = tuple[tuple[int | str, ...] | None, torch.Tensor]
"""What generators are to be seeded by, None: not anew; and the indices of the examples, shape (batch,)."""

BATCHES = 2
"""That each process may be ahead."""


class Readers:
    """So many processes, from the first order on, which read for whoever has asked last.

    read: the batch of these examples, as one of the processes calls it.
    """

    def __init__(self, read: Callable[[torch.Tensor], Any], count: int):
        self._orders = _Orders()
        self._loader = DataLoader(
            _Carried(read),
            batch_size=None,
            sampler=self._orders,  # type: ignore[arg-type]
            num_workers=count,
            prefetch_factor=BATCHES,
            persistent_workers=True,
            collate_fn=_as_it_is,
            multiprocessing_context="fork",  # a task's file need not be a module that others could import
            worker_init_fn=_leave_stopping_to_others,
            generator=torch.Generator(),  # else this process' own one would be drawn from
        )

    def fill(self, orders: Iterable[Order]) -> Iterator[tuple[Any, Place | None]]:
        """The batches, in order; and where the generators stood then, if reading has drawn from them.

        Raises: what reading raises, in other words; an error of the system's if a process has died.
        """
        self._orders.given, begun = orders, Future[Iterator]()
        # Asked in the main thread, torch has a process that dies raise in the midst of whatever that does. (A pool's thread would
        # be the main thread of those processes, and be waited for there by itself.)
        threading.Thread(target=self._begin, args=(begun,)).start()
        yield from begun.result()

    def _begin(self, begun: Future[Iterator]) -> None:
        try:
            begun.set_result(iter(self._loader))
        except BaseException as error:
            begun.set_exception(error)


@dataclass
class _Orders:
    """What has been ordered last."""

    given: Iterable[Order] = ()

    def __iter__(self) -> Iterator[Order]:
        return iter(self.given)


@dataclass(frozen=True)
class _Carried(Dataset):
    """The orders, carried out."""

    read: Callable[[torch.Tensor], Any]

    def __getitem__(self, order: Order) -> tuple[Any, Place | None]:
        key, indices = order
        if key is not None:
            seed_everything(*key)
        before = Place()
        batch = self.read(indices)
        after = Place()
        return batch, None if after == before else after


def _as_it_is(answer: Any) -> Any:
    return answer


def _leave_stopping_to_others(_worker: int) -> None:
    """Ctrl-C is for the process that trains, which goes on for a step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(os.getppid())  # it shares what that one holds on a GPU
