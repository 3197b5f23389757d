"""How does one process carry out an errand? The same way under every runner, so that the numbers are the same."""

from collections.abc import Callable, Iterator

from studies.errors import TaskError
from studies.plan import Plan
from studies.trial import Progress
from tuner.runners.job import Errand, Job


class Bench:
    """A process's warm task: its code, its data and torch, ready for the next plan.

    Raises: TaskError, InputError if the task cannot be loaded, or is no longer the one that the job was made for.
    """

    def __init__(self, job: Job):
        from trainables.checkpoints import Checkpoints
        from trainables.machine import settle
        from trainables.task import load_task

        self._job = job
        self._device = settle(job.device, job.threads)
        self._workload = load_task(job.task, job.data)
        if self._workload.fingerprint != job.fingerprint:
            raise TaskError(f"--task {job.task}: edited while this run was under way; run again to tune it as it is now")
        self._checkpoints = Checkpoints(job.checkpoints, job.fingerprint)

    def carry_out(self, errand: Errand, stop: Callable[[], bool]) -> Iterator[Progress]:
        """Its reports, as they come. Raises: StorageError."""
        from trainables.machine import release
        from trainables.training import carry_out

        yield from carry_out(
            self._workload,
            [errand.plan],
            self._checkpoints,
            eval_examples=self._job.eval_examples,
            device=self._device,
            keep=errand.keep,
            stop=stop,
        )
        release()

    def gpu_share(self, plan: Plan) -> float:
        """The fraction of a GPU's memory that the plan takes, in (0, 1]."""
        from trainables.machine import gpu_share

        return gpu_share(self._workload, plan)
