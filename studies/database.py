"""How is the database opened, and which tables of ours stand beside Optuna's?

Curves, decisions and the lease are kept in the database that Optuna keeps its trials in, so one transaction can hold
both: `Database.optuna` is Optuna's own storage, writing through the transaction that is under way.
"""

import importlib.metadata
import importlib.util
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil
import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import sessionmaker

from studies.errors import InputError, StorageError
from studies.failpoints import failpoint

SCHEMA = 1
BUSY_SECONDS = 60  # how long one SQLite connection waits for another's transaction
CONNECT_SECONDS = 10

DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
"""Those that `pip install staged-tuner[postgresql]` or `[mysql]` brings along; SQLAlchemy has older ones in mind."""

# SQLite's locks cannot be relied on there (sqlite.org/howtocorrupt.html, 2.1).
NETWORK_FILE_SYSTEMS = {"nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"}

# Not unix_timestamp(now(6)): local time says one hour a year twice.
_MYSQL_CLOCK = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1e6"

# The server's clock in seconds since the epoch, so that machines need not agree on the time.
_CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from clock_timestamp())::double precision",
    "mysql": _MYSQL_CLOCK,
    "mariadb": _MYSQL_CLOCK,
}

TABLES = sa.MetaData()
_Long = sa.Text().with_variant(sa.Text(2**32 - 1), "mysql", "mariadb")

SCHEMAS = sa.Table(
    "tuner_schema",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("software", sa.String(80), nullable=False),
)

# One row a tuning run, which is also its lease. expires, since, created, updated: seconds on the server's clock; started: from
# the boot of the driver's machine.
STUDIES = sa.Table(
    "tuner_studies",
    TABLES,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("settings", _Long, nullable=False, default="{}"),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("reason", _Long, nullable=False, default=""),
    sa.Column("token", sa.BigInteger, nullable=False, default=0),
    sa.Column("expires", sa.Double, nullable=False, default=0.0),
    sa.Column("since", sa.Double, nullable=False, default=0.0),
    sa.Column("host", sa.String(255), nullable=False, default=""),
    sa.Column("place", sa.String(255), nullable=False, default=""),
    sa.Column("pid", sa.BigInteger, nullable=False, default=0),
    sa.Column("started", sa.Double, nullable=False, default=0.0),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("updated", sa.Double, nullable=False),
)

# fingerprint: of the task as it is now; trials of another one are history.
STAGES = sa.Table(
    "tuner_stages",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study", sa.String(80), nullable=False),
    sa.Column("stage", sa.String(80), nullable=False),
    sa.Column("metric", _Long, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, default=""),
    sa.UniqueConstraint("study", "stage"),
)

