"""Does a run get over a database that is away, and go on by itself?"""

import sqlite3

import psutil
import pytest

from tests.crash.test_kills import compare
from tests.crash.test_rivals import frozen


def outage(home, best, begin, end, seconds):
    """Take the database away from a driver in the middle of its work, and give it back."""
    driver = frozen(home, "study.recorded 12")
    begin()
    try:
        psutil.Process(driver.pid).resume()
        driver.join(seconds)
        assert driver.exitcode is None
    finally:
        end()
    assert home.exit_code(driver) == 0
    compare(home, best)


@pytest.mark.parametrize("seconds", [1, pytest.param(45, marks=pytest.mark.long)])
def test_a_server_that_is_stopped(new_home, best, postgresql, seconds):
    home = new_home(postgresql.database())
    outage(home, best, postgresql.stop, postgresql.start, seconds)
    assert "trying again for" in (home.folder / "tune-runs/Slope/tune.log").read_text()


@pytest.mark.parametrize("seconds", [1, pytest.param(100, marks=pytest.mark.long)])
def test_a_file_that_another_process_holds(home, best, seconds):
    other = sqlite3.connect(home.folder / "studies.db", isolation_level=None)
    outage(home, best, lambda: other.execute("begin exclusive"), other.close, seconds)
