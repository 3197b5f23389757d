"""How does the dashboard bear a large study and many who watch it?

Absolute figures, without a peer: a study of 10,000 trials with a million points, which its driver goes on writing to. The
first view of it by a browser that has just logged in, on a server that has just started, and what comes over the wire (with
compression, as browsers ask for it; the cached assets apart); the same of a trial, and of a stage's curves once they are
drawn; then polls by 100 watchers, each every two seconds.
"""

import asyncio
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from studies.ledger import Store
from studies.plan import Plan, constant
from studies.trial import Metric, Point, Progress
from studies.workspace import default_storage
from tests.benchmarks.table import Result, under
from tests.reports.dashboard.conftest import Server, serving
from tests.waiting import until

EVERY, LONG = 2.0, 20.0
STEPS = 10_000
TOLD = 100
"""Trials whose points are their own; those of the others repeat them."""


def measure(runs: int = 5, small: bool = False) -> Result:
    """One large study, looked at by `runs` servers, one after the other."""
    trials, watchers, long = (100, 10, 3.0) if small else (10_000, 100, LONG)
    views: dict[str, list[tuple[float, float]]] = {}
    polls = []
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        with large(workdir, trials):
            for _ in range(1 if small else runs):
                with serving(workdir) as server:
                    for name, address in ADDRESSES.items():
                        views.setdefault(name, []).append(_looked_at(server, address))
                    charts = until(lambda: (found := _looked_at(server, CHARTS))[1] > 1 and found, seconds=60)
                    views.setdefault("its charts' curves, drawn", []).append(charts)
                    polls.append(_polled(server, watchers, long))
    seconds = [under(f"{name}, first view", [one for one, _ in found], 1, " s") for name, found in views.items()]
    sizes = [under(f"{name}, over the wire", [size for _, size in found], 300, " kB") for name, found in views.items()]
    return Result((*seconds, *sizes, under(f"a poll, p99 of {watchers} watchers", polls, 250, " ms")))


ADDRESSES = {
    "all studies": "/",
    "a study": "/studies/large",
    "a stage's trials": "/studies/large/stages/stage2?page=20",
    "a trial": "/studies/large/trials/stage2/42",
}
CHARTS = "/tuner/api/v1/studies/large/stages/stage2/charts"


@contextmanager
def large(workdir: Path, trials: int, each: int = 100) -> Iterator[None]:
    """A study of so many trials of so many points, under way: its driver adds a point every half second."""
    plans = [constant(Plan(batch_size=32 << i % 4, seed=i // 400), 1e-4 * 1.02 ** (i // 4 % 100), STEPS) for i in range(trials)]
    store, over = Store(default_storage(workdir)), threading.Event()
    with store.drive("large", {"task": "digits", "workdir": str(workdir)}) as driver:
        study = driver.stage("stage2", Metric(name="accuracy", mode="max"))
        study.plan(plans[:TOLD])
        for place, plan in enumerate(plans[:TOLD]):
            points = (Point((i + 1) * STEPS // 2 // each, _values(place * each + i), i / 10) for i in range(each))
            study.record(Progress(plan, tuple(points)))
        _multiply(workdir, plans)

        def go_on() -> None:
            step = STEPS // 2
            while not over.wait(0.5):
                step += 1
                study.record(Progress(plans[0], (Point(step, _values(step), 60.0),)))

        writer = threading.Thread(target=go_on)
        writer.start()
        try:
            yield
        finally:
            over.set()
            writer.join()
    store.close()


def _values(seed: int) -> dict[str, float]:
    """With as many digits as measured ones have."""
    noise = random.Random(seed)
    return {name: noise.random() for name in ("train_loss", "lr", "val_loss", "accuracy", "update_ratio")}


def _multiply(workdir: Path, plans: list[Plan]) -> None:
    """The first plans' rows and points for all of the plans, without the minutes that a driver would take."""
    with closing(sqlite3.connect(workdir / "studies.db", isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        [first] = raw.execute("SELECT min(trial_id) FROM tuner_trials").fetchone()
        more = range(TOLD, len(plans))
        raw.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state) SELECT ?, ?, study_id, state FROM trials WHERE trial_id = ?",
            [(first + i, i, first) for i in more],
        )
        raw.executemany(
            "INSERT INTO tuner_trials (trial_id, study_id, fingerprint, line, plan, steps, state, last, begun, error)"
            " SELECT ?, study_id, fingerprint, ?, ?, steps, state, last, begun, error FROM tuner_trials WHERE trial_id = ?",
            [(first + i, plans[i].line, plans[i].model_dump_json(), first) for i in more],
        )
        raw.execute(
            "INSERT INTO tuner_points SELECT t.trial_id, p.step, p.seconds, p.measured"
            " FROM tuner_trials t JOIN tuner_points p ON p.trial_id = :first + (t.trial_id - :first) % :told"
            " WHERE t.trial_id >= :first + :told",
            {"first": first, "told": TOLD},
        )
        raw.execute("COMMIT")


def _looked_at(server: Server, address: str) -> tuple[float, float]:
    """Seconds until the whole answer is there, and kilobytes of it on the wire."""
    client = server.client
    began = time.perf_counter()
    with client.stream("GET", address, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.status_code == 200
        size = sum(len(part) for part in answer.iter_raw())
    return time.perf_counter() - began, size / 1000


def _polled(server: Server, watchers: int, long: float) -> float:
    """Milliseconds that 99 of 100 polls are answered within."""

    async def watch(place: int) -> list[float]:
        """One browser, with a connection of its own."""
        async with httpx.AsyncClient(base_url=server.base, cookies=cookies, timeout=60, verify=False) as client:
            await asyncio.sleep(EVERY * place / watchers)
            taken, end = [], time.monotonic() + long
            while time.monotonic() < end:
                began = time.perf_counter()
                answer = await client.get("/tuner/api/v1/studies/large")
                taken.append(time.perf_counter() - began)
                assert answer.status_code == 200
                await asyncio.sleep(max(0, EVERY - taken[-1]))
            return taken

    async def all_of_them() -> list[float]:
        return sum(await asyncio.gather(*map(watch, range(watchers))), [])

    cookies = server.client.cookies
    taken = sorted(asyncio.run(all_of_them()))
    return 1000 * taken[int(0.99 * len(taken))]
