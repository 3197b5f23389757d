"""Is what tuning costs at most told of what will be trained?"""

import json

from tuner.cli import _run

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
