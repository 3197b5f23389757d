import logging
import os
import resource
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studies.errors import StorageError, TaskError
from studies.plan import Plan, Segment, constant
from studies.schedule import Linear
from studies.trial import Point
from tests.trainables.helpers import left, same, train
from trainables.checkpoints import Checkpoint, Checkpoints

PLAN = constant(Plan(batch_size=8), 0.1, 20)
STATE = {"weights": torch.arange(6.0).reshape(2, 3), "step": 7, "name": "x", "parts": [1, (2.5, None)], 3: True}


def checkpoint(step: int) -> Checkpoint:
    point = Point(step, {"train_loss": 0.5, "val_loss": float("nan"), "lr": 0.1}, 1.5)
    return Checkpoint(step, {**STATE, "step": step}, (point,), 1.5, (2.25, 3))


def lying(kept: Checkpoints, plan: Plan, step: int) -> Path:
    return Path(kept.where(plan, step))


@pytest.fixture
def kept(tmp_path) -> Checkpoints:
    kept = Checkpoints(tmp_path, "f" * 64)
    for step in (5, 10, 15):
        kept.save(PLAN, checkpoint(step))
    return kept


def test_what_is_saved_is_found_as_it_was(kept):
    found, saved = kept.deepest(PLAN), checkpoint(15)
    assert same(found.state, saved.state) and repr(found.points) == repr(saved.points)
    assert (found.step, found.seconds, found.partial) == (15, 1.5, (2.25, 3))


def test_a_state_is_found_by_all_who_pass_and_by_no_other(kept):
    assert kept.deepest(PLAN.upto(14)).step == 10
    assert kept.deepest(PLAN.to(100)).step == 15
    assert kept.deepest(PLAN.upto(12).then(Segment(steps=9, rate=Linear(lr=0.1, over=9)))).step == 10
    assert kept.deepest(PLAN.upto(4)) is None
    for other in (PLAN.but(seed=1), PLAN.but(momentum=0.5), constant(PLAN, 0.2, 20)):
        assert kept.deepest(other) is None
    assert Checkpoints(kept.folder, "e" * 64).deepest(PLAN) is None


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_noticed_and_the_path_falls_back(kept, place, bit):
    kept.save(PLAN, checkpoint(15))
    path = lying(kept, PLAN, 15)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert kept.deepest(PLAN).step == 10 and not path.exists() and path.with_suffix(".bad").exists()


@pytest.mark.parametrize("length", [0, 5, 50, 700, -1])
def test_a_cut_file_is_noticed(kept, length, caplog):
    path = lying(kept, PLAN, 15)
    path.write_bytes(path.read_bytes()[:length])
    with caplog.at_level(logging.WARNING, "tuner"):
        assert kept.deepest(PLAN).step == 10
    assert str(path) in caplog.text and "going on from an earlier state" in caplog.text


def test_another_path_s_state_is_not_taken_for_one_s_own(kept):
    shutil.copy(lying(kept, PLAN, 10), lying(kept, PLAN, 15))
    assert kept.deepest(PLAN).step == 10
    stranger = PLAN.but(seed=1)
    shutil.copy(lying(kept, PLAN, 10), lying(kept, stranger, 10))
    assert kept.deepest(stranger) is None


def test_when_none_verifies_there_is_none(kept):
    for step in kept.steps(PLAN):
        lying(kept, PLAN, step).write_bytes(b"")
    assert kept.deepest(PLAN) is None


def test_a_training_goes_on_from_the_state_before_the_spoilt_one(tmp_path):
    train("Images", PLAN, tmp_path / "one", keep={10})
    state = left("Images", PLAN, tmp_path / "one").state
    kept = next((tmp_path / "one").iterdir())
    for file in kept.glob("*-20.ckpt"):
        file.write_bytes(file.read_bytes()[:-9])
    reports = train("Images", PLAN, tmp_path / "one")
    assert reports[0].begun == 10 and same(left("Images", PLAN, tmp_path / "one").state, state)


def test_foreign_files_are_nobody_s_business(kept):
    folder = lying(kept, PLAN, 5).parent
    for name in ("notes.txt", "x-99.ckpt", "-.ckpt", "a-b.ckpt", "a-²20.ckpt"):
        (folder / name).write_text("?")
    assert kept.deepest(PLAN).step == 15 and (folder / "notes.txt").exists()


def test_dropped_twice_is_dropped_once(kept):
    kept.drop(PLAN, [15, 10])
    kept.drop(PLAN, [15])
    assert list(kept.steps(PLAN)) == [5]


def test_a_full_disk_is_told_by_name_and_costs_nothing_older(kept):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"-20\.ckpt: File too large; nothing that was saved before is lost"):
            kept.save(PLAN, checkpoint(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept.deepest(PLAN).step == 15
    assert not [name for name in os.listdir(lying(kept, PLAN, 5).parent) if name.endswith(".tmp")]


def test_no_folder_to_write_in(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Not a directory"):
        Checkpoints(tmp_path / "file", "f" * 64).save(PLAN, checkpoint(5))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a": {"b": [1, torch.zeros(2).numpy()]}}, r"state\['a'\]\['b'\]\[1\]: expected tensors, .*; got ndarray"),
        ({"a": torch.zeros(2).numpy().sum()}, r"state\['a'\]: .*; got float32"),
        ({(1, object()): 2}, r"a key of state\[1\]: .*; got object"),
        ({"a": lambda: 0}, r"got function"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, state, told):
    with pytest.raises(TaskError, match=told):
        Checkpoints(tmp_path, "f" * 64).save(PLAN, Checkpoint(5, state))
    assert not list(tmp_path.iterdir())
