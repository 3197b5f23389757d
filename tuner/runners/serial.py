"""Carry plans out in this process, one after another: for debugging and tests."""

from collections.abc import Callable, Sequence
from functools import cached_property

from studies.errors import Interrupted
from studies.plan import Plan
from studies.trial import Progress
from tuner.runners.bench import Bench
from tuner.runners.job import Agenda, Job


class SerialRunner:
    """A `Runner` without other processes. A stop is answered by one Interrupted: by the run under way, else by the next."""

    def __init__(self, job: Job):
        self._job = job
        self._stopped = False

    @cached_property
    def _bench(self) -> Bench:
        return Bench(self._job)

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None]) -> None:
        agenda = Agenda(plans)
        while not self._stopped and (errand := agenda.take()):
            for progress in self._bench.carry_out(errand, lambda: self._stopped):
                record(progress)
                agenda.note(progress)
        if self._stopped:
            self._stopped = False
            raise Interrupted("stopped; everything is saved: run again to go on")

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.__dict__.pop("_bench", None)
