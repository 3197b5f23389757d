import math

import pandas as pd
import pytest

from studies.errors import InputError
from studies.finish import Views
from studies.plan import Plan, Segment, constant
from studies.schedule import Linear
from studies.trial import Metric, State
from tests.trainables.helpers import completed, points, values
from trainables import load_task
from trainables.checkpoints import Checkpoints
from trainables.training import carry_out

BASE = Plan(batch_size=10, momentum=0.5, seed=4)
NAN = math.nan
RUNS = {  # by rate: at steps 4, 8, 12: (train_loss, val_loss, val_accuracy)
    0.01: [(4.0, 4.5, 0.1), (3.0, 3.5, 0.3), (2.0, 2.5, 0.5)],
    0.1: [(2.0, 2.5, 0.4), (1.0, 1.5, 0.6), (0.5, 1.0, 0.8)],
    1.0: [(9.0, 9.5, 0.1), (NAN, NAN, 0.1), (NAN, NAN, 0.1)],
    10.0: [(9.0, 9.5, 0.1)],
}


def table(accurate: bool = True) -> pd.DataFrame:
    rows = [
        {"optimizer": "sgd", "lr": lr, "batch_size": 10, "momentum": 0.5, "seed": 4, "step": 4 * i + 4}
        | dict(zip(("train_loss", "val_loss", "val_accuracy"), row))
        for lr, run in RUNS.items()
        for i, row in enumerate(run)
    ]
    extra = {**rows[0], "optimizer": "adam", "batch_size": 20, "step": 2}
    found = pd.DataFrame([*rows[::-1], extra])
    return found if accurate else found.assign(val_accuracy=NAN)


@pytest.fixture
def replay(tmp_path):
    path = tmp_path / "curves.parquet"
    table().to_parquet(path)
    return load_task(f"replay:{path}")


def told(replay, plan, folder, eval_examples=40):
    return list(carry_out(replay, [plan], Checkpoints(folder, replay.fingerprint), eval_examples=eval_examples, device="cpu"))


def test_a_recorded_run_is_told_as_it_was(replay, tmp_path):
    reports = told(replay, constant(BASE, 0.1, 12), tmp_path)
    assert completed(reports)
    for point, row in zip(points(reports), RUNS[0.1], strict=True):
        expected = dict(zip(("train_loss", "val_loss", "val_accuracy"), row)) | {"lr": 0.1}
        assert point.values == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("eval_examples", [10, 30, 50, 70])
