"""How can the program be started a hundred times? In processes forked from one that has imported all: half a second, not five."""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["tuner.cli", "tuner.pipeline", "tuner.runners.serial", "tuner.runners.bench", "trainables.training", "trainables.fused"]
    + ["reports.summary", "matplotlib.backends.backend_agg", "scipy.stats"]
)


def start(folder: Path, *arguments: object, out: Path, err: Path, **environment: str) -> BaseProcess:
    """As a shell in this folder starts it, in a session of its own. out, err: files that its words are appended to."""
    told = (folder, list(map(str, arguments)), out, err, {**os.environ, **environment})
    process = _processes.Process(target=_main, args=told)
    process.start()
    return process


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Started and waited for."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = start(folder, *arguments, out=out, err=err)
        process.join(240)
        process.kill()
        process.join()
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def _main(folder: Path, arguments: list[str], out: Path, err: Path, environment: Mapping[str, str]):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background ignore
    os.setsid()
    os.chdir(folder)
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(environment)
    from studies import failpoints
    from tuner.cli import main

    importlib.reload(failpoints)
    sys.argv = ["tune", *arguments]
    main()
