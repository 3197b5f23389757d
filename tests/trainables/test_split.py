"""Is a data set read as often as it has to be, no oftener, and is what it gives the same either way?"""

import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import Dataset

from trainables import split as splits
from trainables.randomness import seed_everything
from trainables.split import Split


def same(row: torch.Tensor) -> torch.Tensor:
    return row


class Counted(Dataset):
    """Forty examples that count how often each is read. item: what is made of a row."""

    def __init__(self, item: Callable[[torch.Tensor], Any] = same):
        self.read, self._item = [0] * 40, item

    def __len__(self):
        return 40

    def __getitem__(self, index):
        self.read[index] += 1
        return self._item(torch.arange(3.0) + 3 * index), index


def drawn(take: Callable[[torch.Tensor], tuple]) -> list[tuple]:
    """Four batches, some examples in two of them, seeded as a training's are; and what is drawn after each."""
    taken = []
    for step, indices in enumerate((*torch.arange(40).roll(5)[:36].split(12), torch.arange(10, 22))):
        seed_everything("step", step)
        inputs, targets = take(indices)
        taken.append((inputs, targets, torch.rand(1).item(), random.random(), np.random.rand()))
    return taken


def by_hand(item: Callable[[torch.Tensor], Any]) -> list[tuple]:
    data = Counted(item)
    return drawn(
        lambda indices: [torch.stack([torch.as_tensor(part) for part in parts]) for parts in zip(*(data[i] for i in indices))]
    )


def assert_same(ours: list, theirs: list) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine[0], other[0]) and torch.equal(mine[1], other[1]) and mine[2:] == other[2:]


def now_and_then(row: torch.Tensor) -> torch.Tensor:
    """Draws for the rows from the 20th on."""
    return row + torch.rand(3) if row[0] >= 60 else row


DRAWS = {
    "torch": lambda row: row + torch.rand(3),
    "numpy": lambda row: row + float(np.random.rand()),
    "python": lambda row: row + random.random(),
    "for some": now_and_then,
}


def test_what_is_the_same_each_time_is_read_once():
    data = Counted()
    split = Split(data, "cpu")
    assert_same(drawn(split.take), by_hand(same))
    known = list(data.read)
    assert_same(drawn(split.take), by_hand(same))
    assert data.read == known
    assert [len(targets) for _, targets in split.batches(15)] == [15, 15, 10]
    assert sum(data.read) - sum(known) == known.count(0)


@pytest.mark.parametrize("item", DRAWS.values(), ids=DRAWS.keys())
def test_what_draws_random_numbers_is_drawn_each_time(item):
    split = Split(Counted(item), "cpu")
    for _ in range(2):
        assert_same(drawn(split.take), by_hand(item))


def test_what_draws_them_from_elsewhere_is_read_each_time():
    own = np.random.default_rng()
    split = Split(Counted(lambda row: row + own.standard_normal()), "cpu")
    one, other = (split.take(torch.arange(20))[0] for _ in range(2))
    assert not torch.equal(one, other)


def test_what_cannot_be_kept_is_read_each_time(monkeypatch):
    one = torch.tensor([3])
    ragged = Counted(lambda row: row[: 1 + int(row[0]) % 2])
    assert [len(Split(ragged, "cpu").take(torch.tensor([i]))[0][0]) for i in (0, 1, 2)] == [1, 2, 1]
    late = Split(Counted(lambda row: row.long() if row[0] > 90 else row), "cpu")
    assert [late.take(torch.tensor([i]))[0].dtype for i in (3, 35, 3)] == [torch.float32, torch.int64, torch.float32]
    words = Split(Counted(lambda row: {"row": row, "name": f"row {row[0]:g}"}), "cpu")
    assert [words.take(one)[0]["name"] for _ in range(2)] == [["row 9"]] * 2
    monkeypatch.setattr(splits, "KEPT_BYTES", 40 * (3 * 4 + 8) - 1)
    large = Counted()
    split = Split(large, "cpu")
    before = large.read[3]
    assert_same(drawn(split.take), by_hand(same))
    assert split.take(one)[1].tolist() == [3] and large.read[20] == 2 and large.read[3] > before


