"""What does a worker do, in its own process, on whatever machine Ray has put it?"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import ray

from studies.failpoints import failpoint
from studies.plan import Plan
from studies.trial import Progress
from tuner.runners.bench import Bench, check_whole, mortal, settle_in
from tuner.runners.job import Errand, Job
from tuner.runners.probe import Probe


@ray.remote(max_restarts=0, concurrency_groups={"beside": 1})
class Worker:
    """One warm bench, one cohort at a time; what the task prints goes to the worker's own log.

    Nothing reaches an errand under way but `stop`, which runs beside it.
    """

    def __init__(self, job: Job, folder: Path, log: Path):
        self._job, self._folder, self._log = job, folder, log
        self._stopped = 0

    def arrive(self) -> tuple[str, str, str]:
        """Make the bench ready. Who this is; the GPU it works on ("" if none), by a name that no other GPU has, and its kind.

        Raises: TaskError, InputError.
        """
        name = settle_in(self._folder, self._log)
        _keep_from_children()
        failpoint("worker.arriving")
        self._bench = Bench(self._job)
        context = ray.get_runtime_context()
        gpus = context.get_accelerator_ids().get("GPU", [])
        card = self._bench.card if gpus else ""  # Ray may give a GPU that PyTorch cannot use
        return name, f"{context.get_node_id()}:{gpus[0]}" if card else "", card

    def probe(self, plans: Sequence[Plan]) -> Probe:
        """See Bench."""
        with mortal():
            return self._bench.probe(plans)

    @ray.method(num_returns="streaming")
    def carry_out(self, cohort: Sequence[Errand], fused: bool, run: int) -> Iterator[Progress]:
        """Their reports as they come, until all have ended or their run was stopped.

        Raises: StorageError.
        """
        with mortal():
            for progress in self._bench.carry_out(cohort, fused, lambda: self._stopped >= run):
                check_whole(progress)
                yield progress

    @ray.method(concurrency_group="beside")
    def stop(self, run: int) -> None:
        """Errands of this run and of earlier ones save at their next step and return."""
        self._stopped = max(self._stopped, run)

    def leave(self) -> None:
        """End, and with it what this process holds on its GPU."""
        os._exit(0)


def _keep_from_children() -> None:
    """A process that the task forks closes the sockets that are open now: Ray's, which it would hold open beyond this process's
    death, and so keep that a secret. And it ends when it is told to: Ray's way is to raise something, and that would be taken
    for the task's and be reported in this process's name."""
    ours = dict(_sockets())

    def part() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number, socket in _sockets():
            if ours.get(number) == socket:
                os.close(number)

    os.register_at_fork(after_in_child=part)


def _sockets() -> list[tuple[int, str]]:
    """(descriptor, which one it is) of this process's; none where there is no /proc."""
    found = []
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError):  # the listing's own
            found.append((int(number), os.readlink(f"/proc/self/fd/{number}")))
    return [(number, target) for number, target in found if target.startswith("socket:")]
