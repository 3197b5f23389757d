"""How does one process carry errands out? The same way under every runner, so that the numbers are the same."""

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from studies.errors import InputError, TuneError
from studies.plan import Plan
from studies.trial import Progress, State
from tuner.runners.job import Errand, Job
from tuner.runners.probe import Probe, headline, out_of_memory

LOG_BYTES = 10_000_000
"""Of what a process prints, its beginning, half of this, and its end, a quarter, are kept."""


def settle_in(folder: Path, log: Path) -> str:
    """Make this process, of a cluster, one in which a bench can stand. folder: where the driver does; log: takes what is printed,
    a crash's last words too. The process's name.

    Raises: InputError if this machine cannot see them.
    """
    name, log = f"process {os.getpid()} on {os.uname().nodename}", log.absolute()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        with open(log, "ab") as file:  # whoever appends goes on at the end, wherever that is by now
            os.dup2(file.fileno(), sys.stdout.fileno())
            os.dup2(file.fileno(), sys.stderr.fileno())
        os.chdir(folder)
    except OSError as error:
        raise InputError(f"{name}: {error}; all machines of a cluster must share the folders of the run") from error
    faulthandler.enable()
    threading.Thread(target=_bound, args=(log,), name="bound the log", daemon=True).start()
    return name


def _bound(log: Path) -> None:
    """Keep of what is printed its beginning and its end, however much it is. Whoever prints appends to the log."""
    while True:
        time.sleep(0.2)
        with suppress(OSError):  # a full disk: nothing is printed either
            if log.stat().st_size > LOG_BYTES:
                with log.open("rb") as file:
                    file.seek(-LOG_BYTES // 4, os.SEEK_END)
                    end = file.read()[-LOG_BYTES // 4 :]  # meanwhile more may have been printed than fits
                os.truncate(log, LOG_BYTES // 2)
                with log.open("ab") as file:
                    file.write(b"\n[the log was full: what was printed here is left out]\n" + end)


class LostError(TuneError):
    """Have another process go on: this one has no more use of its GPU, or has lost one that had a share in a training."""


@contextmanager
def mortal() -> Iterator[None]:
    """Within it, what makes this process, of a cluster, of no more use ends it; whoever takes its place goes on from the last
    state."""
    try:
        yield
    except (KeyboardInterrupt, LostError):  # nobody presses keys here: the task raised it, and means to end its process
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def check_whole(progress: Progress) -> None:
    """Raises: LostError if a plan has failed because a process died that had a share in it."""
    from trainables.parallel import LOST

    if LOST in progress.error:
        raise LostError(progress.error)


def _check_gpu(progress: Progress) -> None:
    """Raises: LostError if what a plan has failed of leaves this process without its GPU."""
    from trainables.machine import lost

    if progress.ended is State.FAILED and not out_of_memory(progress) and lost():
        error = LostError(f"{headline(progress)}: this process has lost its GPU; run again, --runner ray outlives such a plan")
        error.add_note(progress.error)
        raise error


def _reopen() -> None:
    """What is printed to, if the task has closed it."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(getattr(sys, name), "closed", False):
            setattr(sys, name, open(number, "w", buffering=1, closefd=False))


class Bench:
    """A process's warm task: its code, its data and torch, ready for the next plan; and the processes beside it that share its
    trainings, where the job wants that, which end with it.

    Raises: TaskError, InputError if the task cannot be loaded, or is no longer the one that the job was made for.
    """

    def __init__(self, job: Job):
        from trainables.checkpoints import Checkpoints
        from trainables.machine import card, settle
        from trainables.parallel import gathered, load_spread
        from trainables.task import check_unedited

        self._job, self._folder = job, os.getcwd()
        self._device = settle(job.device, job.threads, job.processes)
        self._workload = load_spread(job.task, job.data, job.processes, self._device, job.threads, job.readers)
        check_unedited(self._workload, job.task, job.fingerprint)
        self.card = card(self._device)
        self._checkpoints = Checkpoints(job.checkpoints, job.fingerprint)
        self._team = ExitStack()
        self._team.enter_context(gathered(self._workload))

    def carry_out(self, cohort: Sequence[Errand], fused: bool, stop: Callable[[], bool]) -> Iterator[Progress]:
        """Its reports, as they come. Raises: StorageError, LostError."""
        from trainables.machine import release, settle
        from trainables.training import carry_out

        settle(self._job.device, self._job.threads)
        for progress in carry_out(
            self._workload,
            [errand.plan for errand in cohort],
            self._checkpoints,
            eval_examples=self._job.eval_examples,
            early_looks=self._job.early_looks,
            device=self._device,
            keep=frozenset().union(*(errand.keep for errand in cohort)),
            fused=fused,
            stop=stop,
        ):
            os.chdir(self._folder)  # the task may have gone elsewhere
            _reopen()
            _check_gpu(progress)
            yield progress
        release()

    def close(self) -> None:
        self._team.close()

    def probe(self, plans: Sequence[Plan]) -> Probe:
        """What the first of the plans takes, and whether fusing them pays, if they may be fused. Raises: LostError."""
        from trainables.machine import release

        try:
            probe = self._measured(plans)
        except (Exception, SystemExit) as error:  # the task's own: it will fail its plans when they are carried out
            _check_gpu(Progress(plans[0], ended=State.FAILED, error=traceback.format_exc()))
            probe = Probe(words=f"{type(error).__name__}: {error}", gpu_share=1.0 if self.card else 0.0, failed=True)
        release()
        return probe

    def _measured(self, plans: Sequence[Plan]) -> Probe:
        from trainables.fused import fused_from
        from trainables.machine import gpu_share
        from trainables.task import Supervision

        memory = Probe()
        if self.card:
            share, more = gpu_share(self._workload, plans[0])
            memory = Probe(gpu_share=share, gpu_more=more)
        if self._job.fuse is False or not isinstance(self._workload, Supervision):
            return memory
        lanes = [self._workload.trainable(plan, self._device) for plan in plans[: memory.room()]]
        fewest, words = fused_from(lanes, always=self._job.fuse is True)
        return replace(memory, fused_from=fewest, words=words)
