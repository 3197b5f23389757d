"""From a recipe in a file to its export, trained once more; and what a file may say."""

import json
import re

import pytest

from reports.export import read_export
from studies.ledger import Store
from studies.recipe import ELSEWHERE, Recipe, kinds
from trainables import models
from trainables.task import load_task
from tuner.cli import _run
from tuner.settings import Settings

NORMED = """
from torch import nn
from trainables.tasks.digits import Digits
class Normed(Digits):
    recipe = {"accumulate": 2}
    def model(self): return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
"""
SHORT = ["--lrs", "0.1,0.03", "--max-steps", "48", "--eval-examples", "512", "--seed", "3", "--runner", "serial", "--json"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "normed.py").write_text(NORMED)
    return tmp_path


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_recipe_from_a_file_is_tuned_with_recorded_exported_and_trained_again(home, capsys):
    file = home / "recipe.yaml"
    file.write_text("mixup: 0.2\ncrop: {padding: 1}\nweight_decay: {rate: 5.0e-4, biases_and_norms: false}\n")
    assert _run(["stage1", "--recipe", "recipe.yaml", *SHORT]) == 0
    (stage,) = last_line(capsys)["stages"]
    recipe = Recipe(mixup=0.2, crop=1, weight_decay={"rate": 5e-4, "biases_and_norms": False})
    assert Recipe(**stage["winner"]["recipe"]) == recipe
    on = "regularisation is on (weight decay 0.0005, mixup of the recipe), which bends the curves"
    assert any(warning.startswith(on) for warning in stage["warnings"])
    file.unlink()  # it is recorded
    assert _run(["resume", "digits", "--json"]) == 0
    again = last_line(capsys)["stages"][0]
    assert again["winner"] == stage["winner"] and again["value"] == stage["value"]
    best = home / "tune-runs" / "digits" / "best.yaml"
    assert read_export(best).plan.recipe == recipe
    assert _run(["train", str(best), "--json"]) == 0
    assert last_line(capsys)["value"] == stage["value"] == read_export(best).value
    assert _run(["train", str(best), "--processes", "2", "--out", "shared", "--json"]) == 0
    assert last_line(capsys)["value"] == pytest.approx(stage["value"], abs=0.01)  # one of 359 may be on the border


def test_by_what_early_stopping_goes_is_said_where_something_else_decides(home, capsys):
    (home / "recipe.yaml").write_text("early_stopping: 5\n")
    says = "early stopping goes by the task's own accuracy, not by val_loss"
    for options, told in ((["--metric", "val_loss"], [says]), ([], [])):
        assert _run(["stage1", "--recipe", "recipe.yaml", "--study", f"s{len(told)}", *options, *SHORT]) == 0
        assert [one for one in last_line(capsys)["stages"][0]["warnings"] if "early stopping" in one] == told


def test_a_tasks_own_recipe_holds_until_a_file_says_otherwise_and_the_decision_says_what_is_only_near(home, capsys):
    assert _run(["stage1", "--task", "normed.py:Normed", *SHORT]) == 0
    (stage,) = last_line(capsys)["stages"]
    assert stage["winner"]["recipe"] == {"accumulate": {"pieces": 2}}
    assert any(warning.startswith("accumulate: batch norm sees pieces") for warning in stage["warnings"])
    (home / "plain.yaml").write_text("flip: true\n")
    store = Store(f"sqlite:///{home}/tune-runs/studies.db")
    assert [record.settings["recipe"] for record in store.studies()] == [None]
    store.close()
    cell = ["--batch-sizes", "64", "--momenta", "0.9", "--repeats", "1", "--runner", "serial", "--json"]
    assert _run(["stage2", "--study", "Normed", "--task", "normed.py:Normed", "--recipe", "plain.yaml", *cell]) == 0
    stage = last_line(capsys)["stages"][-1]  # goes on from the first stage's winner, under another recipe
    assert stage["winner"]["recipe"] == {"flip": {"p": 0.5, "vertical": False}}
    assert not any("accumulate" in warning or "regularisation" in warning for warning in stage["warnings"])


@pytest.mark.parametrize(
    "content, words",
    [
        ("mixupp: 0.2\n", ["mixupp", "expected one of weight_decay", "momentum_correction"]),
        ("warmup: 5\n", ["warmup is no part of a recipe: stage 2 warms up"]),
        ("early_stopping: 0\n", ["early_stopping.patience", "greater than or equal to 1", "got 0"]),
        ("color_jitter: {hue: 0.1}\n", ["color_jitter.hue", "expected one of brightness, contrast, saturation"]),
        ("mixup: yes please\n", ["mixup.alpha", "number", "yes please"]),
        ("mixup: 0.2\nmixup: 0.4\n", ["line 2", "mixup"]),
        ("- mixup\n", ["expected keys and values (weight_decay", "a list"]),
        ("", ["expected keys and values", "nothing"]),
        ("mixup: !!python/object:os.system {}\n", ["line 1", "tag"]),
        ("#" * 100_001, ["at most 100,000 bytes"]),
        ("dropout: 0.1\n", ["recipe: dropout: expected a model with dropout layers; Sequential has none"]),
        ("freeze: head\n", ["recipe: freeze", "'head'", "0.weight"]),
        ("init: {bias: xavier_uniform}\n", ["init", "bias", "xavier_uniform"]),
    ],
)
def test_a_file_that_says_nonsense_is_refused_in_a_line(home, capsys, content, words):
    (home / "recipe.yaml").write_text(content)
    assert _run(["stage1", "--recipe", "recipe.yaml", *SHORT]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and all(word in told[0] for word in words), told


def test_a_file_that_is_not_there_is_refused(home, capsys):
    assert _run(["run", "--recipe", "none.yaml", *SHORT]) == 2
    assert "none.yaml: no such file" in capsys.readouterr().err and not (home / "tune-runs").exists()


def test_the_parts_are_told_with_what_they_do(capsys):
    assert _run(["recipes", "--json"]) == 0
    read = capsys.readouterr()
    told = json.loads(read.out)
    parts = told["parts"]
    assert [part["name"] for part in parts] == list(kinds())
    assert parts[list(kinds()).index("mixup")]["values"] == {"alpha": {"default": 0.2}}
    assert read.err.count("\n") == len(parts) + 2 + len(told["elsewhere"])


def test_what_is_no_part_is_where_it_is_said_to_be():
    networks = [name for name, where in ELSEWHERE.items() if "cifar10:" in where]
    assert networks == ["shake_shake", "shakedrop"]
    for name in networks:
        function, task = re.match(r"a network, trainables\.models\.(\w+) or --task (\S+)", ELSEWHERE[name]).groups()
        assert callable(getattr(models, function)) and load_task(task).name


@pytest.mark.parametrize("spec, sized", [("digits", {"crop": 1, "cutout": 2}), ("tests.trainables.problems:Line", {})])
def test_the_bag_of_tricks_has_what_the_task_can_take_in_the_size_of_its_images(spec, sized):
    workload = load_task(spec)
    tried = Settings().resolve(workload).stage("stage4", workload).tricks
    parts = {name: next(iter(dict(part).values())) for trick in tried for name, part in trick.parts()}
    assert {name: value for name, value in parts.items() if name in ("crop", "cutout")} == sized
    assert "weight_decay" in parts and ("flip" in parts) == bool(sized)
