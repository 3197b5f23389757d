"""What does a run make of being asked to stop?"""

import os
import signal

from studies.ledger import Store
from studies.study import StudyState
from tests.crash.test_kills import RAY, compare, folders
from tests.waiting import until


def how(home):
    store = Store(home.storage)
    [record] = store.studies()
    store.close()
    return record.state, record.reason


def test_asked_once_it_saves_and_says_how_to_go_on(home, best):
    for at in ("state.swept 1 SIGINT", "study.recorded 9 SIGTERM", "state.aside 20 SIGINT", "study.deciding 1 SIGTERM"):
        assert home.run(at=at) == 130, at
        assert "again to go on" in home.said.splitlines()[-1]
        assert how(home) == (StudyState.STOPPED, "interrupted")
        home.check()
    assert home.run(at="file.moved 3 SIGTERM") == 130  # all is decided; it reports
    assert home.said.splitlines()[-1] == "tune: interrupted; run the same command again to go on"
    assert home.run() == 0, home.said
    compare(home, best)


def test_asked_twice_it_ends_at_once(home, best):
    for number in (signal.SIGINT, signal.SIGTERM):
        (stuck := home.folder / "stuck").touch()
        driver = home.start()
        until(stuck.read_text)
        os.kill(driver.pid, number)
        until(lambda: "once more to end at once" in home.said)
        os.kill(driver.pid, number)
        driver.join(20)
        assert driver.exitcode == 130
        assert how(home) == (StudyState.STOPPED, "interrupted")
        home.check()
        stuck.unlink()
    assert home.run() == 0, home.said
    compare(home, best)


def test_a_driver_of_workers_that_is_asked_leaves_none_of_them(home):
    driver = home.start(*RAY, at="study.recorded 9 SIGTERM")
    assert home.exit_code(driver) == 130, home.said
    assert "run again to go on" in home.said.splitlines()[-1]
    assert how(home) == (StudyState.STOPPED, "interrupted")
    home.check()
    assert not folders(driver)
