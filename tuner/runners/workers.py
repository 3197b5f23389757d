"""Carry plans out in warm Ray workers: as many at once as the machines have room for."""

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from studies.plan import Plan
from studies.trial import Progress, State
from tuner.runners import cluster
from tuner.runners.crew import Crew, Hand, WorkerDied, ignore
from tuner.runners.job import Agenda, Errand, Job
from tuner.runners.probe import Probe, Probes, out_of_memory
from tuner.runners.runner import TRIES, Stoppable, given_up

POLL_SECONDS = 0.1

log = logging.getLogger("tuner")


class RayRunner(Stoppable):
    """The default `Runner`: long-lived Ray actors that keep torch, the data and the task warm from stage to stage.

    address: an existing Ray cluster whose machines share this folder; None starts Ray here, for this process alone.
    workers: None takes as many as there is room for. gpus_per_trial: None measures how many trials fit on a GPU.
    trial_timeout: seconds; a trial that has reported nothing for so long has FAILED, and its worker is ended.
    Ray and the workers start in the background, so what is wrong with them comes out of `run`: TuneError, or
    InputError where what was asked for cannot be had. A worker that dies is replaced, and its plan tried again from its
    checkpoint; a plan whose workers die three times without getting on has FAILED.
    """

    def __init__(
        self,
        job: Job,
        address: str | None = None,
        workers: int | None = None,
        gpus_per_trial: float | None = None,
        trial_timeout: float | None = None,
    ):
        self._job, self._workers, self._gpus, self._timeout = job, workers, gpus_per_trial, trial_timeout
        self._closed = False
        self._runs = 0
        cluster.start(address, workers and workers * job.cpus)
        self._crew: Future[Crew] = Future()
        threading.Thread(target=self._hire, name="hire", daemon=True).start()

    def _hire(self) -> None:
        try:
            cluster.start().wait()
            slots = cluster.slots(cluster.machines(), self._job, self._gpus, self._workers)
            self._crew.set_result(Crew(self._job, slots, self._timeout))
        except BaseException as error:
            self._crew.set_exception(error)
        if self._closed:
            self._leave()

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None], company: Sequence[Plan] = ()) -> None:
        if crew := self._await_crew():
            self._runs += 1
            probes = Probes(self._job, crew.parts, self._gpus)
            run = _Run(self._runs, crew, Agenda(plans, company), record, probes)
            try:
                run.work(lambda: self._stopped)
            finally:
                run.abandon()
        self._answer()

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

    alone: plans that may have killed a worker in company.
    """

    def __init__(self, number: int, crew: Crew, agenda: Agenda, record: Callable[[Progress], None], probes: Probes):
        self._number, self._crew, self._agenda, self._record, self._probes = number, crew, agenda, record, probes
        self._alone: set[Plan] = set()
        self._deaths: dict[Plan, tuple[float, int]] = {}

    def _busy(self) -> list[Hand]:
        return [hand for hand in self._crew.hands if hand.cohort]

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
            hand.hear, hand.cohort = ignore, ()

    def _call_off(self) -> None:
        for hand in self._busy():
            hand.actor.stop.remote(self._number)

    def _hand_out(self) -> None:
        while idle := self._crew.idle():
            hand = min(idle, key=lambda hand: (self._crew.load(hand.gpu), -hand.resident))
            free = {other.gpu or other for other in idle if not self._crew.load(other.gpu)}  # on one GPU they take turns
            if not any(self._seat(hand, ready, len(free) or 1) for ready in self._agenda.ready()):
                return

    def _seat(self, hand: Hand, ready: list[Errand], free: int) -> bool:
        """Begin some of these errands, as many fused as are this worker's part and as the GPU has room for; what has not been
        met before is probed first, while nobody else is at work on the GPU. What it has no room for beside those that rest
        there waits until they are gone."""
        plan, probes = ready[0].plan, self._probes.on(hand.card)
        company, memory = self._agenda.company(plan), probes.memory(plan) if hand.gpu else Probe()
        fused, busy = probes.fused(company), self._crew.load(hand.gpu) > 0
        if fused is None or (hand.gpu and not memory.gpu_share):
            if busy or any(other.hear == self._probed for other in self._busy()):
                return False
            each = max(1, len(company) // self._crew.parts)
            whole = Probe(gpu_share=1.0) if hand.gpu else memory
            self._begin(hand, hand.actor.probe.remote(company[:each]), self._probed, ready[:1], whole)
            return True
        part = min(math.ceil(len(ready) / free), math.ceil(len(company) / self._crew.parts))
        cohort = [errand for errand in ready if errand.plan not in self._alone][:part] if fused else []
        cohort = (cohort or ready[:1])[: memory.room(self._crew.free(hand))]
        if cohort:
            self._begin(hand, hand.actor.carry_out.remote(cohort, fused, self._number), self._reported, cohort, memory)
        elif not busy:
            self._crew.relieve(hand)
        return bool(cohort)

    def _begin(self, hand: Hand, answer: Any, hear: Callable[[Hand, Any], None], cohort: list[Errand], memory: Probe) -> None:
        self._agenda.begin(cohort)
        hand.ask(answer, hear, cohort, memory)

    def _probed(self, hand: Hand, said: Probe | WorkerDied) -> None:
        if isinstance(said, WorkerDied):
            self._died(hand.cohort, said)
            return
        [errand] = hand.cohort
        self._probes.on(hand.card).keep(errand.plan, said)
        hand.resident = max(hand.resident, said.resident)
        self._agenda.put_back(errand)
        hand.rest()

    def _reported(self, hand: Hand, said: Progress | WorkerDied) -> None:
        if isinstance(said, WorkerDied):
            self._died(hand.cohort, said)
            return
        share = hand.share
        if said.ended:
            [errand] = (errand for errand in hand.cohort if errand.plan == said.plan)
            hand.cohort = tuple(other for other in hand.cohort if other is not errand)
            if not hand.cohort:
                hand.rest()  # nothing follows; the next cohort need not wait for the stream's own end
            if hand.gpu and out_of_memory(said) and self._probes.on(hand.card).crowded(said.plan, share):
                self._agenda.put_back(errand)  # once more with twice the room, at last alone
                return
        self._tell(said)

    def _died(self, cohort: Sequence[Errand], death: WorkerDied) -> None:
        """Try again, each by itself if they were several; unless a plan's workers have died too often without getting on."""
        if len(cohort) > 1:
            log.warning("%s; its %d plans go on from their checkpoints, each by itself", death.what, len(cohort))
            self._alone |= {errand.plan for errand in cohort}
            for errand in cohort:
                self._agenda.put_back(errand)
            return
        for errand in cohort:
            reached = self._agenda.reached(errand.plan)
            before, deaths = self._deaths.get(errand.plan, (-1.0, 0))
            deaths = deaths + 1 if reached <= before else 1
            self._deaths[errand.plan] = reached, deaths
            if death.late:
                self._tell(Progress(errand.plan, ended=State.FAILED, error=str(death)))
            elif deaths < TRIES:
                log.warning("%s; its plan goes on from its checkpoint in another worker", death.what)
                self._agenda.put_back(errand)
            else:
                self._tell(given_up(errand.plan, death))

    def _tell(self, progress: Progress) -> None:
        self._agenda.note(progress)
        self._record(progress)
