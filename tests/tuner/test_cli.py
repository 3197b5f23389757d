"""What happens to bad input: one clear line, exit code 2, no traceback, nothing written."""

import json
import subprocess
import sys

import pytest

from tuner.cli import _run
from tuner.options import FINISH
from tuner.stages.stage5 import WAYS

TASK = """
from torch import nn
from trainables import Task
class Good(Task):
    def data(self): import torch; return (torch.zeros(8, 2), torch.zeros(8).long()), (torch.zeros(4, 2), torch.zeros(4).long())
    def model(self): return nn.Linear(2, 2)
class NoTask: pass
"""

BAD = {
    "no such command": ["tune"],
    "unknown option": ["run", "--leaning-rate", "1"],
    "rates in words": ["run", "--lrs", "a,b"],
    "rates with a gap": ["run", "--lrs", "1,,2"],
    "no rates": ["run", "--lrs", ""],
    "a rate of zero": ["stage1", "--lrs", "0"],
    "a negative rate": ["stage1", "--lrs=-0.1"],
    "a rate that is nan": ["stage1", "--lrs", "nan"],
    "an infinite rate": ["stage1", "--lrs", "inf"],
    "steps in words": ["stage1", "--max-steps", "many"],
    "no steps": ["stage1", "--max-steps", "0"],
    "negative steps": ["stage1", "--max-steps=-5"],
    "half a step": ["stage1", "--max-steps", "1.5"],
    "batch sizes in fractions": ["stage2", "--batch-sizes", "16.5"],
    "a batch size of zero": ["stage2", "--batch-sizes", "0,16"],
    "a momentum of one": ["stage2", "--momenta", "1.0"],
    "a negative momentum": ["stage2", "--momenta=-0.1"],
    "an unknown search": ["stage2", "--search", "hill"],
    "an unknown scaling": ["stage2", "--lr-scaling", "cubic"],
    "no samples": ["stage2", "--trials", "0"],
    "a factor of one": ["stage3", "--factors", "1"],
    "a factor of zero": ["stage3", "--factors", "0"],
    "an interval of zero": ["stage3", "--intervals", "0"],
    "a negative start": ["stage3", "--starts=-1"],
    "a check of nothing": ["check"],
    "a check of no task": ["check", "no-such-task"],
    "a finish of an unknown study": ["finish", "nobody"],
    "an unknown trick": ["stage4", "--tricks", "mixupp"],
    "a trick with a value that it cannot have": ["stage4", "--tricks", "mixup=-1"],
    "a trick that is off": ["stage4", "--tricks", "mixup=false"],
    "the cost of a stage before its time": ["stage3", "--dry-run"],
    "an unknown runner": ["run", "--runner", "slurm"],
    "no workers": ["run", "--workers", "0"],
    "a negative share": ["run", "--gpus-per-trial=-1"],
    "an unknown device": ["run", "--device", "tpu"],
    "a negative seed": ["run", "--seed=-1"],
    "no repeats": ["run", "--repeats", "0"],
    "a mode alone": ["run", "--mode", "max"],
    "an unknown mode": ["run", "--metric", "f1", "--mode", "best"],
    "a study's name with a slash": ["run", "--study", "a/b"],
    "an empty study's name": ["run", "--study", ""],
    "a study's name with markup": ["run", "--study", "<b>"],
    "a study's name over the length": ["run", "--study", "x" * 81],
    "no URL": ["run", "--storage", "nonsense"],
    "an unknown database": ["run", "--storage", "oracledb://x/y"],
    "a database in no folder": ["status", "--storage", "sqlite:////no/such/folder/studies.db"],
    "no such task": ["run", "--task", "mnist", "--runner", "serial"],
    "a task without a name": ["run", "--task", "good.py", "--runner", "serial"],
    "a file that is not there": ["run", "--task", "bad.py:Good", "--runner", "serial"],
    "a module that is not there": ["run", "--task", "no.such.module:Good", "--runner", "serial"],
    "a class that is not there": ["run", "--task", "good.py:Bad", "--runner", "serial"],
    "a class that is no task": ["run", "--task", "good.py:NoTask", "--runner", "serial"],
    "no recording": ["run", "--task", "replay:none.parquet", "--runner", "serial"],
    "an unknown optimizer": ["stage1", "--task", "good.py:Good", "--optimizer", "newton", "--runner", "serial"],
    "an unknown study": ["resume", "nobody"],
    "a report of an unknown study": ["report", "nobody"],
    "an export of an unknown study": ["export", "nobody"],
    "the status of an unknown study": ["status", "nobody"],
    "nothing to train": ["train"],
    "a configuration that is not there": ["train", "none.yaml"],
    "a configuration that is a folder": ["train", "."],
    "a configuration that is none": ["train", "good.py"],
    "a port in words": ["dashboard", "--port", "http"],
    "a port that is none": ["dashboard", "--port", "99999"],
    "all the world without a token": ["dashboard", "--host", "0.0.0.0"],
    "stage 2 before stage 1": ["stage2", "--task", "good.py:Good", "--runner", "serial"],
    "stage 3 before stage 2": ["stage3", "--task", "good.py:Good", "--runner", "serial"],
    "data that is not there": ["run", "--task", "cifar10", "--data", "nowhere", "--runner", "serial"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "good.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, arguments):
    assert _run(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    lines = [line for line in told.err.splitlines() if " INFO " not in line]
    assert len(lines) == 1 and lines[0].startswith("tune: "), told.err
    assert len(lines[0]) > 20 and "Traceback" not in lines[0]


def test_a_task_is_checked_and_the_exit_code_says_whether_it_is_fit(folder, capsys):
    assert _run(["check", "digits", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["fit"] is True and "what tuning costs at most" in told.err
    assert _run(["check", "good.py:Good"]) == 1  # zeros in, zeros out
    assert "WRONG leaks" in capsys.readouterr().err


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
    assert _run(["stage1", "--task", "good.py:Good", "--optimizer", "newton", "--runner", "serial", "--json"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "expected one of sgd" in told.err and "no study" not in told.err
