"""What do the tests share? Real servers of PostgreSQL and MariaDB, and a store that speaks S3."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from random import SystemRandom

import pytest

from studies.ledger import Store


def pytest_collection_modifyitems(items: list[pytest.Item]):
    """What takes longest comes first: of the processes of `make test`, none is to be left alone with it at the end."""
    items.sort(key=lambda item: [not item.nodeid.startswith(f"tests/{room}/") for room in ("tuner", "crash")])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each of them carries out whole files, in this order, and one of them all of the runners', which share a Ray."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "runners" if nodeid.startswith("tests/tuner/runners/") else super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport):
    """Half a character, which some tests have logged, cannot be sent from one process to another."""
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]


def run_as(user: str, folder: Path) -> list[str]:
    """The words before a server's command: a server does not run as root. Its folder is the user's then."""
    if os.geteuid():
        return []
    shutil.chown(folder, user, user)
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig=QUIT"]


def free_port() -> int:
    """One of those that no outgoing connection and no worker of Ray is given: a server that was stopped finds it free again."""
    while True:
        with suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port := SystemRandom().randint(20_000, 32_000)))
            return port


def wait_for(server: subprocess.Popen, ask: Callable[[], subprocess.CompletedProcess], log: Path):
    """Until a server that has been started answers."""
    deadline = time.monotonic() + 30
    while (said := ask()).returncode:
        alive = server.poll() is None and time.monotonic() < deadline
        assert alive, f"{said.stdout}{said.stderr}{log.read_text()}"
        time.sleep(0.05)


class PostgreSQL:
    """A server of its own on a free loopback port."""

    def __init__(self, binaries: Path, folder: Path):
        self._binaries, self._folder, self._names = binaries, folder, count()
        self._as, self._port = run_as("postgres", folder), free_port()
        self._call("initdb", "--auth=trust", "--username=tuner", "--no-sync", f"--pgdata={folder / 'data'}")

    def start(self):
        command = [self._binaries / "postgres", "-D", self._folder / "data", "-p", str(self._port), "-k", self._folder]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]  # the machine itself is never killed here
        with open(self._folder / "log", "ab") as log:
            self._server = subprocess.Popen([*self._as, *command, *options], cwd=self._folder, stdout=log, stderr=log)
        wait_for(self._server, lambda: self._call("pg_isready", *self._where, check=False), self._folder / "log")

    def stop(self, how: int = signal.SIGINT):
        """Without waiting for the clients: their connections break."""
        self._server.send_signal(how)
        self._server.wait(30)

    def database(self) -> str:
        """The URL of a fresh database."""
        name = f"tuner{next(self._names)}"
        self._call("createdb", *self._where, name)
        return f"postgresql://tuner@127.0.0.1:{self._port}/{name}"

    def empty(self, url: str):
        """Remove all rows of a storage."""
        tables = "studies, tuner_studies, tuner_stages, tuner_trials, tuner_points, tuner_decisions, tuner_wishes, tuner_stops"
        self._call("psql", *self._where, "--command", f"TRUNCATE {tables} CASCADE", url.rsplit("/")[-1])

    @property
    def _where(self):
        return ["--host=127.0.0.1", f"--port={self._port}", "--username=tuner"]

    def _call(self, program, *arguments, check=True):
        command = [*self._as, self._binaries / program, *arguments]
        return subprocess.run(command, cwd=self._folder, check=check, capture_output=True, text=True)


@contextmanager
def running_postgresql():
    """A running server; None where PostgreSQL is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = [*reversed(installed), *(Path(path).resolve().parent for path in [shutil.which("initdb")] if path)]
    if not found:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="tuner-postgresql-"))  # not under tmp_path, which is closed to other users
    server = PostgreSQL(found[0], folder)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql():
    """A running server; skipped where PostgreSQL is not installed, but not in CI."""
    with running_postgresql() as server:
        if server is None:
            reason = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        yield server


@pytest.fixture(scope="session")
def mariadb():
    """Makes a fresh database on a running server, and says its URL; skipped where MariaDB is not installed."""
    if not shutil.which("mariadbd"):
        pytest.skip("MariaDB's server is not installed (Debian: apt-get install mariadb-server)")
    folder, port = Path(tempfile.mkdtemp(prefix="tuner-mariadb-")), free_port()
    start, names = run_as("mysql", folder), (f"tuner{i}" for i in count())
    options = [f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}", "--skip-grant-tables"]
    subprocess.run([*start, "mariadb-install-db", "--no-defaults", options[0]], check=True, capture_output=True)
    command = ["mariadbd", "--no-defaults", *options, f"--port={port}", "--bind-address=127.0.0.1"]
    with open(folder / "log", "ab") as log:
        server = subprocess.Popen([*start, *command], stdout=log, stderr=log)

    def say(statement: str) -> subprocess.CompletedProcess:
        return subprocess.run(["mariadb", options[1], "--execute", statement], capture_output=True, text=True)

    def database() -> str:
        say(f"CREATE DATABASE {(name := next(names))}").check_returncode()
        return f"mysql://tuner@127.0.0.1:{port}/{name}"

    try:
        wait_for(server, lambda: say("SELECT 1"), folder / "log")
        yield database
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bucket():
    """The URL of a bucket in an S3 store on a free loopback port; processes started from here find it, too."""
    import fsspec
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "tuner")
        fsspec.filesystem("s3").mkdir("tuner-tests")
        yield "s3://tuner-tests"
    server.stop()


@pytest.fixture(scope="session")
def sqlite_storage(tmp_path_factory):
    """The file of a storage with all tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("prepared") / "studies.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgresql_storage(postgresql):
    """The URL of a storage with all tables, to be emptied before use."""
    Store(url := postgresql.database()).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.long)])
def storage_url(request, tmp_path):
    """An empty storage, on each kind of database."""
    if request.param == "mariadb":
        return request.getfixturevalue("mariadb")()
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_storage'), tmp_path)}"
    url = request.getfixturevalue("postgresql_storage")
    request.getfixturevalue("postgresql").empty(url)
    return url
