"""The whole method from the command line: the contract of its output, and that a killed run ends as an uninterrupted one."""

import json
import os
import random
import re
import runpy
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import yaml

from reports.export import read_export
from studies.ledger import Store
from studies.plan import Plan
from tests import program
from tests.waiting import until
from tuner.cli import _run
from tuner.quick import BATCHES, propose

TASK = textwrap.dedent(
    """
    import torch
    from torch import nn
    from trainables import Task

    class Blobs(Task):
        metric, mode = "accuracy", "max"

        def data(self):
            generator = torch.Generator().manual_seed(1)
            centres = torch.randn(4, 8, generator=generator)
            labels = torch.randint(4, (600,), generator=generator)
            points = centres[labels] + torch.randn(600, 8, generator=generator)
            return (points[:400], labels[:400]), (points[400:], labels[400:])

        def model(self):
            return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4))
    """
)
SWEEP = ["--max-steps", "160", "--lrs", "1,0.1,0.01", "--runner", "serial"]
OPTIONS = [*SWEEP, "--batch-sizes", "32,64", "--momenta", "0.5,0.9"]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "blobs.py").write_text(TASK)
    return tmp_path


def tune(home, *arguments, expect=0):
    done = program.run(home, *arguments)
    assert done.returncode == expect, done.stderr
    return done


def start(home, *arguments):
    return program.start(home, *arguments, out=home / "driver.log", err=home / "driver.log")


def decisions(home, study="Blobs"):
    """Without what differs from run to run: the seconds."""
    store = Store(f"sqlite:///{home / 'tune-runs' / 'studies.db'}")
    written = [decision.model_dump(mode="json") for decision in store.decisions(study)]
    store.close()
    for decision in written:
        decision["cost"].pop("seconds")
    return written


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """An uninterrupted run, for the others to be compared with: (home, its summary)."""
    home = tmp_path_factory.mktemp("whole")
    (home / "blobs.py").write_text(TASK)
    command = [sys.executable, "-m", "tuner", "run", "--task", "blobs.py:Blobs", *OPTIONS, "--json"]
    done = subprocess.run(command, cwd=home, check=True, stdout=subprocess.PIPE, text=True)
    return home, json.loads(done.stdout.splitlines()[-1])


PLAN_KEYS = {"lr", "batch_size", "momentum", "step_nums", "optimizer", "schedule", "seed"}
STAGE_KEYS = {"name", "winner", "metric", "value", "rule", "margin", "tie", "warnings", "trials", "steps_trained", "steps_shared"}


def test_json_is_one_line_as_the_contract_has_it(whole):
    _, told = whole
    assert {"study", "task", "state", "wall_seconds", "best", "metric", "stages"} <= told.keys()
    assert (told["study"], told["task"], told["state"]) == ("Blobs", "blobs.py:Blobs", "done")
    assert told["best"].keys() >= PLAN_KEYS
    assert told["metric"].keys() == {"name", "mode", "value", "interval"}
    assert [stage["name"] for stage in told["stages"]] == ["stage1", "stage2", "stage3"]
    for stage in told["stages"]:
        assert stage.keys() >= STAGE_KEYS | {"steps_saved", "examples_trained", "seconds"}
        assert stage["winner"].keys() >= PLAN_KEYS
    assert told["best"] == told["stages"][-1]["winner"]


def test_what_was_shared_was_not_trained_again(whole):
    _, told = whole
    assert told["stages"][1]["steps_shared"] > 0 < told["stages"][2]["steps_shared"]


def test_report_export_log_and_events_are_there(whole):
    home, told = whole
    folder = home / "tune-runs" / "Blobs"
    assert "<html" in (folder / "report" / "index.html").read_text()
    assert list((folder / "report" / "figures").glob("*.png")) and list((folder / "report" / "tables").glob("*.csv"))
    assert "stage3 decided" in (folder / "tune.log").read_text()
    assert list((folder / "tensorboard").rglob("events.*"))
    assert read_export(folder / "best.yaml").plan.describe() == told["best"]


