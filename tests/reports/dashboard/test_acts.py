"""What a page may ask for is written down as a wish, refused in words where it cannot be, and taken up by a driver."""

import io
import zipfile

import pytest

from reports.export import read_export
from studies.study import StudyState
from studies.wish import Extend, Note, Overrule, Rate
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import driving, serving
from tests.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("asked")) as server:
        yield server


@pytest.fixture
def study(server, request):
    """A study of its own for each test; its name."""
    name = request.node.name.partition("[")[0].replace("_", "-")[:80]
    sample.study(server.store, name, sample.stage1(), sample.stage2(), workdir=server.workdir, done=True)
    return name


def ask(server, address, **body):
    return server.client.post(f"/tuner/api/v1/studies/{address}", headers=server.changing, json=body)


def test_a_rate_an_extension_and_another_winner_are_written_down_for_the_next_driver(server, study):
    store = server.store
    assert ask(server, f"{study}/rates", lr=0.07).json()["told"] == "Written down: try lr 0.07 in stage1. Now resume the study."
    assert ask(server, f"{study}/trials/stage1/3/extend", steps=9000).status_code == 202
    told = ask(server, f"{study}/stages/stage1/overrule", number=2, reason="it is steadier").json()["told"]
    assert told == "Written down: let lr 0.3, batch size 64, momentum 0.9 win stage1. Now resume the study."
    assert ask(server, f"{study}/stages/stage1/overrule", number=None).status_code == 202
    steadier, longer = (store.trial(study, "stage1", number).plan for number in (2, 3))
    assert [record.wish for record in store.wishes(study)] == [
        Rate(lr=0.07),
        Extend(stage="stage1", plan=longer.to(9000)),
        Overrule(stage="stage1", plan=steadier, reason="it is steadier"),
        Overrule(stage="stage1"),
    ]
    assert store.record(study).state is StudyState.STOPPED
    assert server.starts(study) == []


def test_a_note_is_written_on_the_study_or_on_a_trial_and_shown_as_it_was_written(server, study):
    assert ask(server, f"{study}/notes", text=sample.HOSTILE).json() == {"told": "Written down."}
    assert ask(server, f"{study}/notes", text="look here", stage="stage1", number=3).status_code == 202
    assert [record.wish for record in server.store.wishes(study)][1:] == [Note(text="look here", stage="stage1", number=3)]
    page = until(lambda: "look here" in (text := server.client.get(f"/studies/{study}").text) and text)
    assert sample.HOSTILE not in page and "&lt;script&gt;" in page
    assert "look here" in server.client.get(f"/studies/{study}/trials/stage1/3").text
    assert "look here" not in server.client.get(f"/studies/{study}/trials/stage1/4").text
    assert server.store.record(study).state is StudyState.DONE


@pytest.mark.parametrize(
    ("address", "body", "why"),
    [
        ("stop", {}, "is not running, it is done"),
        ("rates", {"lr": 0}, "lr: input should be greater than or equal to 0.0000000001"),
        ("rates", {"lr": 1e5}, "lr: input should be less than or equal to 10000"),
        ("trials/stage1/3/extend", {"steps": 6000}, "ends at step 6000; expected a later end, got 6000"),
        ("trials/stage1/0/extend", {"steps": 9000}, "trial 0 of stage1 diverged; expected one that can go on"),
        ("trials/stage1/99/extend", {"steps": 9000}, "has no trial 99"),
        ("trials/stage9/0/extend", {"steps": 9000}, "its stages are: stage1, stage2"),
        ("stages/stage1/overrule", {"number": 2}, "reason: expected why this trial is to win"),
        ("stages/stage1/overrule", {"number": None}, "there is nothing to take back"),
        ("notes", {"text": "  "}, "text: expected what there is to say"),
        ("notes", {"text": "on what?", "number": 3}, "trial 3 of which stage?"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(server, study, address, body, why):
    answer = ask(server, f"{study}/{address}", **body)
    assert answer.status_code == 400 and why in answer.json()["error"]
    assert server.store.wishes(study) == []


def test_what_is_asked_of_a_study_that_is_driven_is_its_drivers_and_it_can_be_stopped(server):
    with driving(server.workdir, "driven") as driver:
        told = ask(server, "driven/rates", lr=0.07, resume=True).json()["told"]
        assert f":{driver.pid}, takes it up by itself" in told
        assert f":{driver.pid} to finish its steps, save and leave" in ask(server, "driven/stop").json()["told"]
        assert len(server.starts("driven")) == 1


def test_what_is_asked_of_a_stopped_study_may_resume_it(server, study):
    told = ask(server, f"{study}/rates", lr=0.07, resume=True).json()
    [pid] = until(lambda: server.starts(study))
    assert told["told"] == f"Written down: try lr 0.07 in stage1. Started: process {pid}."


def test_what_is_asked_while_the_driver_starts_is_taken_and_starts_no_other(server, study):
    first, second = (ask(server, f"{study}/rates", lr=lr, resume=True) for lr in (0.07, 0.08))
    assert (first.status_code, second.status_code) == (202, 202)
    assert "takes it up by itself" in second.json()["told"]
    assert len(server.store.wishes(study)) == 2 and len(until(lambda: server.starts(study))) == 1


def test_report_and_configuration_are_downloaded(server, study, tmp_path):
    report = server.client.get(f"/studies/{study}/report.zip")
    assert report.headers["content-disposition"] == f'attachment; filename="{study}.zip"'
    files = zipfile.ZipFile(io.BytesIO(report.content)).namelist()
    assert {f"{study}/index.html", f"{study}/tables/trials.csv", f"{study}/figures/stage1-loss.png"} <= set(files)
    (tmp_path / "best.yaml").write_bytes(server.client.get(f"/studies/{study}/best.yaml").content)
    assert read_export(tmp_path / "best.yaml").plan == server.store.decisions(study)[-1].winner


def test_there_is_no_configuration_before_a_decision(server):
    sample.study(server.store, "undecided", sample.stage1(decided=False), workdir=server.workdir)
    answer = server.client.get("/studies/undecided/best.yaml")
    assert answer.status_code == 409 and "has no decision yet" in answer.text