def test_what_all_cores_cannot_keep_at_once_is_read_each_time(monkeypatch):
    size = 40 * (3 * 4 + 8)
    for spare, reads in ((4 * os.cpu_count() * size, 1), (4 * os.cpu_count() * size - 1, 2)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda spare=spare: SimpleNamespace(available=spare))
        data = Counted()
        split = Split(data, "cpu")
        for _ in range(2):
            split.take(torch.arange(39, 40))
        assert data.read[39] == reads


def test_nests_are_kept_as_they_are():
    data = Counted(lambda row: {"row": row, "more": (row[:1], 2)})
    split = Split(data, "cpu")
    for _ in range(2):
        inputs, targets = split.take(torch.tensor([4, 2, 4]))
        assert inputs["row"][:, 0].tolist() == [12.0, 6.0, 12.0] and targets.tolist() == [4, 2, 4]
        assert [part.tolist() for part in inputs["more"]] == [[[12.0], [6.0], [12.0]], [2, 2, 2]]
    assert data.read[4] <= 1 + 1 + 2 and data.read[39] == 0


def stepped(split: Split) -> list[tuple]:
    """Steps of two trainings and evaluations between them, and what is drawn after each."""
    taken = []
    for seed, steps in ((0, range(3)), (1, range(2, 4)), (0, range(3, 6))):
        for step in steps:
            taken.append((*split.at(12, seed, step), torch.rand(1).item(), random.random(), np.random.rand()))
    return taken


@pytest.mark.parametrize("item", [same, *DRAWS.values()], ids=["nothing", *DRAWS.keys()])
def test_read_ahead_it_is_what_it_was(item, monkeypatch):
    monkeypatch.setattr(splits, "KEPT_BYTES", 0)
    data = Counted(item)
    assert_same(stepped(Split(data, "cpu", readers=2)), stepped(Split(Counted(item), "cpu")))
    assert max(data.read) <= 1 + 2  # but for a glance, others have read


@pytest.mark.parametrize("item", [same, now_and_then], ids=["nothing", "for some"])
def test_an_evaluation_is_read_ahead_as_long_as_it_draws_nothing(item, monkeypatch):
    monkeypatch.setattr(splits, "KEPT_BYTES", 0)

    def evaluated(readers: int) -> list[tuple]:
        split, seen = Split(Counted(item), "cpu", readers), []
        for _ in range(2):
            seed_everything("evaluation")
            seen += [(*batch, torch.rand(1).item()) for batch in split.batches(7)]
        return seen

    assert_same(evaluated(2), evaluated(0))


def test_a_data_set_that_fails_says_so_itself(monkeypatch):
    monkeypatch.setattr(splits, "KEPT_BYTES", 0)

    def fails(row: torch.Tensor) -> torch.Tensor:
        if row[0] > 60:
            raise KeyError("no such picture")
        return row

    with pytest.raises(KeyError, match="^'no such picture'$"):
        stepped(Split(Counted(fails), "cpu", readers=2))


@pytest.mark.parametrize("seed", [0, 1], ids=["as it reads", "as it waits"])
def test_who_reads_may_be_killed(seed, monkeypatch, caplog):
    monkeypatch.setattr(splits, "KEPT_BYTES", 0)
    children = set(psutil.Process().children())

    ahead, alone = (Split(Counted(now_and_then), "cpu", readers) for readers in (2, 0))
    ours = [(*ahead.at(12, 0, 0), torch.rand(1).item())]
    for reader in set(psutil.Process().children()) - children:
        reader.kill()
    ours += [(*ahead.at(12, seed, step), torch.rand(1).item()) for step in range(1, 12)]
    assert_same(ours, [(*alone.at(12, seed if step else 0, step), torch.rand(1).item()) for step in range(12)])
    assert "the data are not read ahead any more: " in caplog.text