def test_however_often_one_looks(replay, tmp_path, eval_examples):
    """Every step has the training loss that was recorded for its stretch, and the validation that was known by then."""
    by_step = [2.0] * 4 + [1.0] * 4 + [0.5] * 4
    last = 0
    for step, found in values(points(told(replay, constant(BASE, 0.1, 12), tmp_path, eval_examples))).items():
        assert found["train_loss"] == pytest.approx(sum(by_step[last:step]) / (step - last), rel=1e-7)
        assert found["val_accuracy"] == RUNS[0.1][max(0, step // 4 - 1)][2]
        last = step if step % (eval_examples // 10) == 0 else last


def test_a_rate_between_two_is_interpolated_in_log_lr(replay, tmp_path):
    reports = told(replay, constant(BASE, 10**-1.75, 12), tmp_path)
    for point, low, high in zip(points(reports), RUNS[0.01], RUNS[0.1], strict=True):
        assert point.values["train_loss"] == pytest.approx(0.75 * low[0] + 0.25 * high[0], rel=1e-6)
        assert point.values["val_accuracy"] == pytest.approx(0.75 * low[2] + 0.25 * high[2], rel=1e-6)


@pytest.mark.parametrize("lr", [1.0, 0.5, 10.0, 5.0])
def test_a_run_that_diverged_or_broke_off_diverges(replay, tmp_path, lr):
    reports = told(replay, constant(BASE, lr, 12), tmp_path)
    assert reports[-1].ended is State.DIVERGED and reports[-1].error == "train loss is nan at step 8"


def test_it_goes_on_where_it_stopped(replay, tmp_path):
    whole = values(points(told(replay, constant(BASE, 0.03, 12), tmp_path / "whole")))
    told(replay, constant(BASE, 0.03, 8), tmp_path)
    reports = told(replay, constant(BASE, 0.03, 12), tmp_path)
    assert reports[0].begun == 8 and values(points(reports)) == whole


def test_what_a_table_holds(replay):
    assert replay.name == "curves" and (replay.train_examples, replay.valid_examples) == (0, 0)
    assert replay.target == Metric(name="val_accuracy", mode="max")
    assert replay.holds == {"optimizer": ["adam", "sgd"], "batch_size": [10, 20], "momentum": [0.5], "seed": [4]}
    assert replay.holding(optimizer="adam") == {"optimizer": ["adam"], "batch_size": [20], "momentum": [0.5], "seed": [4]}
    assert (replay.max_steps(10), replay.max_steps(20), replay.point_examples) == (12, 2, 40)


def test_a_table_without_accuracy_is_judged_by_its_loss(tmp_path):
    table(accurate=False).to_csv(tmp_path / "curves.csv", index=False)
    replay = load_task(f"replay:{tmp_path / 'curves.csv'}")
    assert replay.target == Metric(name="val_loss", mode="min")
    assert "val_accuracy" not in points(told(replay, constant(BASE, 0.1, 12), tmp_path))[0].values


def test_the_nearest_plan_that_a_table_can_answer(replay):
    assert replay.nearest(constant(BASE, 0.05, 8)) == constant(BASE, 0.05, 8)
    assert replay.nearest(constant(BASE, 100.0, 30)) == constant(BASE, 10.0, 12)
    assert replay.nearest(constant(BASE, 1e-5, 8)).lr == 0.01
    assert replay.nearest(constant(BASE.but(optimizer="adam"), 0.1, 8)) is None


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (constant(BASE.but(optimizer="adagrad"), 0.1, 12), r"optimizer: .* cannot answer adagrad; it holds \['adam', 'sgd'\]"),
        (constant(BASE.but(batch_size=64), 0.1, 12), r"batch_size: .* cannot answer 64; it holds \[10, 20\]"),
        (constant(BASE.but(momentum=0.9), 0.1, 12), r"momentum: .* cannot answer 0.9; it holds \[0.5\]"),
        (constant(BASE.but(seed=0), 0.1, 12), r"seed: .* cannot answer 0; it holds \[4\]"),
        (constant(BASE.but(optimizer="adam"), 0.1, 12), r"plan: .*; it holds .* \[\('adam', 20, 0.5\), \('sgd', 10, 0.5\)\]"),
        (constant(BASE, 0.001, 12), "lr: .* cannot answer 0.001; it holds rates from 0.01 to 10"),
        (constant(BASE, 0.1, 13), "step_nums: .* cannot answer 13; it holds 12 with batch size 10"),
        (constant(BASE, 0.1, 6).then(Segment(steps=3, rate=Linear(lr=0.1, over=3))), "schedule: .* it holds constant rates only"),
        (constant(BASE, 0.1, 12).but(finish=Views(mirror=True)), "finish: .* it holds trainings as they were"),
    ],
)
def test_what_a_table_cannot_answer_is_refused_with_what_it_holds(replay, plan, expected):
    with pytest.raises(InputError, match=expected):
        replay.trainable(plan, "cpu")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda table: table.drop(columns=["seed", "lr"]), "expected the columns optimizer, .*; missing: lr, seed"),
        (lambda table: table.assign(step="many"), "step: expected numbers"),
        (lambda table: table.assign(lr=0.0), "lr: expected finite numbers above 0; got 0.0 in row 1"),
        (lambda table: table.assign(seed=[NAN] + [4] * (len(table) - 1)), "seed: expected whole numbers"),
        (lambda table: table[:0], "expected at least one row|expected numbers"),
    ],
)
def test_a_table_of_the_wrong_kind_is_said(tmp_path, spoil, expected):
    spoil(table()).to_csv(tmp_path / "curves.csv", index=False)
    with pytest.raises(InputError, match=expected):
        load_task(f"replay:{tmp_path / 'curves.csv'}")


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "curves.parquet").write_bytes(b"PAR1 is how it begins")
    with pytest.raises(InputError, match="curves.parquet: expected a parquet or csv table"):
        load_task(f"replay:{tmp_path / 'curves.parquet'}")


def test_another_table_is_another_task(tmp_path):
    prints = []
    for loss in (1.0, 2.0):
        table().assign(train_loss=loss).to_csv(tmp_path / "curves.csv", index=False)
        prints.append(load_task(f"replay:{tmp_path / 'curves.csv'}").fingerprint)
    assert prints[0] != prints[1]
