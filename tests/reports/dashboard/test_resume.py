"""Resume: one driver, however often it is pressed; it is reaped, and it outlives the server."""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from reports.dashboard.driver import Drivers
from studies.errors import TaskError
from studies.ledger import Store
from studies.study import StudyState
from studies.workspace import default_storage
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import driving, serving
from tests.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("resumed")) as server:
        yield server


def press(server, study):
    return server.client.post(f"/tuner/api/v1/studies/{study}/resume", headers=server.changing, content="{}")


def test_a_hundred_presses_at_once_start_one_driver_which_outlives_the_server(tmp_path):
    with serving(tmp_path, hold=600) as server, ThreadPoolExecutor(100) as threads:
        sample.study(server.store, "flowers", workdir=tmp_path)
        answers = [answer.status_code for answer in threads.map(lambda _: press(server, "flowers"), range(100))]
        assert sorted(answers) == [202] + [409] * 99
        until(lambda: server.store.record("flowers").state is StudyState.RUNNING)
        assert press(server, "flowers").status_code == 409
        assert len(server.starts()) == 1

        driver = psutil.Process(server.starts()[0])
        assert driver.parent().pid == server.process.pid
        assert not any(server.store.url in word for word in driver.cmdline())  # it may hold a password
        assert driver.environ()["TUNE_STORAGE"] == server.store.url
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 0
        assert driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE


def test_a_driver_that_ends_is_reaped_and_leaves_its_words(server):
    sample.study(server.store, "tulips", workdir=server.workdir)
    pid = press(server, "tulips").json()["pid"]
    until(lambda: not psutil.pid_exists(pid))
    assert server.store.record("tulips").state is StudyState.DONE
    assert (server.workdir / "tulips" / "resume.log").read_text() == "driving\n"
    refused = press(server, "tulips")
    assert refused.status_code == 409
    assert refused.json()["error"] == "tulips is not resumed. It is done: all that it was started for is decided."


def test_a_driver_that_has_left_the_study_keeps_nobody_from_resuming_it(tmp_path):
    with closing(Store(default_storage(tmp_path))) as store:
        sample.study(store, "asters")
        drivers = Drivers(store, tmp_path, lambda name, workdir: [sys.executable, "-c", "import time; time.sleep(60)"])
        process = drivers.resume("asters").process
        before = store.record("asters")
        after = replace(before, owner=f"here:{process.pid}")  # it closes its workers
        assert drivers.starting(before) and drivers.refusal(before) == f"It is being resumed (process {process.pid})."
        assert not drivers.starting(after) and drivers.refusal(after) == ""
        process.kill()


def test_a_study_that_failed_starts_without_its_old_reason_and_a_stop_is_no_failure(server):
    with pytest.raises(TaskError), server.store.drive("asters", {"workdir": str(server.workdir)}) as driver:
        sample.write(driver, sample.stage1(decided=False))
        raise TaskError("every trial failed")
    trial = server.client.get("/studies/asters/trials/stage1/1").text
    assert "The task raised" in trial and "goes on without" not in trial
    assert 'id="extend"' in trial and 'id="overrule"' not in trial
    (server.workdir / "stopped").touch()
    pid = press(server, "asters").json()["pid"]
    starting = server.client.get("/tuner/api/v1/studies/asters").json()
    assert (starting["state"], starting["reason"]) == ("starting", "")
    until(lambda: not psutil.pid_exists(pid))
    (server.workdir / "stopped").unlink()
    page = server.client.get("/studies/asters").text
    assert "every trial failed" in page and "exit code" not in page


def test_what_somebody_else_drives_is_not_resumed(server):
    with driving(server.workdir, "roses") as driver:
        refused = press(server, "roses")
        assert refused.status_code == 409 and f":{driver.pid}." in refused.json()["error"]
        driver.kill()
        driver.wait()
        assert press(server, "roses").status_code == 202
        until(lambda: server.store.record("roses").state is StudyState.DONE)
        assert len(server.starts("roses")) == 2


def test_a_study_that_is_not_there_is_not_resumed(server):
    refused = press(server, "nobody")
    assert refused.status_code == 404 and "no study 'nobody'" in refused.json()["error"]
