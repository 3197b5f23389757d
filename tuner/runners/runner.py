"""Who carries plans out? The seam between the method and the machines."""

from collections.abc import Callable, Sequence
from typing import Protocol

from studies.errors import Interrupted
from studies.plan import Plan
from studies.trial import Progress, State

TRIES = 3
"""So many workers may die of a plan without getting on."""


class Runner(Protocol):
    """Carries plans out and reports, on however many machines.

    Every implementation gives the same results for the same plans: the same points at the same steps, failures alike.
    """

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None], company: Sequence[Plan] = ()) -> None:
        """Carry out all of the plans; return when each has been reported as ended.

        company: all that were wanted together with them, those carried out already included. What is fused depends on it,
        not on what an earlier run has left to do, so that a run that was cut off goes on to the same numbers.

        record is called in this process and thread; what it raises ends the run. A task that raises fails its own plan
        only (FAILED, with the traceback). Plans that share a beginning train it once.

        Raises: Interrupted when `stop` was called: every plan under way has been saved at a step.
        """

    def stop(self) -> None:
        """Ask a run under way to finish its steps and save. Safe in a signal handler."""

    def close(self) -> None:
        """Give back processes and memory. Twice is once."""


class Stoppable:
    """What runners have in common: a stop is answered by one Interrupted, by the run under way, else by the next."""

    _stopped = False

    def stop(self) -> None:
        self._stopped = True

    def _answer(self) -> None:
        """At a run's end. Raises: Interrupted if there was a stop."""
        if self._stopped:
            self._stopped = False
            raise Interrupted("stopped; everything is saved: run again to go on")


def given_up(plan: Plan, death: object) -> Progress:
    """What is told of a plan that has had its TRIES; death: what is known of the last one."""
    error = f"{TRIES} workers in a row died of this plan without getting on; the last: {death}"
    return Progress(plan, ended=State.FAILED, error=error)
