"""Does a curve get the diagnosis that a person would give it: drawn by hand, recorded, and really trained?"""

import math
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from reports.diagnosis import diagnose, diagnoses
from studies.plan import Plan, constant
from studies.trial import Metric, Point, State, Trial
from tests.reports.sample import RECORD, study
from trainables import Task, load_task
from trainables.task import Supervision

ACCURACY = Metric(name="accuracy", mode="max")
STEPS, EVERY = 1000, 20
FLOWERS = replace(RECORD, name="flowers", settings={"task": "my flowers.py:Flowers", "data": "images"})


def drawn(lr, loss, valid=None, accuracy=None, ratio=1e-3, number=0):
    """A trial whose curves are given as functions of the step."""
    noise, points = random.Random(number), []
    for step in range(EVERY, STEPS + 1, EVERY):
        train = loss(step) * (1 + 0.01 * noise.gauss(0, 1))
        validated = valid(step) if valid else train * 1.1
        right = accuracy(step) if accuracy else 1 - 0.3 * min(3.0, validated)
        values = {"train_loss": train, "val_loss": validated, "accuracy": right, "update_ratio": ratio}
        points.append(Point(step, values))
        if not math.isfinite(train):
            break
    state = State.COMPLETE if math.isfinite(points[-1].values["train_loss"]) else State.DIVERGED
    return Trial(number, constant(Plan(), lr, STEPS), state, tuple(points))


def falls(speed, to=0.3, start=2.3):
    return lambda step: to + (start - to) * math.exp(-speed * step)


def improves(step):
    return 0.9 * step / STEPS


GOOD = drawn(0.1, falls(0.01), number=1)
SLOW = drawn(0.001, falls(0.0003), number=2)

