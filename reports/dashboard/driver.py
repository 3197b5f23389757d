"""How does a stopped study go on? One detached driver, however often it is asked for."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studies.errors import BusyError, StorageError
from studies.ledger import Store
from studies.study import StudyRecord, StudyState
from studies.workspace import Workspace

RESUMABLE = (StudyState.STOPPED, StudyState.FAILED, StudyState.STALE)

Command = Callable[[str, Path], list[str]]
"""The driver's command line for (study, workdir). The storage's URL, which may hold a password, is TUNE_STORAGE in its
environment: a command line is shown to everybody on the machine."""


def resume_command(name: str, workdir: Path) -> list[str]:
    """Ours whichever program is called `tune` here: Ray installs one of that name."""
    return [sys.executable, "-m", "tuner", "resume", name, "--workdir", str(workdir)]


@dataclass
class Launch:
    """A driver that this server started. process: its own session, so that it outlives the server."""

    process: subprocess.Popen
    began: float = field(default_factory=time.time)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


class Drivers:
    """Starts drivers. The lease in the database is what makes a driver the only one; here, presses of one button are
    kept from starting processes that would be refused it."""

    def __init__(self, store: Store, workdir: Path, command: Command = resume_command):
        self._store, self.workdir, self._command = store, workdir, command
        self._locks: dict[str, threading.Lock] = {}
        self._launches: dict[str, Launch] = {}

    def launch(self, name: str) -> Launch | None:
        """The driver that was started last, if this server started one."""
        return self._launches.get(name)

    def starting(self, record: StudyRecord) -> bool:
        """Whether a driver that this server started has yet to take the study up. (One that leaves it may be at work for
        seconds still, closing its workers.)"""
        launch = self.launch(record.name)
        return launch is not None and launch.alive and record.owner.rpartition(":")[2] != str(launch.process.pid)

    def refusal(self, record: StudyRecord) -> str:
        """Why the study cannot be resumed now; "" if it can."""
        if self.starting(record):
            return f"It is being resumed (process {self._launches[record.name].process.pid})."
        if record.state in RESUMABLE:
            return ""
        if record.state == StudyState.DONE:
            return "It is done: all that it was started for is decided."
        return f"It is running, driven by {record.owner}."

    def workspace(self, record: StudyRecord) -> Workspace:
        """The folder that the study was started with; the server's own if none is recorded."""
        return Workspace(Path(record.settings.get("workdir") or self.workdir), record.name)

    def resume(self, name: str) -> Launch:
        """Start the study's driver, detached.

        Raises: BusyError if it cannot be resumed now; StorageError if its log cannot be written; InputError if there is none.
        """
        record = self._store.record(name)
        with self._locks.setdefault(record.name, threading.Lock()):
            record = self._store.record(name)
            if reason := self.refusal(record):
                raise BusyError(f"{name} is not resumed. {reason}")
            space = self.workspace(record)
            launch = self._launches[name] = Launch(
                start(self._command(name, space.workdir), space.resumed, {"TUNE_STORAGE": self._store.url})
            )
        return launch


def start(command: list[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    """The command in a session of its own, with more in its environment, its output in the log; a thread waits for its end,
    so that no zombie stays.

    Raises: StorageError.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
    except OSError as error:
        raise StorageError(f"{log}: the driver cannot be started: {error.strerror}; mend it and press Resume again") from None
    threading.Thread(target=process.wait, name=f"driver {process.pid}", daemon=True).start()
    return process
