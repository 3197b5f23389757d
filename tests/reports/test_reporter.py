"""Does the process beside the driver write the report that the driver would, draw nothing twice, and go when the driver goes?"""

import signal
import subprocess
import sys

import psutil
import pytest

from reports import page
from reports.page import report_study, write_report
from reports.reporter import Reporter
from studies.errors import InputError
from studies.ledger import Store
from studies.plan import Plan, constant
from studies.trial import Metric, Point, Progress, State
from tests.reports.sample import RECORD, stage1, stage3

PLAN = constant(Plan(), 0.1, 20)


@pytest.fixture
def store(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/studies.db")
    with store.drive("mine", {"task": "digits"}) as driver:
        study = driver.stage("stage1", Metric(name="accuracy", mode="max"), "f" * 64)
        study.plan([PLAN])
        points = tuple(Point(step, {"train_loss": 1 / step, "accuracy": 1 - 1 / step}, 0.1) for step in (5, 10, 20))
        study.record(Progress(PLAN, points, 0, State.COMPLETE))
        driver.done()
    yield store
    store.close()


@pytest.fixture
def reporter(store, tmp_path):
    reporter = Reporter(store, "mine", tmp_path / "beside")
    yield reporter
    reporter.close()


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_written_beside_is_what_is_written_here(store, reporter, tmp_path):
    reporter.ask()
    reporter.start()
    reporter.ask()
    beside = psutil.Process(reporter._process.pid)
    assert reporter.finish() == tmp_path / "beside" / "index.html"
    assert beside.nice() == 19
    report_study(store, "mine", tmp_path / "here")
    assert files(tmp_path / "beside") == files(tmp_path / "here")
    reporter.close()
    assert not beside.is_running()


def test_a_stage_is_drawn_again_only_when_it_has_changed(tmp_path, monkeypatch):
    drawn, names, figures = {}, [], page.figures
    monkeypatch.setattr(page, "figures", lambda stage: names.append(stage.name) or figures(stage))
    for stages in ([stage1(decided=False)], [stage1(), stage3()], [stage1(), stage3()]):
        write_report(tmp_path / "report", RECORD, stages, drawn=drawn)
    assert names == ["stage1", "stage1", "stage3"]
    write_report(tmp_path / "anew", RECORD, stages)
    assert files(tmp_path / "report") == files(tmp_path / "anew")


def test_when_the_process_has_died_or_cannot_write_it_is_written_here(reporter, tmp_path):
    reporter.start()
    reporter.ask()
    reporter._process.kill()
    assert reporter.finish().read_text().rstrip().endswith("</html>")


def test_what_is_wrong_is_told(store, tmp_path):
    reporter = Reporter(store, "nobodys", tmp_path / "report")
    reporter.start()
    with pytest.raises(InputError, match="nobodys"):
        reporter.finish()
    reporter.close()


ALONE = """
import signal, sys, time
from pathlib import Path
from reports.reporter import Reporter
from studies.ledger import Store
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background ignore
    url, folder = sys.argv[1:]
    reporter = Reporter(Store(url), "mine", Path(folder))
    reporter.start()
    reporter.ask()
    print(reporter._process.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_with_who_asks_and_leaves_a_whole_page_or_none(number, store, tmp_path):
    (tmp_path / "alone.py").write_text(ALONE)
    command = [sys.executable, str(tmp_path / "alone.py"), store.url, str(tmp_path / "report")]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    beside = psutil.Process(int(asking.stdout.readline()))
    beside.send_signal(signal.SIGINT)  # which a terminal sends to all
    asking.send_signal(number)
    said = asking.communicate(timeout=30)[1]
    assert beside.wait(timeout=30) in (0, None) and said.count("Traceback") <= (number == signal.SIGINT)
    pages = list((tmp_path / "report").glob("index.html"))
    assert all(page.read_text().rstrip().endswith("</html>") for page in pages)