DRAWN = {
    "healthy": (GOOD, [SLOW], None),
    "healthy without witnesses": (GOOD, [], None),
    "as far as it was followed, healthy": (drawn(0.1, falls(0.002)), [], None),
    "rises": (drawn(3.0, lambda s: 2.3 + 0.01 * s), [], "rises from the start"),
    "jumps up, and comes down": (drawn(3.0, lambda s: 50 * math.exp(-s / 100) + 1), [GOOD, SLOW], "rises from the start"),
    "nan at once": (drawn(3.0, lambda s: math.nan), [], "rises from the start"),
    "nan late": (drawn(3.0, lambda s: math.nan if s > 700 else 2.0), [], "breaks down on the way"),
    "flat above a lower rate": (drawn(1.0, falls(0.05, to=1.0)), [GOOD], "drops and goes flat"),
    "flat under large updates": (drawn(1.0, falls(0.05, to=1.0), ratio=0.1), [], "drops and goes flat"),
    "slow beside a higher rate": (drawn(0.003, falls(0.001)), [GOOD], "slow all along"),
    "slow by itself": (drawn(0.003, lambda s: 2.3 - 0.0012 * s, ratio=1e-5), [], "slow all along"),
    "to and fro": (drawn(1.0, lambda s: 1 + 0.4 * (-1) ** (s // EVERY) + math.exp(-s / 50)), [GOOD], "oscillates"),
    "still": (drawn(1e-6, lambda s: 2.3, ratio=1e-7), [], "does not fall"),
    "healthy, of a likelihood": (drawn(0.1, falls(0.01, to=-4.0, start=1.0), accuracy=improves), [], None),
    "rises from below 0": (drawn(3.0, lambda s: -2 + s / 100, accuracy=improves), [], "rises from the start"),
    "still below 0": (drawn(1e-6, lambda s: -2.0, accuracy=improves, ratio=1e-7), [], "does not fall"),
    "worse from below 0, then level": (
        drawn(0.1, lambda s: -1.6 - 0.4 * math.exp(-s / 30), accuracy=improves),
        [],
        "does not fall",
    ),
    "sawtooth": (drawn(0.001, lambda s: 2.0 + 0.3 * math.exp(-(s % 200) / 40)), [], "jumps at each epoch's start"),
    "by heart": (drawn(0.1, falls(0.01, to=0.01), lambda s: 0.4 + 1.9 * math.exp(-s / 100)), [], "overfits"),
    "worse after its best": (
        drawn(0.1, falls(0.005), lambda s: 0.5 + 1.8 * math.exp(-s / 80) + s / 1500),
        [],
        "validation worsens while training improves",
    ),
    "soon right, then surer": (drawn(0.01, falls(0.003), accuracy=lambda s: min(0.8, 0.5 + s / 400)), [], None),
    "blind": (drawn(0.01, falls(0.003), accuracy=lambda s: 0.4), [], "the loss falls, accuracy does not"),
}


@pytest.mark.parametrize("case", DRAWN)
def test_curves_drawn_by_hand(case):
    trial, field, expected = DRAWN[case]
    found = diagnose(trial, ACCURACY, [trial, *field], FLOWERS, ())
    assert [finding.name for finding in found] == ([expected] if expected else [])
    assert all(one.saw and one.means and one.command.startswith("tune ") for one in found)


def test_what_does_not_fall_is_the_rate_where_another_rate_falls():
    still = drawn(1e-6, lambda s: 2.3, accuracy=lambda s: 0.1, ratio=1e-7)
    [alone] = diagnose(still, ACCURACY, [], FLOWERS, ())
    assert alone.command == "tune check 'my flowers.py:Flowers' --data images"
    [recorded] = diagnose(still, ACCURACY, [], replace(FLOWERS, settings={"task": "replay:c.csv"}), ())
    assert recorded.command == "tune run --study flowers --refine"
    assert "1e-7 of the parameters" in alone.saw and "0.1 at every" in alone.saw
    [beside] = diagnose(still, ACCURACY, [GOOD, still], FLOWERS, ())
    assert beside.command.startswith("tune run --study flowers --lrs 0.1") and "the task is sound" in beside.means


def test_commands_can_be_typed_as_they_stand(tmp_path):
    """In whatever state the study is, and wherever it is kept."""
    flat, large = DRAWN["flat under large updates"][0], DRAWN["by heart"][0]
    commands = {len(decided): diagnose(flat, ACCURACY, [], FLOWERS, decided)[0].command for decided in ((), ("stage1", "stage2"))}
    assert commands[0].startswith("tune run --study flowers --starts ")
    assert commands[2].startswith("tune stage3 --study flowers --starts ")
    shaking, steady = DRAWN["to and fro"][:2]
    [shakes] = diagnose(shaking, ACCURACY, steady, FLOWERS, ("stage1",))  # a rate that followed would shake as before
    assert shakes.command == "tune stage2 --study flowers --batch-sizes 64,128,256 --lr-scaling none"
    [overfits] = diagnose(large, ACCURACY, [], FLOWERS, ("stage1",))
    assert overfits.command == "tune run --study flowers && tune stage4 --study flowers"
    away = replace(FLOWERS, settings={"workdir": str(tmp_path / "my runs")}, storage=f"sqlite:///{tmp_path}/my runs/studies.db")
    [overfits] = diagnose(large, ACCURACY, [], away, ("stage3",))
    assert overfits.command == f"tune stage4 --study flowers --workdir '{tmp_path}/my runs'"
    elsewhere = replace(away, storage="postgresql://tuner:***@server/studies")
    assert diagnose(large, ACCURACY, [], elsewhere, ("stage3",))[0].command.endswith(
        " --storage 'postgresql://tuner:***@server/studies'"
    )


def test_each_finding_is_told_once_the_winners_first():
    [one, *_] = study()
    told = diagnoses(one, RECORD, ())
    assert len({diagnosis.finding.name for diagnosis in told}) == len(told)
    rises = next(diagnosis for diagnosis in told if diagnosis.finding.name == "rises from the start")
    assert rises.who.startswith("lr 1,") and not rises.winner
    overfitted = drawn(0.1, falls(0.01, to=0.01), lambda s: 0.5, number=9)
    decided = replace(one, trials=[*one.trials, replace(overfitted, plan=one.decision.winner)])
    first, *_ = diagnoses(decided, RECORD, ())
    assert first.winner and first.finding.name == "overfits" and first.trials[0].number == 9


BESIDE = Path(__file__).parents[3] / "shared" / "data"
CURVES = Path(os.environ.get("TUNER_DATA", BESIDE)) / "curves"
FALSE_ALARMS = {"rises from the start", "drops and goes flat", "slow all along", "oscillates", "does not fall"}
FOUND = {"cifar10_3c3d": 0.8, "fmnist_2c2d": 0.8, "mnist_vae": 0.8, "quadratic_deep": 0.7}
"""Of the rates ten times too high or more, so many are found out at least."""


@pytest.mark.parametrize("name", FOUND)
def test_recorded_sweeps(name):
    """The best rate is never blamed for being wrong; those far above it nearly always are."""
    if not (path := CURVES / f"{name}.parquet").exists():
        pytest.skip(f"{path} is not at hand")
    import pandas as pd

    table = pd.read_parquet(path)
    metric = Metric(name="val_loss", mode="min") if table.val_accuracy.isna().all() else ACCURACY
    blamed, high = [], []
    for _, sweep in table[table.seed == table.seed.min()].groupby(["optimizer", "momentum"]):
        trials = [recorded(i, lr, rows.iloc[::2]) for i, (lr, rows) in enumerate(sweep.groupby("lr"))]
        sound = [trial for trial in trials if trial.state is State.COMPLETE]
        best = max(sound, key=lambda trial: metric.gain(trial.points[-1].values[metric.name], 0.0))
        blamed += [one.name for one in diagnose(best, metric, trials, RECORD, ()) if one.name in FALSE_ALARMS]
        high += [bool(diagnose(trial, metric, trials, RECORD, ())) for trial in trials if trial.plan.lr > 9 * best.plan.lr]
    assert blamed == []
    assert sum(high) >= FOUND[name] * len(high)


def test_what_converged_early_is_not_blind():
    """Its loss falls on, as the answers become surer."""
    if not (path := CURVES / "lcbench_189866.parquet").exists():
        pytest.skip(f"{path} is not at hand")
    import pandas as pd

    table = pd.read_parquet(path)
    for _, sweep in table[table.batch_size == 256].groupby("momentum"):
        trials = [recorded(i, lr, rows) for i, (lr, rows) in enumerate(sweep.groupby("lr"))]
        told = {one.name for trial in trials for one in diagnose(trial, ACCURACY, trials, RECORD, ())}
        assert "the loss falls, accuracy does not" not in told


def recorded(number, lr, rows):
    points = []
    for row in rows.itertuples():
        values = {"train_loss": row.train_loss, "val_loss": row.val_loss, "accuracy": row.val_accuracy}
        points.append(Point(int(row.step), values))
        if not math.isfinite(row.train_loss):
            break
    state = State.COMPLETE if math.isfinite(points[-1].values["train_loss"]) else State.DIVERGED
    start = Plan(optimizer=rows.optimizer.iloc[0], momentum=float(rows.momentum.iloc[0]))
    return Trial(number, constant(start, float(lr), int(rows.step.max())), state, tuple(points))


class Digits(Task):
    """The built-in digits with a plain network; less of them, or with wrong labels."""

    def __init__(self, examples=1438, wrong=0.0):
        self.examples, self.wrong = examples, wrong

    def data(self):
        (inputs, targets), valid = load_task("digits").task.data()
        inputs, targets = inputs[: self.examples], targets[: self.examples]
        noise = torch.Generator().manual_seed(0)
        lie = torch.rand(len(targets), generator=noise) < self.wrong
        targets = torch.where(lie, torch.randint(0, 10, targets.shape, generator=noise), targets)
        return ((inputs, targets), valid)

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def trained(task, lr, steps, every, number=0, batch_size=64, momentum=0.9):
    plan = constant(Plan(batch_size=batch_size, momentum=momentum), lr, steps)
    training, points = Supervision(task, "digits", "").trainable(plan, "cpu"), []
    for step in range(every, steps + 1, every):
        loss = training.train(every, lr)
        points.append(Point(step, {"train_loss": loss, **training.evaluate()}))
        if not math.isfinite(loss):
            return Trial(number, plan, State.DIVERGED, tuple(points))
    return Trial(number, plan, State.COMPLETE, tuple(points))


TRAINED = {
    "healthy": (Digits(), [0.05, 0.005], {}, set()),
    "far too high": (Digits(), [30.0, 0.05], {}, {"rises from the start"}),
    "too high later": (Digits(), [1.1, 0.05], {}, {"drops and goes flat"}),
    "too low": (Digits(), [0.0005, 0.05], {}, {"slow all along"}),
    "nothing moves": (Digits(), [1e-7, 0.05], {}, {"does not fall"}),
    "batches of one": (Digits(), [0.02, 0.005], {"batch_size": 1, "every": 5, "steps": 300}, {"oscillates"}),
    "forty examples by heart": (Digits(examples=40), [0.1], {"steps": 600}, {"overfits"}),
    "wrong labels by heart": (
        Digits(examples=400, wrong=0.4),
        [0.1],
        {"steps": 900, "every": 30},
        {"validation worsens while training improves"},
    ),
}


@pytest.fixture(scope="module")
def one_thread():
    """Of torch, as the runners do: small networks are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("case", TRAINED)
def test_real_trainings(case):
    task, lrs, options, expected = TRAINED[case]
    options = {"steps": 400, "every": 10, **options}
    trials = [trained(task, lr, number=i, **options) for i, lr in enumerate(lrs)]
    found = {finding.name for finding in diagnose(trials[0], ACCURACY, trials, RECORD, ())}
    assert expected <= found if expected else not found
