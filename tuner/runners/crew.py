"""Who works for this driver, and what do they have to say?"""

import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from studies.errors import TuneError
from studies.failpoints import failpoint
from tuner.runners.cluster import Slots, tell_no_cuda
from tuner.runners.job import Errand, Job
from tuner.runners.probe import Probe
from tuner.runners.worker import Worker

TAIL_BYTES = 2000
PATIENCE_SECONDS = 30

log = logging.getLogger("tuner")


class WorkerDied(Exception):
    """Its process is gone. what: which one, in a line; the message goes on with the end of what it had printed. late: it was
    ended because nothing had been heard of it for too long."""

    def __init__(self, what: str, log: Path, late: bool):
        self.what, self.late = what, late
        super().__init__(f"{what}; the end of its log {log}:\n{_tail(log) or '(empty)'}")


def _tail(log: Path) -> str:
    """The last of it; of a crash that Python itself tells of, what it tells first: where."""
    try:
        text = log.read_bytes()[-10 * TAIL_BYTES :].decode(errors="replace")
    except OSError:
        return ""
    _, crash, where = text.rpartition("Fatal Python error")
    return (crash + where)[:TAIL_BYTES].strip() if crash else text[-TAIL_BYTES:].strip()


@dataclass(eq=False)
class Hand:
    """A worker as its driver knows it.

    waits: the answer that is expected of it, or the stream of them; None while it is idle. hear: what to do with one.
    cohort: what it carries out. gpu: its name, "" if none; card: what kind that is. share: the part of that GPU's memory one
    of its errands by itself may take; load: the part they take together; resident: the part that it keeps while it rests.
    heard: when something was last heard of it, by time.monotonic(). late: ended.
    """

    actor: Any
    log: Path
    waits: Any
    hear: Callable[["Hand", Any], None]
    name: str = "a process"
    gpu: str = ""
    card: str = ""
    cohort: tuple[Errand, ...] = ()
    share: float = 0.0
    load: float = 0.0
    resident: float = 0.0
    heard: float = 0.0
    late: bool = False

    def ask(self, answer: Any, hear: Callable[["Hand", Any], None], cohort: Sequence[Errand], memory: Probe) -> None:
        self.waits, self.hear, self.cohort, self.heard = answer, hear, tuple(cohort), time.monotonic()
        self.share, self.load = memory.gpu_share, memory.taken(len(cohort))
        self.resident = max(self.resident, memory.resident)

    def rest(self) -> None:
        self.waits, self.cohort, self.share, self.load = None, (), 0.0, 0.0


class Crew:
    """The workers of one driver; each that dies is replaced. timeout: seconds without a report after which one that is at work
    is ended; None: never. parts: how many of them really work at the same time."""

    def __init__(self, job: Job, slots: Slots, timeout: float | None = None):
        self._job, self._slots, self._timeout = job, slots, timeout or math.inf
        self._numbers = itertools.count()
        self._stillborn = 0
        self._complain = time.monotonic() + PATIENCE_SECONDS
        self.parts = slots.parts
        self.hands = [self._hire() for _ in range(slots.workers)]

    def idle(self) -> list[Hand]:
        return [hand for hand in self.hands if hand.waits is None]

    def load(self, gpu: str) -> float:
        """The part of the GPU's memory that those at work on it may take."""
        return sum(hand.load for hand in self.hands if hand.gpu == gpu)

    def free(self, hand: Hand) -> float:
        """The part of its GPU's memory that the others there leave to it, those that rest included."""
        others = [other for other in self.hands if other.gpu == hand.gpu and other is not hand]
        return 1.0 - sum(max(other.load, other.resident) for other in others)

    def relieve(self, hand: Hand) -> None:
        """Have the others that rest on its GPU end, and with them what they keep there; until that is heard of them, it is not
        free. Who comes in their place holds nothing before it is at work."""
        for other in self.idle():
            if other.gpu == hand.gpu and other.resident and other is not hand:
                other.waits, other.hear = other.actor.leave.remote(), ignore

    def listen(self, seconds: float) -> None:
        """Let everyone who has something to say be heard; wait so long for the first.

        Raises: what a worker raised; WorkerDied is given to its `hear` instead.
        """
        waiting = {hand.waits: hand for hand in self.hands if hand.waits is not None}
        if not waiting:
            return
        for hand in self.hands:
            if hand.cohort and not hand.late and time.monotonic() - hand.heard > self._timeout:
                hand.late = True
                ray.kill(hand.actor)
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=seconds)
        if time.monotonic() > self._complain:
            self._complain = math.inf
            log.warning("still waiting for room on the Ray cluster: %d CPUs and %g GPUs", self._slots.cpus, self._slots.gpus)
        if ready:
            ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for answer in ready:
            self._hear(waiting[answer])

    def _hear(self, hand: Hand) -> None:
        try:
            streams = isinstance(hand.waits, ray.ObjectRefGenerator)
            said = ray.get(next(hand.waits) if streams else hand.waits)
        except StopIteration:
            hand.rest()
        except RayActorError:
            ray.kill(hand.actor)  # it may be merely out of reach
            self.hands[self.hands.index(hand)] = self._hire()
            silent = f"was ended: nothing was heard of its trial for {self._timeout:g} s (--trial-timeout)"
            what = silent if hand.late else "died (killed, out of memory, or crashed in native code)"
            hand.hear(hand, WorkerDied(f"{hand.name} {what}", hand.log, hand.late))
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, TuneError) else error) from None
        else:
            failpoint("worker.heard")
            hand.heard = time.monotonic()
            hand.hear(hand, said)

    def dismiss(self) -> None:
        for hand in self.hands:
            ray.kill(hand.actor)
        self.hands = []

    def _hire(self) -> Hand:
        path = self._job.folder.absolute() / "workers" / f"{next(self._numbers)}.log"
        actor = Worker.options(num_cpus=self._slots.cpus, num_gpus=self._slots.gpus).remote(self._job, Path.cwd(), path)
        failpoint("worker.hired")
        return Hand(actor, path, actor.arrive.remote(), self._arrived)

    def _arrived(self, hand: Hand, said: Any) -> None:
        if isinstance(said, WorkerDied):
            self._stillborn += 1
            if self._stillborn > len(self.hands):  # more than one machine's loss can explain
                raise TuneError(f"the workers do not start: {said}")
            return
        hand.name, hand.gpu, hand.card = said
        if self._slots.gpus and not hand.gpu:
            tell_no_cuda(hand.name.rpartition(" ")[2])
        hand.rest()
        self._stillborn, self._complain = 0, math.inf


def ignore(hand: Hand, said: Any) -> None:
    """Nobody asks any more."""
