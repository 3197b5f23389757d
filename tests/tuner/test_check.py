"""Does `tune check` tell what it finds, and end with the exit code that says whether a task is fit?"""

import json

import pytest

from tuner.cli import _run


def checked(capsys, *arguments):
    code = _run(["check", *arguments, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out), told.err


def test_a_sound_task_is_fit_and_told_what_tuning_it_would_cost(capsys):
    code, report, told = checked(capsys, "digits")
    assert code == 0 and report["fit"]
    assert {finding["verdict"] for finding in report["findings"]} == {"ok"}
    assert report["findings"][-1]["name"] == "what tuning costs at most"
    assert all(f"{finding['name']}: {finding['saw']}" in told for finding in report["findings"])


def test_a_wrong_one_is_not_and_each_finding_says_what_to_do(capsys):
    code, report, told = checked(capsys, "tests.trainables.ailing:Mute", "--batch-size", "32")
    assert code == 1 and not report["fit"]
    wrong = {finding["name"]: finding["do"] for finding in report["findings"] if finding["verdict"] == "wrong"}
    assert {"gradients", "one example by heart", "one batch by heart"} <= wrong.keys()
    assert all(do and do in told for do in wrong.values())


def test_what_trains_in_its_own_way_is_checked_and_what_was_not_is_said(capsys):
    code, report, told = checked(capsys, "tests.trainables.problems:Bandit", "--seconds", "20")
    assert code == 0 and "cannot be seen from outside" in told


@pytest.mark.parametrize("name", ["Stumbles", "Vector", "Quits"])
def test_a_task_that_raises_on_the_way_is_told_with_its_traceback(capsys, name):
    assert _run(["check", f"tests.trainables.problems:{name}"]) == 2
    told = capsys.readouterr().err
    assert f"tune: --task tests.trainables.problems:{name}" in told
