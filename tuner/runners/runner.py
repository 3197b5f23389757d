"""Who carries plans out? The seam between the method and the machines."""

from collections.abc import Callable, Sequence
from typing import Protocol

from studies.plan import Plan
from studies.trial import Progress


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
