"""Resume: one driver, however often it is pressed; it is reaped, and it outlives the server."""

import signal
from concurrent.futures import ThreadPoolExecutor

import psutil

from studies.study import StudyState
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import driving, eventually, serving

RESUME = "/tuner/api/v1/studies/flowers/resume"


def press(server):
    return server.client.post(RESUME, headers=server.changing, content="{}")


def test_twenty_presses_at_once_start_one_driver(store, tmp_path):
    sample.study(store, "flowers", workdir=tmp_path)
    with serving(tmp_path, hold=600) as server, ThreadPoolExecutor(20) as threads:
        answers = [answer.status_code for answer in threads.map(lambda _: press(server), range(20))]
        assert sorted(answers) == [202] + [409] * 19
        eventually(lambda: store.record("flowers").state is StudyState.RUNNING)
        assert press(server).status_code == 409
        assert len(server.starts()) == 1

        driver = psutil.Process(server.starts()[0])
        assert driver.parent().pid == server.process.pid
        server.process.send_signal(signal.SIGINT)
        server.process.wait(15)
        assert driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE
        driver.kill()


def test_a_driver_that_ends_is_reaped_and_leaves_its_words(store, tmp_path):
    sample.study(store, "flowers", workdir=tmp_path)
    with serving(tmp_path) as server:
        pid = press(server).json()["pid"]
        eventually(lambda: not psutil.pid_exists(pid))
        assert store.record("flowers").state is StudyState.DONE
        assert (tmp_path / "flowers" / "resume.log").read_text() == "driving\n"
        refused = press(server)
        assert (refused.status_code, refused.json()["error"]) == (
            409,
            "flowers is not resumed. It is done: there is nothing left to do.",
        )


def test_what_somebody_else_drives_is_not_resumed(store, tmp_path):
    with driving(tmp_path, "flowers") as driver, serving(tmp_path) as server:
        refused = press(server)
        assert refused.status_code == 409 and f":{driver.pid}." in refused.json()["error"]
        driver.kill()
        driver.wait()
        assert press(server).status_code == 202
        eventually(lambda: store.record("flowers").state is StudyState.DONE)
        assert len(server.starts()) == 2


def test_a_study_that_is_not_there_is_not_resumed(store, tmp_path):
    with serving(tmp_path) as server:
        refused = press(server)
        assert refused.status_code == 404 and "no study 'flowers'" in refused.json()["error"]
