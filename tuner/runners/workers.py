"""Carry plans out in warm Ray workers: as many at once as the machines have room for."""

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from studies.errors import InputError, Interrupted
from studies.plan import Plan
from studies.trial import Progress, State
from tuner.runners import cluster
from tuner.runners.crew import Crew, Hand, WorkerDied
from tuner.runners.job import Agenda, Errand, Job

TRIES = 3  # deaths of a plan's workers without new progress
POLL_SECONDS = 0.1

log = logging.getLogger("tuner")


class RayRunner:
    """The default `Runner`: long-lived Ray actors that keep torch, the data and the task warm from stage to stage.

    address: an existing Ray cluster whose machines share this folder; None starts Ray here, for this process alone.
    workers: None takes as many as there is room for. gpus_per_trial: None measures how many trials fit on a GPU.
    Ray and the workers start in the background, so what is wrong with them comes out of `run`: TuneError, or
    InputError where what was asked for cannot be had. A stop is answered by one Interrupted: by the run under way,
    else by the next. A worker that dies is replaced, and its plan tried again from its checkpoint; a plan whose
    workers die three times without getting on has FAILED.
    """

    def __init__(self, job: Job, address: str | None = None, workers: int | None = None, gpus_per_trial: float | None = None):
        if workers is not None and workers < 1:
            raise InputError(f"--workers: expected 1 or more, got {workers}")
        if gpus_per_trial is not None and not (0 < gpus_per_trial <= 1 or gpus_per_trial == int(gpus_per_trial) >= 1):
            raise InputError(f"--gpus-per-trial: expected a fraction of 1, or a whole number; got {gpus_per_trial}")
        self._job, self._workers, self._gpus = job, workers, gpus_per_trial
        self._stopped = False
        self._closed = False
        self._runs = 0
        self._shares: dict[tuple[str, int], float] = {}
        cluster.start(address, workers and workers * job.threads)
        self._crew: Future[Crew] = Future()
        threading.Thread(target=self._hire, name="hire", daemon=True).start()

    def _hire(self) -> None:
        try:
            cluster.start().wait()
            slots = cluster.slots(cluster.machines(), self._job.threads, self._gpus, self._job.device, self._workers)
            self._crew.set_result(Crew(self._job, slots))
        except BaseException as error:
            self._crew.set_exception(error)
        if self._closed:
            self._leave()

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None]) -> None:
        if crew := self._await_crew():
            self._runs += 1
            run = _Run(self._runs, crew, Agenda(plans), record, self._gpus, self._shares)
            try:
                run.work(lambda: self._stopped)
            finally:
                run.abandon()
        if self._stopped:
            self._stopped = False
            raise Interrupted("stopped; everything is saved: run again to go on")

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._crew.done():  # else as soon as it is, so that nobody has to wait for a start in order to leave
                self._leave()

    def _leave(self) -> None:
        if not self._crew.exception():
            self._crew.result().dismiss()
        cluster.stop()

    def _await_crew(self) -> Crew | None:
        """The workers, when Ray has started; None if we are stopped before."""
        while not self._stopped:
            with contextlib.suppress(TimeoutError):
                return self._crew.result(POLL_SECONDS)
        return None


class _Run:
    """One run: what is still to be done, who does it, and how often its workers died of it.

    share: fixed part of a GPU per plan; None measures it, once for each (optimizer, batch size), into shares.
    """

    def __init__(
        self,
        number: int,
        crew: Crew,
        agenda: Agenda,
        record: Callable[[Progress], None],
        share: float | None,
        shares: dict[tuple[str, int], float],
    ):
        self._number, self._crew, self._agenda, self._record = number, crew, agenda, record
        self._share, self._shares = share, shares
        self._deaths: dict[Plan, tuple[float, int]] = {}

    def _busy(self) -> list[Hand]:
        return [hand for hand in self._crew.hands if hand.errand]

    def work(self, stopped: Callable[[], bool]) -> None:
        """Until nothing is left to do, or those at work have saved after a stop."""
        stopping = False
        while self._busy() or (self._agenda and not stopping):
            if stopped() and not stopping:
                stopping = True
                self._call_off()
            if not stopping:
                self._hand_out()
            self._crew.listen(POLL_SECONDS)

    def abandon(self) -> None:
        """Have those still at work stop, and hear no more of it."""
        self._call_off()
        for hand in self._busy():
            hand.hear, hand.errand = _ignore, None

    def _call_off(self) -> None:
        for hand in self._busy():
            hand.actor.stop.remote(self._number)

    def _hand_out(self) -> None:
        while (idle := self._crew.idle()) and (errand := self._agenda.take()):
            hand = min(idle, key=lambda hand: self._crew.load(hand.gpu))
            if not self._seat(hand, errand):
                self._agenda.put_back(errand)
                return

    def _seat(self, hand: Hand, errand: Errand) -> bool:
        """Begin the errand if the GPU has room for it; a batch size not met before is measured first, on an empty GPU."""
        load, share = self._crew.load(hand.gpu), 0.0
        if hand.gpu:
            share = min(1.0, self._share) if self._share else self._shares.get(_kind(errand.plan), 1.0)
        if load + share > 1 + 1e-6:
            return False
        if hand.gpu and not self._share and _kind(errand.plan) not in self._shares:
            hand.ask(hand.actor.gpu_share.remote(errand.plan), self._measured, errand, share)
        else:
            hand.ask(hand.actor.carry_out.remote(errand, self._number), self._reported, errand, share)
        return True

    def _measured(self, hand: Hand, said: float | WorkerDied) -> None:
        if isinstance(said, WorkerDied):
            self._died(hand.errand, said)
            return
        self._shares[_kind(hand.errand.plan)] = said
        self._agenda.put_back(hand.errand)
        hand.rest()

    def _reported(self, hand: Hand, said: Progress | WorkerDied) -> None:
        if isinstance(said, WorkerDied):
            self._died(hand.errand, said)
        elif said.ended is State.FAILED and "OutOfMemoryError" in said.error and hand.share < 1 and not self._share and hand.gpu:
            self._shares[_kind(said.plan)] = min(1.0, 2 * hand.share)  # once more with twice the room, at last alone
            self._agenda.put_back(hand.errand)
        else:
            if said.ended:
                hand.rest()  # nothing follows; the next errand need not wait for the stream's own end
            self._tell(said)

    def _died(self, errand: Errand, death: WorkerDied) -> None:
        """Try again, unless its workers have died too often without getting on."""
        reached = self._agenda.reached(errand.plan)
        before, deaths = self._deaths.get(errand.plan, (-1.0, 0))
        deaths = deaths + 1 if reached <= before else 1
        self._deaths[errand.plan] = reached, deaths
        if deaths < TRIES:
            log.warning("%s; its plan goes on from its checkpoint in another worker", death.what)
            self._agenda.put_back(errand)
        else:
            error = f"{deaths} workers in a row died of this plan without getting on; the last: {death}"
            self._tell(Progress(errand.plan, ended=State.FAILED, error=error))

    def _tell(self, progress: Progress) -> None:
        self._agenda.note(progress)
        self._record(progress)


def _kind(plan: Plan) -> tuple[str, int]:
    """What the memory of a plan depends on."""
    return plan.optimizer, plan.batch_size


def _ignore(hand: Hand, said: Any) -> None:
    """Of a run that is over."""