def test_the_winner_is_handed_to_other_trainers(whole):
    home, told = whole
    for trainer, name in (("timm", "best_timm.yaml"), ("torch", "best_torch.py")):
        done = json.loads(tune(home, "export", "Blobs", "--format", trainer, "--json").stdout.splitlines()[-1])
        assert done["format"] == trainer and Path(done["export"]) == home / "tune-runs" / "Blobs" / name
    assert yaml.safe_load((home / "tune-runs/Blobs/best_timm.yaml").read_text())["batch_size"] == told["best"]["batch_size"]
    trained = runpy.run_path(str(home / "tune-runs/Blobs/best_torch.py"))
    best = read_export(home / "tune-runs/Blobs/best.yaml").plan
    assert [trained["rate"](step) for step in range(trained["STEPS"])] == [best.at(step) for step in range(best.steps)]


def test_optunas_users_find_what_they_expect(whole):
    home, told = whole
    url = f"sqlite:///{home / 'tune-runs' / 'studies.db'}"
    assert {s.study_name for s in optuna.get_all_study_summaries(storage=url)} == {f"Blobs/stage{n}" for n in (1, 2, 3)}
    study = optuna.load_study(study_name="Blobs/stage1", storage=url)
    assert {trial.params["lr"] for trial in study.trials} >= {1.0, 0.1, 0.01}
    assert study.best_value <= 1.0 and not [t for t in study.trials if t.state == optuna.trial.TrialState.RUNNING]


def test_the_winner_trains_to_what_tuning_promised(whole):
    home, told = whole
    done = tune(home, "train", "tune-runs/Blobs/best.yaml", "--out", "trained", "--json")
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["plan"] == told["best"] and outcome["within"]
    assert outcome["value"] == pytest.approx(read_export(home / "tune-runs/Blobs/best.yaml").values[0], abs=1e-9)
    assert {path.name for path in (home / "trained").iterdir()} >= {"weights.pt", "metrics.json", "curve.csv"}


