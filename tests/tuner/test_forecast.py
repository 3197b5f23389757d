"""Is what tuning costs at most told of what will be trained?"""

import json
import os

import pytest
import torch

from tuner.cli import _run
from tuner.forecast import at_a_time
from tuner.settings import Settings

ONE = ["--runner", "serial", "--json", "--repeats", "2"]


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_stage_by_itself_starts_from_the_winner_before_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert _run(["stage1", "--lrs", "0.1,0.03", "--max-steps", "48", "--eval-examples", "512", *ONE]) == 0
    steps = last_line(capsys)["best"]["step_nums"]
    cell = ["stage2", "--batch-sizes", "64", "--momenta", "0.9", *ONE]
    assert _run([*cell, "--dry-run"]) == 0
    [told] = last_line(capsys)["forecast"]
    assert _run(cell) == 0
    stage = last_line(capsys)["stages"][-1]
    assert told["stage"] == stage["name"] == "stage2"
    assert told["trials"] >= stage["trials"] > 1
    assert told["steps"] >= stage["steps_trained"] + stage["steps_shared"] >= 2 * steps > 0
    assert _run([*cell, "--dry-run"]) == 0
    assert last_line(capsys)["forecast"] == []  # it is decided
    assert _run(["run", *cell[1:], "--dry-run"]) == 0  # only stage 3 is not
    assert [stage["stage"] for stage in last_line(capsys)["forecast"]] == ["stage3"]
    assert _run(["run", *cell[1:], "--lrs", "0.3", "--dry-run"]) == 0  # another rate: all of it is to be trained anew
    assert [stage["stage"] for stage in last_line(capsys)["forecast"]] == ["stage1", "stage2", "stage3"]


def test_at_most_is_a_bound_where_stage_1_ends_late(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--exhaustive", "--max-steps", "48", "--lrs", "0.003", "--batch-sizes", "32,64", "--momenta", "0.9", *ONE]
    assert _run(["run", *options, "--dry-run"]) == 0
    told = {stage["stage"]: stage["steps"] for stage in last_line(capsys)["forecast"]}
    assert _run(["run", *options]) == 0
    for stage in last_line(capsys)["stages"][1:]:
        assert stage["steps_trained"] + stage["steps_shared"] <= told[stage["name"]]


@pytest.mark.parametrize(
    "device, options, trials",
    [
        ("cuda", {}, 4),
        ("cuda", {"threads": 8}, 4),
        ("cuda", {"processes": 2}, 2),
        ("cuda", {"processes": 8}, 1),
        ("cuda", {"workers": 3}, 3),
        ("cuda", {"workers": 16}, 4),
        ("cpu", {}, os.cpu_count()),
        ("cpu", {"workers": 16}, 16),
        ("cpu", {"runner": "serial"}, 1),
    ],
)
def test_time_is_shared_out_among_gpus_where_there_are_some_and_else_among_cores(monkeypatch, device, options, trials):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert at_a_time(Settings(**options), device) == trials
