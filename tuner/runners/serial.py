"""Carry plans out in this process, one after another: for debugging and tests."""

from collections.abc import Callable, Sequence
from functools import cached_property

from studies.plan import Plan
from studies.trial import Progress
from tuner.runners.bench import Bench
from tuner.runners.job import Agenda, Errand, Job
from tuner.runners.probe import Probes, out_of_memory
from tuner.runners.runner import Stoppable


class SerialRunner(Stoppable):
    """A `Runner` without workers."""

    def __init__(self, job: Job):
        self._job = job

    @cached_property
    def _bench(self) -> Bench:
        return Bench(self._job)

    @cached_property
    def _probes(self) -> Probes:
        return Probes(self._job, parts=1).on(self._bench.card)

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None], company: Sequence[Plan] = ()) -> None:
        agenda = Agenda(plans, company)
        while not self._stopped and (ready := agenda.ready()):
            cohort, fused = self._cohort(ready[0], agenda.company(ready[0][0].plan))
            agenda.begin(cohort)
            share = self._probes.memory(cohort[0].plan).gpu_share
            for progress in self._bench.carry_out(cohort, fused, lambda: self._stopped):
                if out_of_memory(progress) and len(cohort) > 1 and self._probes.crowded(progress.plan, share):
                    agenda.put_back(next(errand for errand in cohort if errand.plan == progress.plan))
                    continue
                record(progress)
                agenda.note(progress)
        self._answer()

    def _cohort(self, ready: list[Errand], company: list[Plan]) -> tuple[list[Errand], bool]:
        """Which of these go now, and whether fused."""
        if self._probes.fused(company) is None:
            self._probes.keep(company[0], self._bench.probe(company))
        if not self._probes.fused(company):
            return ready[:1], False
        return ready[: self._probes.memory(ready[0].plan).room()], True

    def close(self) -> None:
        if bench := self.__dict__.pop("_bench", None):
            bench.close()
