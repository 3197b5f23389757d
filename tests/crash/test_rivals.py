"""What if two drivers want the same study, or one comes back that was taken for dead?"""

import sqlite3

import psutil
import pytest

from tests.crash.test_kills import compare
from tests.waiting import until


def frozen(home, at, *more):
    """A driver that has stopped at a failpoint, as a machine does that is suspended."""
    driver = home.start(*more, at=f"{at} SIGSTOP")
    until(lambda: psutil.Process(driver.pid).status() == psutil.STATUS_STOPPED or driver.exitcode is not None)
    assert driver.exitcode is None, home.said
    return driver


def content(home):
    """All that the study has on disk: the database's rows, and the files' bytes and times."""
    with sqlite3.connect(home.folder / "studies.db") as database:
        rows = list(database.iterdump())
    files = [path for path in (home.folder / "tune-runs").rglob("*.*") if path.is_file() and path.name != "tune.log"]
    return rows, {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize(
    "at",
    [
        "plan.told 5",
        pytest.param("state.kept 20", marks=pytest.mark.long),
        pytest.param("study.planned 3", marks=pytest.mark.long),
    ],
)
def test_a_second_driver_is_refused_and_a_frozen_one_writes_nothing_when_it_comes_back(home, best, at):
    first = frozen(home, at)
    assert home.run() == 4
    assert f"tune: study 'Slope' is being run by process {first.pid} on " in home.said
    with sqlite3.connect(home.folder / "studies.db") as database:
        database.execute("update tuner_studies set expires = 0")  # as half a minute does
    assert home.run() == 0, home.said
    rows, files = content(home)
    psutil.Process(first.pid).resume()
    assert home.exit_code(first) == 4
    now, left = content(home)
    gone = files.keys() - left.keys()  # a state of its own that the one it had just kept made superfluous
    assert now == rows and left.items() <= files.items() and {path.suffix for path in gone} <= {".ckpt"} and len(gone) <= 1
    compare(home, best)
