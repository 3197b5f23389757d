"""What does the program say of itself, and how soon; and where does it look for a storage?"""

import subprocess
import sys

import pytest

from tuner.cli import _run
from tuner.options import FINISH
from tuner.stages.stage5 import WAYS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_answers_at_once_and_names_every_command():
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "tuner", "--help"], capture_output=True, text=True)
    commands = ("run", "stage1", "stage2", "stage3", "resume", "status", "report", "export", "train", "clean", "dashboard")
    commands += ("check", "stage4", "finish", "trials", "stop", "add", "extend", "overrule", "note")
    assert all(f"  {name} " in done.stdout for name in commands)
    assert f"{', '.join(WAYS)}." in FINISH["skip"].__metadata__[0].help  # importing them would take too long
    heavy = ("torch", "ray", "optuna", "pandas", "matplotlib", "sqlalchemy")
    assert not [line for line in done.stderr.splitlines() if line.rpartition("|")[2].strip() in heavy]


def test_the_storage_may_be_named_by_the_environment_and_an_option_goes_first(folder, capsys, monkeypatch):
    monkeypatch.setenv("TUNE_STORAGE", f"sqlite:///{folder}/mine.db")
    assert _run(["status"]) == 0 and (folder / "mine.db").exists() and not (folder / "tune-runs").exists()
    assert _run(["status", "--storage", f"sqlite:///{folder}/other.db"]) == 0 and (folder / "other.db").exists()
    monkeypatch.setenv("TUNE_STORAGE", "postgresql://me:secret@h:99x/x")
    assert _run(["status"]) == 2
    told = capsys.readouterr().err
    assert "--storage" in told and "secret" not in told


def test_the_version_names_us(capsys):
    assert _run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("staged-tuner ")


def test_what_is_refused_at_the_start_is_told_with_json_too(folder, capsys):
    assert _run(["stage1", "--optimizer", "newton", "--runner", "serial", "--json"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "expected one of sgd" in told.err and "no study" not in told.err