def test_a_task_that_measures_something_else_is_judged_by_its_own_metric(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    plan = "{batch_size: 64, momentum: 0.9, schedule: [{steps: 10, shape: constant, lr: 0.1}]}"
    metric = "{name: f1, mode: max, value: 0.55, values: [0.5, 0.6]}"
    (home / "f1.yaml").write_text(f"format: 1\nstudy: s\ntask: other.py:Other\nmetric: {metric}\nplan: {plan}\n")
    assert _run(["train", "f1.yaml", "--task", "blobs.py:Blobs", "--json"]) == 0
    told = capsys.readouterr()
    outcome = json.loads(told.out)
    assert outcome["metric"] == "accuracy" and outcome["value"] > 0.5 and outcome["expected"] is outcome["within"] is None
    assert "tuned by f1, which this task does not measure" in told.err


def test_training_the_winner_that_is_interrupted_saves_its_steps_and_goes_on(home, monkeypatch, capsys):
    presses = """
    def loss(self, outputs, targets):
        import os, signal
        if outputs.requires_grad:
            with open("steps", "a") as steps:
                steps.write(".")
            if os.path.getsize("steps") == 5:
                os.kill(os.getpid(), signal.SIGINT)
        return super().loss(outputs, targets)
"""
    (home / "blobs.py").write_text(TASK + presses)
    plan = "{batch_size: 64, momentum: 0.9, schedule: [{steps: 400, shape: constant, lr: 0.1}]}"
    metric = "{name: accuracy, mode: max}"
    (home / "best.yaml").write_text(f"format: 1\nstudy: s\ntask: blobs.py:Blobs\nmetric: {metric}\nplan: {plan}\n")
    monkeypatch.chdir(home)
    assert _run(["train", "best.yaml"]) == 130
    assert capsys.readouterr().err.endswith("tune: stopped; everything is saved: run again to go on\n")
    assert (home / "steps").stat().st_size < 400 and not (home / "trained" / "weights.pt").exists()
    assert _run(["train", "best.yaml"]) == 0
    assert (home / "steps").stat().st_size == 400 and (home / "trained" / "weights.pt").exists()


def test_running_again_trains_nothing_and_decides_the_same_wherever_that_is(whole, tmp_path):
    home, told = whole
    there = ["--study", "Blobs", "--workdir", home / "tune-runs"]
    again = json.loads(tune(tmp_path, "run", *there, "--json").stdout.splitlines()[-1])
    assert {**again, "wall_seconds": 0} == {**told, "wall_seconds": 0}


def kill_midway(home, runner, kills, seed):
    """Kill drivers with SIGKILL at random moments of their work, then let one get through."""
    arguments = ["run", "--task", "blobs.py:Blobs", *OPTIONS, "--runner", runner]
    log, moments = home / "tune-runs" / "Blobs" / "tune.log", random.Random(seed)
    for _ in range(kills):
        goal = _lines(log) + moments.randint(4, 15)
        driver = start(home, *arguments)
        until(lambda goal=goal, driver=driver: _lines(log) >= goal or not driver.is_alive())
        driver.kill()
        driver.join()
    tune(home, *arguments)


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.long
def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(home, whole):
    kill_midway(home, "serial", kills=3, seed=3)
    assert decisions(home) == decisions(whole[0])
    assert (home / "tune-runs/Blobs/best.yaml").read_bytes() == (whole[0] / "tune-runs/Blobs/best.yaml").read_bytes()


def test_ray_decides_what_serial_decides_and_the_report_does_not_wait_for_the_end(home, whole, monkeypatch):
    (home / "failpoint").write_text("run.done 1 SIGKILL")
    monkeypatch.setenv("TUNE_FAILPOINT", str(home / "failpoint"))
    tune(home, "run", "--task", "blobs.py:Blobs", *OPTIONS, "--runner", "ray", expect=-signal.SIGKILL)
    page = home / "tune-runs/Blobs/report/index.html"
    until(lambda: page.exists() and "Does decaying the learning rate help" in page.read_text())
    tune(home, "run", "--task", "blobs.py:Blobs", *OPTIONS, "--runner", "ray")
    assert decisions(home) == decisions(whole[0])
    assert (home / "tune-runs/Blobs/best.yaml").read_bytes() == (whole[0] / "tune-runs/Blobs/best.yaml").read_bytes()


def test_ctrl_c_leaves_a_study_that_resumes(home, whole):
    driver = start(home, "run", "--task", "blobs.py:Blobs", *OPTIONS)
    log = home / "tune-runs" / "Blobs" / "tune.log"
    until(lambda: _lines(log) >= 4)
    os.kill(driver.pid, signal.SIGINT)
    driver.join(60)
    assert driver.exitcode == 130
    assert "stopped" in tune(home, "status").stderr
    tune(home, "resume", "Blobs")
    assert decisions(home) == decisions(whole[0])


@pytest.mark.long
def test_ctrl_c_leaves_a_finish_that_goes_on_to_the_same_table(home, monkeypatch):
    monkeypatch.chdir(home)
    small = ["--max-steps", "80", "--lrs", "0.1", "--batch-sizes", "64", "--momenta", "0.9", "--repeats", "2"]
    for study in ("alone", "Blobs"):
        assert _run(["run", "--task", "blobs.py:Blobs", "--study", study, *small, "--runner", "serial"]) == 0
    table = ["--skip", "mirror,shift"]
    assert _run(["finish", "alone", *table]) == 0

    (home / "failpoint").write_text("study.recorded 8 SIGINT")
    monkeypatch.setenv("TUNE_FAILPOINT", str(home / "failpoint"))
    told = tune(home, "finish", "Blobs", *table, expect=130).stderr
    assert told.splitlines()[-1].endswith("again to go on") and not (home / "failpoint").exists()
    assert [decision["stage"] for decision in decisions(home)] == ["stage1", "stage2", "stage3"]
    assert _run(["finish", "Blobs", *table]) == 0
    assert decisions(home) == decisions(home, "alone")


def test_a_finish_sees_to_what_was_asked_before_it_once_and_opens_no_bag_of_tricks(home, monkeypatch):
    monkeypatch.chdir(home)
    small = ["--max-steps", "80", "--lrs", "0.1,0.03", "--batch-sizes", "64", "--momenta", "0.9", "--repeats", "2"]
    assert _run(["run", "--task", "blobs.py:Blobs", *small, "--runner", "serial"]) == 0
    store = Store(f"sqlite:///{home}/tune-runs/studies.db")
    loser = next(one for one in store.decisions("Blobs")[0].evidence if one.outcome != "winner")
    assert _run(["overrule", "Blobs", "stage1", str(loser.trials[0]), "--reason", "I like it"]) == 0
    table = ["finish", "Blobs", "--skip", "folds,mirror,shift,seeds,pruned"]
    assert _run(table) == 0
    assert store.stages("Blobs") == ["stage1", "stage2", "stage3", "stage5"]
    *_, third, fifth = store.decisions("Blobs")
    [ensemble] = [one.plan.finish for one in fifth.evidence if one.plan.finish]
    decided_among = {one.plan.but(seed=0).line for one in third.evidence}
    assert third.winner.lr == loser.plan.lr and {plan.line for plan in ensemble.members} <= decided_among
    log = home / "tune-runs/Blobs/tune.log"
    before = len(log.read_text())
    assert _run(table) == 0
    assert re.findall(r"(stage\d): at most", log.read_text()[before:]) == ["stage5"]
    store.close()


def test_a_study_that_was_moved_is_where_one_says(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert _run(["stage1", "--task", "blobs.py:Blobs", "--workdir", "old", *SWEEP]) == 0
    (home / "old").rename(home / "moved")
    for words in (["report", "Blobs"], ["export", "Blobs"], ["clean", "Blobs"], ["resume", "Blobs"], ["status", "Blobs"]):
        assert _run([*words, "--workdir", "moved"]) == 0
    assert f"in {home}/moved/Blobs/checkpoints" in capsys.readouterr().err
    assert not (home / "old").exists() and (home / "moved/Blobs/report/index.html").exists()


def test_a_file_of_the_same_name_elsewhere_is_another_task_unless_it_says_the_same(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    start = ["--workdir", str(home / "tune-runs"), "--lrs", "0.1", "--max-steps", "16", "--runner", "serial"]
    assert _run(["stage1", "--task", "blobs.py:Blobs", *start]) == 0
    for folder, text, code in (("copy", TASK, 0), ("other", TASK.replace("Linear(16, 4)", "Linear(16, 5)"), 2)):
        (home / folder).mkdir()
        (home / folder / "blobs.py").write_text(text)
        monkeypatch.chdir(home / folder)
        assert _run(["stage1", "--task", "./blobs.py:Blobs", *start]) == code
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"'Blobs' tunes ./blobs.py:Blobs in {home}/copy, not ./blobs.py:Blobs in {home}/other; choose another name" in told


def test_an_edited_task_is_tuned_anew(home):
    options = ["--task", "blobs.py:Blobs", *SWEEP]
    tune(home, "stage1", *options)
    (home / "blobs.py").write_text(
        TASK.replace("nn.Linear(8, 16)", "nn.Linear(8, 12)").replace("nn.Linear(16, 4)", "nn.Linear(12, 4)")
    )
    after = json.loads(tune(home, "stage1", *options, "--json").stdout.splitlines()[-1])
    assert after["stages"][0]["steps_trained"] > 0 == after["stages"][0]["steps_shared"]
    (home / "blobs.py").write_text(TASK)
    done = tune(home, "stage2", "--study", "Blobs", "--batch-sizes", "64", "--momenta", "0.9", "--json")
    edited = (
        "stage2 starts from stage1's winner of the task as it was before it was edited; to tune it anew: tune run --study Blobs"
    )
    assert edited in json.loads(done.stdout.splitlines()[-1])["stages"][-1]["warnings"] and edited in done.stderr


def test_a_task_that_raises_is_told_with_its_traceback(home):
    (home / "blobs.py").write_text(TASK.replace("return nn.Sequential", "raise RuntimeError('no such layer')"))
    done = tune(home, "run", "--task", "blobs.py:Blobs", *OPTIONS, expect=2)
    assert "no such layer" in done.stderr


def test_stage2_without_stage1_says_what_to_do(home):
    done = tune(home, "stage2", "--task", "blobs.py:Blobs", "--runner", "serial", expect=2)
    assert done.stderr.splitlines()[-1].endswith("tune stage1 first")
    assert "Traceback" not in done.stderr


def test_another_metric_decides_and_an_unknown_one_is_refused_naming_those_measured(home):
    options = ["--task", "blobs.py:Blobs", *SWEEP, "--json", "--metric"]
    done = tune(home, "stage1", *options, "f1", expect=2)
    assert "--metric: expected one of accuracy, lr, train_loss, update_ratio, val_loss; got 'f1'" in done.stderr
    told = json.loads(tune(home, "stage1", *options, "val_loss").stdout.splitlines()[-1])  # nothing was measured by the other
    assert told["metric"]["name"] == "val_loss" and told["metric"]["mode"] == "min"


def test_what_failed_for_a_reason_that_is_gone_is_tried_again_by_the_next_driver(home):
    failing = """
    def loss(self, outputs, targets):
        open("here").close()
        return super().loss(outputs, targets)
"""
    (home / "blobs.py").write_text(TASK + failing)
    done = tune(home, "stage1", "--task", "blobs.py:Blobs", *SWEEP, expect=2)
    assert "every trial failed: FileNotFoundError" in done.stderr
    (home / "here").touch()
    told = json.loads(tune(home, "resume", "Blobs", "--json").stdout.splitlines()[-1])
    assert told["state"] == "done" and told["metric"]["value"] > 0.5
    failed = [trial for trial in Store(f"sqlite:///{home}/tune-runs/studies.db").trials("Blobs", "stage1") if trial.error]
    assert len(failed) == 3


def test_quick_proposes_a_rate_for_the_task_of_the_study_that_is_named_and_leaves_nothing(home, monkeypatch, capsys):
    def quick(*more):
        assert _run(["stage1", "--quick", "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)

    monkeypatch.chdir(home)
    told = quick("--task", "blobs.py:Blobs", "--dry-run")
    assert 0.001 <= told["lr"] <= 1 and told["sure"] and not (home / "tune-runs").exists()
    start = ["stage1", "--task", "blobs.py:Blobs", "--study", "mine", "--lrs", "0.1", "--max-steps", "16", "--runner", "serial"]
    assert _run(start) == 0
    assert quick("--study", "mine") == told
    assert _run(["stage1", "--study", "mine", "--centre", "--dry-run", "--json"]) == 0
    assert f"{told['lr']:g} is the proposed rate" in capsys.readouterr().err


def test_quick_ends_its_ramp_where_a_diverged_model_can_no_longer_be_measured():
    class Fragile:
        def train(self, steps, rate):
            self.rate = rate
            return 1 / (1 + 100 * rate)

        def evaluate(self):
            if self.rate > 0.1:
                raise ValueError("Input contains NaN")
            return {"update_ratio": self.rate}

    proposal = propose(SimpleNamespace(name="fragile", trainable=lambda plan, device: Fragile()), Plan(), "cpu")
    assert proposal.by_ratio == pytest.approx(1e-3) and proposal.by_ramp and proposal.batches < BATCHES
