"""Which studies are there, how do they stand, and who may go on with them?"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from optuna.storages import RDBStorage

from studies import wishlist
from studies.database import DECISIONS, STAGES, STOPS, STUDIES, Database, clock
from studies.decision import Decision
from studies.errors import BusyError, InputError, Interrupted, StorageError, TuneError
from studies.lease import Lease, held, refusal
from studies.optuna_study import OptunaStudy, read_trials
from studies.study import StudyRecord, StudyState
from studies.trial import Metric, Trial
from studies.wish import Note, Wish, WishRecord
from studies.workspace import check_study_name

LEASE_SECONDS = 30.0


class Store:
    """A database of studies: read by anyone, at any time, in any thread; written by one driver a study.

    url: as SQLAlchemy and Optuna open it, absolute, with its driver; shown: the same without its password.

    Raises: InputError if the URL cannot be opened as it stands; StorageError (as every method) if the database cannot.
    """

    def __init__(self, url: str, lease_seconds: float = LEASE_SECONDS):
        self._database = Database(url)
        self._lease_seconds = lease_seconds
        self.url, self.shown = self._database.url, self._database.shown

    def studies(self) -> list[StudyRecord]:
        """All studies, in the order in which they were created."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(STUDIES, clock(connection).label("now")).order_by(STUDIES.c.created)).all()
        return [_study_record(row, self.shown) for row in rows]

    def record(self, name: str) -> StudyRecord:
        """One study.

        Raises: InputError naming the studies there are.
        """
        known = {record.name: record for record in self.studies()}
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "there is none yet"
            raise InputError(f"--study: no study {name!r} in {self.shown}; {there}")
        return known[name]

    def stages(self, name: str) -> list[str]:
        """The stages of a study, in the order in which they were begun."""
        with self._database.read() as connection:
            return list(connection.scalars(sa.select(STAGES.c.stage).where(STAGES.c.study == name).order_by(STAGES.c.id)))

    def metric(self, name: str, stage: str) -> Metric | None:
        """What decides in a stage; None if there is no such stage."""
        with self._database.read() as connection:
            known = connection.scalar(sa.select(STAGES.c.metric).where(STAGES.c.study == name, STAGES.c.stage == stage))
        return Metric.model_validate_json(known) if known else None

    def fingerprint(self, name: str, stage: str) -> str | None:
        """Of the task that a stage was last begun with; None if there is no such stage."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(STAGES.c.fingerprint).where(STAGES.c.study == name, STAGES.c.stage == stage))

    def decisions(self, name: str) -> list[Decision]:
        """The decisions in force, in the order of the stages."""
        valid = sa.and_(DECISIONS.c.study == name, ~DECISIONS.c.superseded)
        latest = sa.select(sa.func.max(DECISIONS.c.id)).where(valid).group_by(DECISIONS.c.stage)
        here = sa.and_(STAGES.c.study == DECISIONS.c.study, STAGES.c.stage == DECISIONS.c.stage)
        written = sa.select(DECISIONS.c.decision).join(STAGES, here).where(DECISIONS.c.id.in_(latest)).order_by(STAGES.c.id)
        with self._database.read() as connection:
            return [Decision.model_validate_json(text) for text in connection.scalars(written)]

    def trials(self, name: str, stage: str, points: int | None = None) -> list[Trial]:
        """The trials of a stage with their curves, each curve thinned to about so many points; its first and last are kept
        (1: the last alone)."""
        return read_trials(self._database, name, stage, points)

    def trial(self, name: str, stage: str, number: int, points: int | None = None) -> Trial:
        """One trial of a stage, as `trials` has it, without a look at the others.

        Raises: InputError if there is none of this number.
        """
        found = read_trials(self._database, name, stage, points, number) if 0 <= number < 2**31 else []  # as Optuna counts
        if not found:
            self.record(name)
            there = ", ".join(self.stages(name)) or "none"
            raise InputError(f"{stage} of study {name!r} has no trial {number}; its stages are: {there}")
        return found[0]

    def wish(self, name: str, wish: Wish, who: str = "") -> WishRecord:
        """Write down what a person asks of a study, for whoever drives it now or next; a study that nobody runs is STOPPED
        then, if it has work by it, and its reason says what was asked. who: "user@host"; this process's own if not given.

        Raises: InputError if it cannot be fulfilled: no such study, stage or trial, a trial that broke, an end that is no later.
        """
        self.record(name)
        with self._database.write() as connection:
            return wishlist.append(connection, name, wish, who)

    def wishes(self, name: str) -> list[WishRecord]:
        """All that was ever asked of a study, oldest first."""
        with self._database.read() as connection:
            return wishlist.read(connection, name)

    def heeded(self, name: str) -> int:
        """The number of the last wish of a study that is DONE, as it has followed all; 0 of another, of which nobody knows."""
        with self._database.read() as connection:
            last = max((record.number for record in wishlist.read(connection, name)), default=0)
            state = connection.scalar(sa.select(STUDIES.c.state).where(STUDIES.c.name == name))  # a wish after `last` stops it
        return last if state == StudyState.DONE else 0

    def stop(self, name: str, who: str = "") -> StudyRecord:
        """Ask the driver of a study, wherever it runs, to finish its steps, save and leave, as one Ctrl-C does; the study as
        it stands. It takes a second or two to notice.

        Raises: InputError if nobody runs it.
        """
        record = self.record(name)
        with self._database.write() as connection:
            mine = STUDIES.c.name == name
            row = connection.execute(sa.select(STUDIES, clock(connection).label("now")).where(mine).with_for_update()).one()
            if not held(row):
                raise InputError(f"stop: study {name!r} is not running, it is {_study_record(row, self.shown).state}")
            connection.execute(sa.delete(STOPS).where(STOPS.c.study == name))
            values = {"study": name, "token": row.token, "who": wishlist.person(who)}
            connection.execute(sa.insert(STOPS).values(**values))
        return record

    def check_free(self, name: str) -> None:
        """A look ahead, for who has much to do before it would drive the study.

        Raises: BusyError naming the driver that is running it.
        """
        with self._database.read() as connection:
            found = sa.select(STUDIES, clock(connection).label("now")).where(STUDIES.c.name == name)
            row = connection.execute(found).one_or_none()
        if row and held(row):
            raise BusyError(refusal(row))

    @contextmanager
    def drive(self, name: str, settings: Mapping[str, Any]) -> Iterator["Driver"]:
        """Run a study: nobody else can until this is left, which says how it ended.

        DONE if the driver said so; STOPPED if it did not, was interrupted or asked to stop; as before, if the
        settings are refused; FAILED, with the reason, after any other error.
        settings: JSON-able; kept as those of the latest start that was not refused, nor found no cluster to run on.

        Raises: BusyError naming the driver that is running it; InputError if it cannot be a study's name.
        """
        check_study_name(name)
        storage = self._database.storage()
        lease = Lease(self._database, name, settings, self._lease_seconds)
        driver = Driver(self._database, storage, lease, str(settings.get("task", "")))
        try:
            yield driver
        except BaseException as error:
            with suppress(StorageError):
                if isinstance(error, InputError) or type(error) is TuneError:  # its settings, or what is there for them
                    lease.undo(str(error), isinstance(error, InputError))
                else:
                    ending = _ending(error, lease)
                    lease.release(lambda _: ending)
            raise
        lease.patiently(lambda: lease.release(driver.ending))

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()


class Driver:
    """The one who runs a study, by the lease it holds."""

    def __init__(self, database: Database, storage: RDBStorage, lease: Lease, task: str):
        self._database, self._storage, self._lease, self._task = database, storage, lease, task
        self._heeded: int | None = None

    def stage(self, stage: str, metric: Metric, fingerprint: str = "") -> OptunaStudy:
        """A stage's study, begun at its first use; begun anew when the task's fingerprint has changed.

        Raises: InputError if it was begun with another metric; BusyError, StorageError.
        """
        return OptunaStudy(self._database, self._storage, self._lease, stage, metric, self._task, fingerprint)

    def wishes(self) -> list[WishRecord]:
        """What has been asked of the study that takes work, oldest first.

        Raises: StorageError.
        """

        def read() -> list[WishRecord]:
            with self._database.read() as connection:
                return [record for record in wishlist.read(connection, self._lease.name) if not isinstance(record.wish, Note)]

        return self._lease.patiently(read)

    def on_stop(self, stop: Callable[[], None]) -> None:
        """What to do, in another thread, when somebody asks this driver to stop."""
        self._lease.on_stop(stop)

    def done(self, heeded: Sequence[WishRecord] = ()) -> None:
        """Say that all is decided, with these wishes heeded: the study will be DONE when the driver leaves, unless more has been
        asked of it by then."""
        self._heeded = max((record.number for record in heeded), default=0)

    def ending(self, connection: sa.Connection) -> tuple[StudyState, str]:
        """How the study ends if its driver leaves now."""
        if self._heeded is None:
            return StudyState.STOPPED, ""
        asked = wishlist.unheeded(connection, self._lease.name, self._heeded)
        return (StudyState.STOPPED, wishlist.reminder(self._lease.name, asked)) if asked else (StudyState.DONE, "")


def _ending(error: BaseException, lease: Lease) -> tuple[StudyState, str]:
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return StudyState.STOPPED, "asked to stop" if lease.asked_to_stop else "interrupted"
    if isinstance(error, BusyError) or not isinstance(error, Exception):
        return StudyState.STOPPED, str(error)
    return StudyState.FAILED, str(error) if isinstance(error, TuneError) else f"{type(error).__name__}: {error}"


def _study_record(row: sa.Row, storage: str) -> StudyRecord:
    state = StudyState(row.state)
    return StudyRecord(
        name=row.name,
        settings=json.loads(row.settings),
        state=StudyState.STALE if state is StudyState.RUNNING and not held(row) else state,
        reason=row.reason,
        owner=f"{row.host}:{row.pid}",
        created=row.created,
        updated=row.updated,
        storage=storage,
    )
