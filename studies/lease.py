"""Who is running this study? One driver at a time, and nobody else writes.

The lease is the study's row: it expires unless it is renewed, and its token grows at each taking and each release. Every write
first extends the lease that it believes to hold, in its own transaction; where the token is another one, nothing is written.
A driver that was frozen or cut off for longer than its lease can therefore do no harm when it comes back.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import sqlalchemy as sa

from studies.database import STOPS, STUDIES, Database, clock, insert_new, storable
from studies.errors import BusyError, InputError, StorageError
from studies.failpoints import failpoint
from studies.study import StudyState

T = TypeVar("T")

HOST = socket.gethostname()
PATIENCE = 20  # leases, for which a database that is away is tried again
KEPT = ("task", "workdir", "cwd", "stages")  # of the settings of a new study, if some are refused
NOTICE_SECONDS = 1.0  # until it is seen that the driver is asked to stop: a look takes a third of a millisecond

log = logging.getLogger("tuner")


def _place() -> str:
    """Where pids mean the same: containers may share a host's name, and so may machines, but not its processes and its boot."""
    told = [HOST]
    with suppress(OSError):
        told.append(os.readlink("/proc/self/ns/pid"))
    with suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    return " ".join(told)


class Lease:
    """The right to write to one study; every method is safe in any thread.

    Raises (all methods): BusyError if the lease is somebody else's by now, StorageError.
    """

    def __init__(self, database: Database, name: str, settings: Mapping[str, Any], seconds: float):
        """Take the lease: of a new study, of one that nobody runs, or of a driver that is dead or silent.

        Raises: InputError if the database takes the name for another study's.
        """
        self.name, self._settings = name, settings
        self._database = database
        self._seconds = seconds
        self._over = threading.Event()
        self.asked_to_stop = ""
        """By whom; "" if by nobody."""
        self._on_stop: Callable[[], None] = lambda: None
        with database.write() as connection:
            now = clock(connection)
            blank = {"name": name, "state": StudyState.STOPPED, "created": now, "updated": now}
            connection.execute(insert_new(connection, STUDIES).values(blank))
            row = connection.execute(sa.select(STUDIES, now.label("now")).where(STUDIES.c.name == name).with_for_update()).one()
            if row.name != name:  # MySQL reads letters without their case, in Optuna's tables, too
                raise InputError(f"--study: {database.shown} cannot tell {name!r} from its study {row.name!r}; take another name")
            if held(row):
                raise BusyError(refusal(row))
            self._token, self._before = row.token + 1, row
            connection.execute(
                sa.update(STUDIES)
                .where(STUDIES.c.name == name)
                .values(
                    token=self._token,
                    settings=json.dumps(settings),
                    state=StudyState.RUNNING,
                    reason="",
                    host=HOST,
                    place=_place(),
                    pid=os.getpid(),
                    started=_started(psutil.Process()),
                    since=now,
                    updated=now,
                    expires=now + seconds,
                )
            )
            failpoint("lease.taking")
        failpoint("lease.taken")
        threading.Thread(target=self._keep, name=f"lease of {name}", daemon=True).start()

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Do the work in a transaction that the lease guards; work must bear being repeated."""

        def guarded() -> T:
            with self._database.write() as connection:
                self._extend(connection, updated=clock(connection))
                return work(connection)

        return self.patiently(guarded)

    def patiently(self, work: Callable[[], T]) -> T:
        """Do the work; again, while a server does not answer or a file is held by others: neither need end a run of days."""
        began = time.monotonic()
        told = False
        while True:
            try:
                return work()
            except StorageError as error:
                left = PATIENCE * self._seconds + began - time.monotonic()
                if left < 0 or (self._database.local and "database is locked" not in str(error)):
                    raise
                if not told:
                    log.warning("%s; trying again for %.0f s", error, left)
                    told = True
            time.sleep(min(0.5, self._seconds / 10))

    def on_stop(self, stop: Callable[[], None]) -> None:
        """What to do when somebody asks the driver to stop; at once, if somebody has. It may be done twice."""
        self._on_stop = stop
        if self.asked_to_stop:
            stop()

    def release(self, ending: Callable[[sa.Connection], tuple[StudyState, str]], **changes: Any) -> None:
        """Give it back; nothing happens if it has been lost. ending: reads how it ended, a state and the reason, in the same
        transaction, so that nothing can be asked of the study in between. changes: of its row, besides."""
        self._over.set()
        with suppress(BusyError), self._database.write() as connection:
            self._extend(connection)
            state, reason = ending(connection)
            now = clock(connection)
            # A renewal still under way must not bring it back to life: the token grows.
            self._set(
                connection, state=state, reason=storable(reason), token=self._token + 1, expires=0.0, updated=now, **changes
            )
            failpoint("lease.releasing")
        failpoint("lease.released")

    def undo(self, reason: str, refused: bool) -> None:
        """Give it back FAILED for this reason, with the settings of before; a new study keeps none but those that say what and
        where it is. refused: leave a study that is not new in the state of before, too."""
        before, state = self._before, StudyState.FAILED
        new = json.dumps({key: self._settings[key] for key in KEPT if key in self._settings})
        if refused and before.token:
            state, reason = before.state, before.reason
        self.release(lambda _: (state, reason), settings=before.settings if before.token else new)

    def _keep(self) -> None:
        """Renew until it is over or lost, and look whether we are asked to stop; a database that is away now may be back by
        the next time."""
        renewed, period = time.monotonic(), self._seconds / 3
        while not self._over.wait(min(period, NOTICE_SECONDS)):
            with suppress(StorageError):
                if not self.asked_to_stop:
                    self._look()
                if time.monotonic() - renewed < period:
                    continue
                try:
                    with self._database.write() as connection:
                        self._extend(connection)
                    renewed = time.monotonic()
                except BusyError:
                    return

    def _look(self) -> None:
        mine = sa.and_(STOPS.c.study == self.name, STOPS.c.token == self._token)
        with self._database.read() as connection:
            self.asked_to_stop = connection.scalar(sa.select(STOPS.c.who).where(mine)) or ""
        if self.asked_to_stop:
            log.warning("asked to stop by %s: finishing the steps under way and saving", self.asked_to_stop)
            self._on_stop()

    def _extend(self, connection: sa.Connection, **changes: Any) -> None:
        self._set(connection, expires=clock(connection) + self._seconds, **changes)

    def _set(self, connection: sa.Connection, **changes: Any) -> None:
        mine = sa.and_(STUDIES.c.name == self.name, STUDIES.c.token == self._token)
        if connection.execute(sa.update(STUDIES).where(mine).values(**changes)).rowcount == 1:
            return
        row = connection.execute(sa.select(STUDIES).where(STUDIES.c.name == self.name)).one_or_none()
        raise BusyError(refusal(row) if row is not None else f"study {self.name!r} has been deleted")


def held(row: sa.Row) -> bool:
    """Whether a living driver holds the lease of a row of STUDIES with the label `now`."""
    return row.expires > row.now and not (row.place == _place() and not _alive(row.pid, row.started))


def _alive(pid: int, started: float) -> bool:
    """Whether the process that started then is still there; another one may have got its number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(_started(process) - started) < 5
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _started(process: psutil.Process) -> float:
    """Seconds from the boot on: those since the epoch are others for the same process once somebody has set the clock."""
    return process.create_time() - psutil.boot_time()


def refusal(row: sa.Row) -> str:
    """What is told to whoever wants a lease that is held."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.since))
    return f"study {row.name!r} is being run by process {row.pid} on {row.host}, since {since}; wait for it, or stop it there"
