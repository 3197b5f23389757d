"""A real server process for the tests, on a real SQLite file, and a real browser."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import psutil

from studies.ledger import Store
from studies.workspace import default_storage

ROOT = Path(__file__).parents[3]


@dataclass
class Server:
    """A dashboard that is being served. link: as it was announced."""

    process: subprocess.Popen
    link: str
    workdir: Path
    store: Store

    @property
    def base(self) -> str:
        return self.link.partition("/?")[0]

    @property
    def host(self) -> str:
        return self.base.removeprefix("http://")

    def starts(self, study: str = "") -> list[int]:
        """The processes of the drivers that were started (of one study), in order."""
        file = self.workdir / "starts"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(line.split()[0]) for line in lines if line.endswith(study)]

    @cached_property
    def client(self) -> httpx.Client:
        """Logged in, as a browser is that has followed the link."""
        client = self.stranger()
        client.get(self.link)
        return client

    def stranger(self) -> httpx.Client:
        return httpx.Client(base_url=self.base, timeout=30)

    @property
    def changing(self) -> dict[str, str]:
        """The headers of a change that is taken."""
        return {"origin": self.base, "content-type": "application/json"}


@contextmanager
def serving(workdir: Path, hold: float = 0.0, command: Sequence[str] = ()) -> Iterator[Server]:
    """A server whose Resume starts the small driver; command: another one."""
    command = command or [
        sys.executable,
        "-m",
        "tests.reports.dashboard.start",
        default_storage(workdir),
        str(workdir),
        str(hold),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    server = Server(process, "", workdir, Store(default_storage(workdir)))
    try:
        server.link = re.search(r"http://\S+", process.stdout.readline()).group()
        yield server
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        server.store.close()
        for pid in server.starts():
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()


@contextmanager
def driving(workdir: Path, name: str) -> Iterator[subprocess.Popen]:
    """A driver at work in a process of its own, until it is killed."""
    command = [sys.executable, "-m", "tests.reports.dashboard.driver", "run", name]
    command += ["--storage", default_storage(workdir), "--workdir", str(workdir), "--hold", "600"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "driving\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
