"""Do the benchmarks run, and does their table say what they found? On tiny inputs; how fast things are is not asked."""

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks import deepobs, driver, lcbench, reading
from tests.benchmarks.table import Absent, Figure, Result, less, table, under


@pytest.fixture
def recorded(tmp_path):
    """Curves of an invented training: the rate 0.01 is best and fastest, larger batches are slower; one seed but at that rate."""
    rows = []
    for lr in (0.1, 0.01, 0.001, 0.0001):
        for batch_size in (64, 128):
            for seed in range(3 if lr == 0.01 else 1):
                for epoch in range(1, 53):
                    apart = abs(np.log10(lr / 0.01))
                    fall = 1 - np.exp(-32 * epoch / 10**apart / batch_size)
                    accuracy = (0.9 - 0.1 * apart + 0.001 * seed) * fall
                    rows.append(("sgd", lr, batch_size, 0.9, seed, epoch * 6400 // batch_size, 2 - fall, 2 - fall, accuracy))
    names = ["optimizer", "lr", "batch_size", "momentum", "seed", "step", "train_loss", "val_loss", "val_accuracy"]
    path = tmp_path / "invented.parquet"
    pd.DataFrame(rows, columns=names).to_parquet(path)
    return path


def test_a_race_on_recorded_curves_is_measured(recorded):
    one_batch = recorded.with_name("one.parquet")
    frame = pd.read_parquet(recorded)
    frame[frame.batch_size == 64].to_parquet(one_batch)
    steps, _, picks = deepobs.measure(tables=[one_batch]).figures
    assert 0 < steps.ours[0] <= steps.peer[0]
    assert picks.ours == (1,)


def test_the_peers_get_the_epochs_that_ours_took(recorded):
    for figure in lcbench.measure(runs=1, tables=[recorded]).figures:
        assert 0.5 < figure.ours[0] < 1
        assert 0.5 < figure.peer[0] < 1


def test_a_stored_point_is_timed():
    assert driver.measure(small=True).figures[0].ours[0] > 0


def test_reading_is_timed():
    for figure in reading.measure(runs=1, small=True).figures:
        assert figure.ours[0] > 0 and figure.peer[0] > 0


def test_the_table_says_what_was_reached():
    result = Result((less("steps", (10, 20, 30), (40, 40, 40), 2), under("a point", (60.0,), 50, " us")))
    told = table({"races": result, "fusion": "there is none"})
    assert "2x (3: 1.33-4)" in told
    assert "reached" in told and "MISSED" in told
    assert "skipped: there is none" in told


def test_the_median_run_decides():
    assert Figure("", (), (), (1, 5, 9), 5).reached
    assert not Figure("", (), (), (1, 4, 9), 5).reached
    assert Figure("", (), (), (1, 5, 9), 5, limit=True).reached


def test_what_is_absent_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNER_DATA", str(tmp_path))
    with pytest.raises(Absent, match="TUNER_DATA"):
        deepobs.measure()
