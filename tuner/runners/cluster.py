"""Which Ray do we run on, and what does it have for us?"""

import contextlib
import logging
import math
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any

from studies.errors import InputError, TuneError
from studies.failpoints import failpoint
from studies.loading import loading
from studies.scratch import own_folder
from tuner.runners.job import Job

log = logging.getLogger("tuner")

TRIALS_PER_GPU = 8  # at most; how many really train at once follows from their memory
OBJECT_STORE_BYTES = 100 << 20  # only reports pass through it
PRELOADED = ["tuner.runners.warm"]  # by workers that have nothing to do yet


@dataclass(frozen=True)
class Slots:
    """How many workers the cluster has room for, and what each of them holds of it."""

    workers: int
    cpus: int
    gpus: float

    @property
    def parts(self) -> int:
        """How many of them really work at the same time: on one GPU they only take turns."""
        return max(1, round(self.workers * min(1.0, self.gpus))) if self.gpus else self.workers


class Session:
    """A connection to Ray, opened in the background.

    Somebody else's Ray (an address, or one that this process has already joined) is left running when it is closed.
    One thread opens and closes it, and lives in between: Ray's processes die with the thread that started them.
    environments: whether actors may ask for an environment of their own (Ray's `runtime_env`), as Ray Tune's do.
    """

    def __init__(self, address: str | None, cpus: int | None, environments: bool = True):
        self._address, self._cpus, self._environments = address, cpus, environments
        self._opened: Future[None] = Future()
        self._closing = threading.Event()
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if not address and "ray" not in sys.modules:  # which reads it once
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # its ports listen on every interface
        with loading():
            import ray  # noqa: F401  before the caller's own imports: Ray's processes start on the other cores meanwhile

        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until Ray is there. Raises: TuneError if it cannot be started or reached."""
        self._opened.result()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _live(self) -> None:
        import ray

        try:
            with contextlib.ExitStack() as ours:
                if not ray.is_initialized():
                    _keep_stdout_clean()
                    self._open(ours)
                self._opened.set_result(None)
                self._closing.wait()
        except InputError as error:
            self._opened.set_exception(error)
        except Exception as error:
            where = f"Ray at --address {self._address} cannot be reached" if self._address else "Ray cannot be started here"
            failure = TuneError(
                f"{where}: {type(error).__name__}: {' '.join(str(error).split())}; --runner serial does without it"
            )
            failure.__cause__ = error
            self._opened.set_exception(failure)

    def _open(self, ours: contextlib.ExitStack) -> None:
        import ray

        if self._address:
            if self._address != "auto":
                _call_at(self._address)
            ours.callback(ray.shutdown)
            ray.init(self._address, log_to_driver=False, logging_level="ERROR")
            return
        folder = ours.enter_context(own_folder("tune-ray-", "/tmp"))  # short, as its sockets need it
        failpoint("ray.starting")
        ours.callback(ray.shutdown)
        with _only_what_is_needed(self._environments):
            ray.init(
                "local",
                num_cpus=self._cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
                _system_config={"preload_python_modules": PRELOADED},
            )
        failpoint("ray.started")


_session: Session | None = None


def start(address: str | None = None, cpus: int | None = None, environments: bool = True) -> Session:
    """The session of this process; begun now, in the background, if there is none. cpus: None takes what there is."""
    global _session
    if _session is None:
        _session = Session(address, cpus, environments)
    return _session


def stop() -> None:
    """Close the session of this process, if there is one."""
    global _session
    session, _session = _session, None
    if session:
        session.close()


@contextlib.contextmanager
def _only_what_is_needed(environments: bool) -> Iterator[None]:
    """Ray without the helpers that a machine of its own has no use for: the autoscaler's monitor, the dashboard's server and
    agent, the tail of the logs, and the agent that builds environments, unless somebody asks for them. It starts in a third
    of the time, and leaves two seconds of CPU time to whoever starts beside it. Ray has no option for it."""
    import ray
    from ray._private import services, utils
    from ray._private.node import Node

    changes = [(Node, name, _nothing) for name in ("start_monitor", "start_api_server", "start_log_monitor")]
    if hasattr(ray._raylet, "persist_port"):  # its raylet waits for the ports of its agents, but for those that it is told
        launch, instead = services.start_ray_process, _NO_DASHBOARD | ({} if environments else _NO_ENVIRONMENTS)
        changes += [
            (services, "start_ray_process", lambda command, *args, **more: launch(_raylet(command, instead), *args, **more)),
            (utils, "get_dashboard_dependency_error", _nothing),  # it imports them all to find out
        ]
    changes = [(owner, name, getattr(owner, name), change) for owner, name, change in changes if hasattr(owner, name)]
    for owner, name, _, change in changes:
        setattr(owner, name, change)
    try:
        yield
    finally:
        for owner, name, before, _ in changes:
            setattr(owner, name, before)


def _nothing(*args: Any, **options: Any) -> None:
    """In place of what is not needed."""


# A raylet ends with its agents, and waits for all who hold what they read from; this ends with the raylet, and is one process.
_IDLER = "sh -c \"trap '' INT; [ -p /dev/stdin ] && exec cat; while kill -0 $PPID; do sleep 1; done\""
_NO_DASHBOARD = {
    "--dashboard_agent_command": _IDLER,
    "--dashboard_agent_listen_port": -1,
    "--metrics-agent-port": -1,
    "--metrics_export_port": -1,
}
_NO_ENVIRONMENTS = {"--runtime_env_agent_command": _IDLER, "--runtime_env_agent_port": -1}


def _raylet(command: list[str], instead: Mapping[str, Any]) -> list[str]:
    """The command that starts a raylet, with these options instead; any other command as it is."""
    if not any(part.startswith("--runtime_env_agent_command=") for part in command):
        return command
    kept = [part for part in command if part.partition("=")[0] not in instead]
    return kept + [f"{option}={value}" for option, value in instead.items()]


def _call_at(address: str) -> None:
    """Raises: InputError, OSError if nobody answers there; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InputError(f"--address: expected HOST:PORT of a Ray cluster, or auto; got {address!r}")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _keep_stdout_clean() -> None:
    """Ray prints what its raylet has to say on stdout, whatever it is told of logging; into the log with it."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, **options: log.debug("ray: %s", " ".join(data["lines"]))


def machines() -> list[tuple[int, int]]:
    """The (CPUs, GPUs) of each."""
    import ray

    has = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in has]


def slots(machines: Sequence[tuple[int, int]], job: Job, gpus: float | None, workers: int | None) -> Slots:
    """Where workers fit, machine by machine. gpus: wanted per worker; None: one for each process of a training that is shared,
    else TRIALS_PER_GPU on each, if the CPUs suffice, and no more than it takes for all the workers that are wanted: Ray fills
    one GPU after another.

    Raises: InputError if not one fits, since Ray itself would wait for ever.
    """
    cpus, device = job.cpus, job.device
    found = "; the machines have " + ", ".join(f"{c} CPUs and {g} GPUs" for c, g in machines)
    with_gpu = [(c, g) for c, g in machines if g]
    if device == "cpu" or (device == "auto" and not with_gpu):
        if gpus:
            raise InputError(f"--gpus-per-trial: expected a GPU to divide, and --device auto or cuda{found}")
        gpus = 0.0
    elif not with_gpu:
        raise InputError(f"--device cuda: expected a GPU{found}")
    elif job.processes > 1:
        gpus = float(job.processes)
    elif gpus is None:
        there = sum(g for _, g in with_gpu)
        wanted = math.ceil(min(workers or math.inf, TRIALS_PER_GPU * there) / there)
        gpus = 1 / max(1, min(wanted, *(c // cpus // g for c, g in with_gpu)))
    room = sum(int(min(c // cpus, _places(g, gpus))) for c, g in machines)
    if not room:
        raise InputError(f"expected room for a worker with {cpus} CPUs and {gpus:g} GPUs{found}")
    return Slots(min(room, workers or room), cpus, math.floor(gpus * 1e4) / 1e4)  # Ray counts in 1/10,000


@cache
def tell_no_cuda(machine: str) -> None:
    """Warn of it, once."""
    log.warning("%s: Ray has given a GPU, but PyTorch finds no CUDA device (a driver too old?): training is on the CPU", machine)


def _places(gpus: int, each: float) -> float:
    """For how many workers so many GPUs suffice, when a fraction lies on one of them."""
    if not each:
        return math.inf
    return gpus * int(1 / each + 1e-9) if each <= 1 else gpus // each
