"""Does a study keep the number of processes that share its trials, and say what that makes of them?"""

import json

import pytest

from studies.ledger import Store
from studies.plan import Plan, constant
from trainables.task import load_task
from tuner.cli import _run
from tuner.settings import Settings

NORMED = """
from torch import nn
from trainables.tasks.digits import Digits
class Normed(Digits):
    def model(self): return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
"""
SHORT = ["--lrs", "0.1", "--max-steps", "24", "--eval-examples", "512", "--runner", "serial", "--json"]
START = ["stage1", "--task", "normed.py:Normed", *SHORT]


def stage(arguments, capsys):
    assert _run(arguments) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])["stages"][0]


def test_a_study_goes_on_with_its_number_and_another_number_trains_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "normed.py").write_text(NORMED)
    shared = stage([*START, "--processes", "2"], capsys)
    assert any(warning.startswith("processes: batch norm sees each") for warning in shared["warnings"])
    assert stage(["resume", "Normed", "--json"], capsys) == shared
    store = Store(f"sqlite:///{tmp_path}/tune-runs/studies.db")
    assert [record.settings["processes"] for record in store.studies()] == [2]
    store.close()
    alone = stage([*START, "--processes", "1"], capsys)
    assert not any("processes" in warning for warning in alone["warnings"])
    assert alone["steps_trained"] > 0  # none of the states of before
    assert _run(["clean", "Normed", "--json"]) == 0
    files = json.loads(capsys.readouterr().out.splitlines()[-1])["files"]
    assert files["outdated"]["files"] > 0 and files["needed"]["files"] > 0


@pytest.mark.parametrize(("processes", "sizes"), [(1, {32, 64, 128, 256}), (64, {64, 128, 256})])
def test_batches_that_are_too_small_to_share_are_not_tried(processes, sizes):
    digits, start = load_task("digits"), constant(Plan(batch_size=64), 0.1, 400)
    stage2 = Settings(processes=processes).resolve(digits).stage("stage2", digits)
    assert {plan.batch_size for plan in stage2.most(start)} == sizes