# What Optuna's row of the same trial_id cannot say or cannot change. steps: the plan's end; last: the last known step;
# begun: null until the first report.
TRIALS = sa.Table(
    "tuner_trials",
    TABLES,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("study_id", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False, default=""),
    sa.Column("line", sa.String(16), nullable=False),
    sa.Column("plan", _Long, nullable=False),
    sa.Column("steps", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("begun", sa.BigInteger),
    sa.Column("last", sa.BigInteger, nullable=False, default=0),
    sa.Column("error", _Long, nullable=False, default=""),
    sa.Index("tuner_trials_line", "study_id", "line"),
)

POINTS = sa.Table(
    "tuner_points",
    TABLES,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("measured", _Long, nullable=False),
    sqlite_with_rowid=False,
)

# The latest of a stage is the one in force, unless what it rested on has changed (superseded); the rest is history.
DECISIONS = sa.Table(
    "tuner_decisions",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study", sa.String(80), nullable=False),
    sa.Column("stage", sa.String(80), nullable=False),
    sa.Column("written", sa.Double, nullable=False),
    sa.Column("decision", _Long, nullable=False),
    sa.Column("superseded", sa.Boolean, nullable=False, default=False),
    sa.Index("tuner_decisions_stage", "study", "stage"),
)

# What people ask for while a study runs, or after: never changed, never removed. fingerprint: of the task whose trials the
# wish is about, null if it is about none.
WISHES = sa.Table(
    "tuner_wishes",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study", sa.String(80), nullable=False, index=True),
    sa.Column("stage", sa.String(80), nullable=False, default=""),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("written", sa.Double, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),
    sa.Column("wish", _Long, nullable=False),
)

# The driver that is to stop: the one whose lease has this token, and no later one.
STOPS = sa.Table(
    "tuner_stops",
    TABLES,
    sa.Column("study", sa.String(80), primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),
)

# Optuna's own, as far as they are read and filled here.
OPTUNA_STUDIES = sa.table("studies", sa.column("study_id"), sa.column("study_name"))
OPTUNA_TRIALS = sa.table("trials", sa.column("trial_id"), sa.column("study_id"), sa.column("number"), sa.column("state"))
OPTUNA_PARAMS = sa.table("trial_params", *map(sa.column, ("trial_id", "param_name", "param_value", "distribution_json")))
OPTUNA_ATTRIBUTES = sa.table("trial_user_attributes", *map(sa.column, ("trial_id", "key", "value_json")))


class Database:
    """One database, opened; safe to use from several threads.

    url: as SQLAlchemy and Optuna open it (absolute path, driver named).

    Raises: InputError if the URL cannot be opened as it stands, StorageError if the database cannot.
    """

    def __init__(self, url: str):
        parsed = _checked(url)
        self.url = parsed.render_as_string(hide_password=False)
        self.local = parsed.get_backend_name() == "sqlite"
        secrets = [name for name in parsed.query if name.endswith(("password", "passwd"))]
        self.shown = parsed.difference_update_query(secrets).render_as_string()
        self._options: dict[str, Any] = (
            {"connect_args": {"timeout": BUSY_SECONDS}}
            if self.local
            else {"connect_args": {"connect_timeout": CONNECT_SECONDS}, "pool_pre_ping": True}
        )
        try:
            self._engine = sa.create_engine(parsed, **self._options)
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            extra = "postgresql" if parsed.get_backend_name() == "postgresql" else "mysql"
            told = f"{_line(error)}; pip install 'staged-tuner[{extra}]' brings one"
            raise InputError(f"--storage: {self.shown} needs a driver that is not installed: {told}") from error
        if self.local:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._writer = self._engine.execution_options(immediate=True)
        self._prepare()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction: all of it is kept, on disk, or nothing."""
        with self._explained(), self._writer.begin() as connection:
            yield connection

    def storage(self) -> optuna.storages.RDBStorage:
        """Optuna's storage of this database, to be written `through` a transaction.

        Raises: StorageError if it was written by an Optuna whose tables this one does not know.
        """
        with self._explained():
            try:
                storage = optuna.storages.RDBStorage(self.url, engine_kwargs=self._options)
            except RuntimeError as error:
                raise StorageError(f"{self.shown}: {_line(error)}") from error
        storage.engine.dispose()
        return storage

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
            if getattr(getattr(cause, "orig", None), "sqlite_errorname", "") == "SQLITE_NOTADB":
                raise InputError(f"--storage: {self.shown}: expected an SQLite database, got another kind of file") from error
            raise StorageError(f"{self.shown}: {_line(getattr(cause, 'orig', None) or cause)}") from error

    def _prepare(self) -> None:
        """Create the tables where they are missing. Several processes may do so at once: who came second finds it done."""
        for attempt in range(6):
            try:
                if not self._has_schema():
                    self._create()
                return
            except StorageError:
                if attempt == 5 or not self._reachable():
                    raise
                time.sleep(0.1 * 2**attempt)

    def _reachable(self) -> bool:
        try:
            with self.read() as connection:
                return connection.execute(sa.select(sa.literal(1))).scalar() == 1
        except StorageError:
            return False

    def _has_schema(self) -> bool:
        with self.read() as connection:
            there = set(sa.inspect(connection).get_table_names())
            if SCHEMAS.name not in there:
                return False
            row = connection.execute(sa.select(SCHEMAS)).one_or_none()
        if row is not None and row.version > SCHEMA:
            raise InputError(
                f"--storage: {self.shown} was written by a newer version: use staged-tuner {row.software} or later"
                f" (its schema is {row.version}, this version knows {SCHEMA})"
            )
        return row is not None and there.issuperset(TABLES.tables)  # an earlier version had fewer

    def _create(self) -> None:
        self.storage()  # creates Optuna's tables
        failpoint("database.begun")
        with self.write() as connection:
            TABLES.create_all(connection)
            connection.execute(insert_new(connection, SCHEMAS), {"id": 1, "version": SCHEMA, "software": _software()})
            failpoint("database.creating")
        failpoint("database.created")


def through(storage: optuna.storages.RDBStorage, connection: sa.Connection) -> optuna.storages.RDBStorage:
    """The storage, writing through the connection's transaction: its commits are ours, its rollbacks undo ours as well."""
    storage.scoped_session = sessionmaker(connection, join_transaction_mode="rollback_only")  # type: ignore[assignment]
    return storage


def clock(connection: sa.Connection) -> sa.ColumnElement[float]:
    """Now, in seconds since the epoch, by the database's clock."""
    return sa.literal_column(_CLOCKS[connection.dialect.name], sa.Double)


def insert_new(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that leaves rows alone whose key is already there."""
    if connection.dialect.name in ("mysql", "mariadb"):
        return sa.insert(table).prefix_with("IGNORE")
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def add_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert the rows (values in the order of the table's columns), but for those whose key is already there."""
    statement, names = insert_new(connection, table), table.columns.keys()
    if connection.dialect.name != "postgresql":
        connection.execute(statement, [dict(zip(names, row)) for row in rows])
        return
    # As one statement with one value: PostgreSQL's driver would send a statement a row.
    text = sa.literal(to_json(rows, inf_nan_mode="strings").decode(), sa.Text)
    row = sa.func.json_array_elements(sa.cast(text, postgresql.JSON)).column_valued("row")
    values = (sa.cast(row.op("->>")(place), column.type) for place, column in enumerate(table.columns))
    connection.execute(statement.from_select(names, sa.select(*values)))


def storable(text: str) -> str:
    """The text with what a database refuses (NUL, lone surrogates) written as escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _checked(url: str) -> sa.URL:
    """The URL as it is opened.

    Raises: InputError.
    """
    expected = "expected sqlite:///FOLDER/FILE.db or postgresql://USER:PASSWORD@HOST/NAME or mysql://..."
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InputError(f"--storage: {expected}, got {re.sub('//[^@]*@', '//***@', url)!r}") from error
    if backend not in _CLOCKS:
        raise InputError(f"--storage: {expected}, got the scheme {parsed.drivername!r}")
    if backend == "sqlite":
        return parsed.set(database=str(_sqlite_file(parsed.database)))
    driver = DRIVERS.get(parsed.drivername, "")
    return parsed.set(drivername=f"{parsed.drivername}+{driver}") if driver and importlib.util.find_spec(driver) else parsed


def _sqlite_file(name: str | None) -> Path:
    if not name or name == ":memory:":
        raise InputError("--storage: expected sqlite:///FOLDER/FILE.db, got a database in memory, which would be lost")
    path = Path(os.path.abspath(name))
    if not os.path.isdir(path.parent):
        raise InputError(f"--storage: the folder {path.parent} of {path.name} does not exist")
    _check_sqlite_file(path)
    if (kind := _file_system(path.parent.resolve())) in NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"--storage: {path} is on a network file system ({kind}), where SQLite is not safe;"
            " name a local folder or a PostgreSQL server"
        )
    return path


def _check_sqlite_file(path: Path) -> None:
    """Without opening it: closing it again would take away the locks that another connection of this process holds.

    Raises: InputError if it is there and is no file that can be read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"--storage: {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"--storage: {path}: expected an SQLite database, got {'a folder' if stat.S_ISDIR(mode) else 'no file'}")
    if not os.access(path, os.R_OK):
        raise InputError(f"--storage: {path}: may not be read by this user")


def _file_system(folder: Path) -> str:
    mounts = [mount for mount in psutil.disk_partitions(all=True) if folder.is_relative_to(mount.mountpoint)]
    return max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else ""


def _configure_sqlite(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    # Not WAL: up to SQLite 3.51.2 it can corrupt the file (sqlite.org/wal.html, "the WAL-reset bug").
    raw.execute("PRAGMA journal_mode=DELETE")
    raw.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes its lock first: one that begins as a reader may have to give up half-way, whatever the timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("immediate") else "BEGIN")


def _software() -> str:
    try:
        return importlib.metadata.version("staged-tuner")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
