"""Does a study that an earlier version wrote still open? studies-VERSION.sql: a storage as that version left it."""

import sqlite3
from pathlib import Path

import pytest

from studies.ledger import Store
from tuner.cli import _run

WRITTEN = sorted(Path(__file__).parent.glob("studies-*.sql"))

TASK = """import torch
from torch import nn
from trainables import Task


class Slope(Task):
    def data(self):
        inputs = torch.linspace(-1, 1, 32).reshape(-1, 1)
        return (inputs, 3 * inputs), (inputs, 3 * inputs)

    def model(self):
        return nn.Linear(1, 1)
"""


@pytest.fixture(params=WRITTEN, ids=lambda path: path.stem)
def url(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slope.py").write_text(TASK)
    (tmp_path / "tune-runs").mkdir()
    connection = sqlite3.connect(tmp_path / "tune-runs" / "studies.db")
    connection.executescript(request.param.read_text().replace("HOME", str(tmp_path)))
    connection.close()
    return f"sqlite:///{tmp_path}/tune-runs/studies.db"


def test_it_opens_and_is_handed_on(url, tmp_path, capsys):
    store = Store(url)
    assert store.stages("Slope") == ["stage1", "stage2", "stage3"]
    assert all(trial.points for stage in store.stages("Slope") for trial in store.trials("Slope", stage))
    winner = store.decisions("Slope")[-1].winner
    assert _run(["status", "Slope"]) == _run(["report", "Slope"]) == _run(["export", "Slope"]) == 0
    assert f"lr: {winner.lr:g}" in (tmp_path / "tune-runs" / "Slope" / "best.yaml").read_text()
    assert "Slope" in capsys.readouterr().err


def test_it_goes_on_and_keeps_what_it_had(url):
    store = Store(url)
    before = {(stage, trial.number): trial for stage in store.stages("Slope") for trial in store.trials("Slope", stage)}
    assert _run(["resume", "Slope"]) == 0
    after = {(stage, trial.number): trial for stage in store.stages("Slope") for trial in store.trials("Slope", stage)}
    assert all(after[key].points[: len(trial.points)] == trial.points for key, trial in before.items())


def test_one_of_a_later_version_says_which_to_use(url, tmp_path, capsys):
    connection = sqlite3.connect(tmp_path / "tune-runs" / "studies.db")
    with connection:
        connection.execute("update tuner_schema set version = 99, software = '9.1'")
    connection.close()
    for arguments in (["status"], ["resume", "Slope"], ["run", "--task", "slope.py:Slope", "--runner", "serial"]):
        assert _run(arguments) == 2
        assert "use staged-tuner 9.1 or later" in capsys.readouterr().err


def test_a_setting_that_is_not_known_here_says_what_to_do(url, tmp_path, capsys):
    connection = sqlite3.connect(tmp_path / "tune-runs" / "studies.db")
    with connection:
        connection.execute("""update tuner_studies set settings = replace(settings, '"refine"', '"colour"')""")
    connection.close()
    assert _run(["resume", "Slope"]) == 2
    told = capsys.readouterr().err
    assert "colour" in told and "version of staged-tuner" in told and len(told.splitlines()) == 1
