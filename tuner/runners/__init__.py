"""Which runners are there?"""

from collections.abc import Callable
from typing import Any

from studies.errors import InputError
from tuner.runners.job import Job
from tuner.runners.runner import Runner


def _ray(job: Job, **options: Any) -> Runner:
    from tuner.runners.workers import RayRunner

    return RayRunner(job, **options)


def _serial(job: Job, **options: Any) -> Runner:
    from tuner.runners.serial import SerialRunner

    return SerialRunner(job)


def _tune(job: Job, trial_timeout: float | None = None, **options: Any) -> Runner:
    from tuner.runners.ray_tune import TuneRunner

    return TuneRunner(job, **options)


RUNNERS: dict[str, Callable[..., Runner]] = {"ray": _ray, "serial": _serial, "tune": _tune}


USELESS = {"serial": ("address", "workers", "gpus_per_trial", "trial_timeout"), "tune": ("trial_timeout", "fuse")}
"""The options that a runner has no use for."""


def check_runner(name: str) -> str:
    """Raises: InputError if there is no runner of this name."""
    if name not in RUNNERS:
        raise InputError(f"--runner: expected one of {', '.join(RUNNERS)}; got {name!r}")
    return name


def make_runner(name: str, job: Job, **options: Any) -> Runner:
    """A runner by its name; the options are those of its class, None being as good as left out.

    Raises: InputError naming the valid choices.
    """
    check_options(name, job.processes, fuse=job.fuse, **options)
    return RUNNERS[name](job, **options)


def check_options(name: str, processes: int = 1, **options: Any) -> None:
    """Raises: InputError naming the option that this runner has no use for, or that cannot be."""
    if processes > 1 and options.get("fuse"):
        raise InputError(f"--fuse: expected one process a training, --processes 1; got {processes}")
    if processes > 1 and options.get("gpus_per_trial"):
        raise InputError(f"--gpus-per-trial: expected none, as each of the {processes} --processes of a trial has its own")
    useless = (option for option in USELESS.get(check_runner(name), ()) if options.get(option) not in (None, False))
    for option in useless:
        raise InputError(f"--{option.replace('_', '-')}: --runner {name} has no use for it; --runner ray has")
    workers, gpus = options.get("workers"), options.get("gpus_per_trial")
    if workers is not None and workers < 1:
        raise InputError(f"--workers: expected 1 or more, got {workers}")
    if gpus is not None and not (0 < gpus <= 1 or gpus == int(gpus) >= 1):
        raise InputError(f"--gpus-per-trial: expected a fraction of 1, or a whole number; got {gpus}")


def prepare(
    runner: str = "ray", address: str | None = None, workers: int | None = None, threads: int = 1, processes: int = 1
) -> None:
    """Begin what takes long about a runner before its job is known: Ray starts while the task is being loaded."""
    if check_runner(runner) != "serial":
        from tuner.runners import cluster

        cluster.start(address, workers and workers * threads * processes, environments=runner == "tune")
