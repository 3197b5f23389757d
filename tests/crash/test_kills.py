"""Does a run that is killed at the worst of moments, or at any, end as if nothing had happened?"""

import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
NAMES = Counter(
    (name, path.relative_to(ROOT).as_posix())
    for room in ("studies", "trainables", "reports", "tuner")
    for path in sorted((ROOT / room).rglob("*.py"))
    for name in re.findall(r'\bfailpoint\("(.+?)"\)', path.read_text())
)
HERE = [name for name, path in NAMES if not name.startswith(("ray.", "worker."))]
OF_RAY = [name for name, path in NAMES if path.startswith(("trainables/", "tuner/runners/"))]
WORKERS = [name for name, path in NAMES if path.startswith("trainables/") and name != "state.swept"] + ["worker.arriving"]
RAY = ("--runner", "ray", "--workers", "2")
LATE = ("lease.rel", "run.", "file.")  # those that a run comes to at its end


def compare(home, best):
    home.check_done()
    assert home.best == best


def test_no_two_failpoints_have_the_same_name():
    assert len({name for name, _ in NAMES}) == NAMES.total() > 25


def test_a_driver_killed_at_each_failpoint_in_turn(new_home, best):
    """One study after another, each of whose drivers is killed elsewhere, until all have been come to."""
    home, names = new_home(), set(HERE) - {"file.moved", "run.exported"}  # behind a report's seconds: among the long ones
    for name in sorted(names, key=lambda name: (name.startswith(LATE), not name.startswith("database."), name)):
        code = home.run(at=f"{name} 1 SIGKILL")
        if not home.met():  # too late in this study's life
            assert code == 0, home.said
            compare(home, best)
            home = new_home()
            code = home.run(at=f"{name} 1 SIGKILL")
        assert (code, home.met()) == (-signal.SIGKILL, True), name
        if not name.startswith("database."):  # which a look at it would mend
            home.check()
    assert home.run() == 0, home.said
    compare(home, best)


@pytest.mark.long
@pytest.mark.parametrize("name", HERE)
def test_a_driver_killed_at_a_failpoint(home, best, name):
    for count in (1, 2, 5):
        assert home.run(at=f"{name} {count} SIGKILL") in (0, -signal.SIGKILL), home.said
        assert home.met() or count > 1, name
        home.check()
    assert home.run() == 0, home.said
    compare(home, best)


@pytest.mark.long
def test_drivers_killed_at_their_second_report(new_home, best):
    """It ends a plan, whose points no other driver will hear of."""
    home = new_home()
    while (code := home.run(at="study.recorded 2 SIGKILL")) == -signal.SIGKILL:
        home.check()
    assert code == 0, home.said
    compare(home, best)


def killed_at_random(new_home, best, kills, seed, longest, *more):
    """So many drivers killed at any moment; each study that comes to its end is compared, and another one begun."""
    home, moments = new_home(), random.Random(seed)
    while kills:
        driver = home.start(*more)
        driver.join(moments.uniform(0, longest))
        if driver.exitcode is None:
            driver.kill()
            kills -= 1
        if home.exit_code(driver) == 0:
            compare(home, best)
            home = new_home()
        else:
            assert driver.exitcode == -signal.SIGKILL, home.said
            home.check()
    assert home.run(*more) == 0, home.said
    compare(home, best)


def test_drivers_killed_at_random(new_home, best):
    killed_at_random(new_home, best, 20, seed=1, longest=1.5)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_300_drivers_killed_at_random(new_home, best):
    killed_at_random(new_home, best, 270, seed=2, longest=3)
    killed_at_random(new_home, best, 30, 3, 20, *RAY)


def folders(driver) -> list[Path]:
    """What Ray keeps for a driver."""
    return list(Path("/tmp").glob(f"tune-ray-*/session_*_{driver.pid}"))


def test_rays_processes_end_with_a_killed_driver_and_its_folder_is_swept(home, best):
    driver = home.start(*RAY, at="study.recorded 9 SIGKILL")
    assert home.exit_code(driver) == -signal.SIGKILL, home.said
    home.check()
    assert folders(driver)
    assert home.run(*RAY, at="state.aside 3 SIGKILL") == 0, home.said  # a worker's: its driver goes on
    assert home.met() and not folders(driver)
    compare(home, best)


@pytest.mark.long
@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_killed_at_a_failpoint(home, best, name):
    code = home.run(*RAY, at=f"{name} {1 if name.startswith('worker.') else 4} SIGKILL")
    assert (code in (0, -signal.SIGKILL), home.met()) == (True, True), home.said  # a driver passes some of them, too
    home.check()
    assert code == 0 or home.run(*RAY) == 0, home.said
    compare(home, best)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in OF_RAY if name not in WORKERS])
def test_a_driver_of_workers_killed_at_a_failpoint(home, best, name):
    assert home.run(*RAY, at=f"{name} 1 SIGKILL") == -signal.SIGKILL, home.said
    home.check()
    assert home.run(*RAY) == 0, home.said
    compare(home, best)


@pytest.mark.long
def test_workers_killed_at_random(home, best):
    driver, moments, kills = home.start(*RAY), random.Random(4), 0
    while driver.exitcode is None:
        time.sleep(moments.uniform(0, 4))
        busy = [process for process in home.survivors() if carries_out(process)]
        if busy and kills < 6:
            busy[0].kill()
            kills += 1
    assert driver.exitcode == 0, home.said
    compare(home, best)


def carries_out(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[0] == "ray::Worker.carry_out"
    except (psutil.Error, IndexError):
        return False
