"""Does each thing that is wrong with a task have a finding that names it, and a sound task none?"""

import pytest

from studies.plan import Plan
from trainables import load_task
from trainables.checkup import Verdict, checkup, data, memory

OK, DOUBT, WRONG = Verdict.OK, Verdict.DOUBT, Verdict.WRONG

# The task: the finding that names what is wrong with it, its verdict, and words that it must have.
AILING = {
    "Leaky": ("leaks", WRONG, ["400 of 400"]),
    "Sorted": ("split", WRONG, ["stored in the order of their labels", "shuffle"]),
    "Unseen": ("split", WRONG, ["training lacks: 2"]),
    "Loud": ("normalised inputs", DOUBT, ["deviation 3"]),
    "Uneven": ("normalised inputs", DOUBT, ["times apart"]),
    "Twice": ("weakly correlated inputs", DOUBT, ["features 1 and 5", "leave one"]),
    "Holes": ("finite numbers", WRONG, ["1 numbers in the training data"]),
    "Rare": ("labels", DOUBT, ["F1", "--batch-size 128", "to answer 0 to all is right for 9"]),
    "Alike": ("labels", WRONG, ["every label is 1"]),
    "Few": ("batch size", DOUBT, ["--batch-size 16"]),
    "Slow": ("reading", DOUBT, ["read anew", "recipe", "--readers"]),
    "Short": ("outputs", WRONG, ["from 0 to 1", "1 output"]),
    "Huge": ("batch size", WRONG, ["ran out at 64; 32 fits", "--batch-size 32", "accumulate"]),
    "Confident": ("loss at the start", DOUBT, ["ln 2", "initialise"]),
    "Heights": ("loss at the start", DOUBT, ["targets' variance"]),
    "Idle": ("gradients", WRONG, ["none reaches idle"]),
    "Detached": ("gradients", WRONG, ["none reaches 0.weight"]),
    "Dead": ("dead units", WRONG, ["100% of the units of 3"]),
    "Deep": ("gradients", DOUBT, ["vanish", "0.weight"]),
    "Dropping": ("regularisation", DOUBT, ["Dropout 0.3 in 2", "dropout: 0"]),
    "Decaying": ("regularisation", DOUBT, ["weight decay 0.0005"]),
    "Forgotten": ("parameters", WRONG, ["0.weight"]),
    "Deaf": ("one batch by heart", WRONG, ["fell only"]),
    "NormedDeaf": ("one batch by heart", WRONG, ["fell only"]),
    "Mute": ("one example by heart", WRONG, ["fell only"]),
    "Moody": ("the same plan twice", WRONG, ["loss"]),
    "Counting": ("stopped and gone on with", WRONG, ["state lacks"]),
    "Elsewhere": ("metric", WRONG, ["f1", "accuracy"]),
    "Nervous": ("evaluating changes nothing", WRONG, ["state"]),
    "Forgetful": ("stopped and gone on with", WRONG, ["state lacks"]),
    "Keeps": ("the state comes back", WRONG, ["file"]),
}


def found(spec):
    return {check.name: check for check in checkup(load_task(spec), Plan(), "cpu", 60)}


@pytest.mark.parametrize("name", AILING)
def test_what_is_wrong_has_a_finding_that_names_it(name):
    where, verdict, words = AILING[name]
    check = found(f"tests.trainables.ailing:{name}")[where]
    assert check.verdict is verdict and check.do
    assert all(word in f"{check.saw} {check.do}" for word in words), check


@pytest.mark.parametrize("spec", ["digits", *(f"tests.trainables.ailing:{name}" for name in ("Healthy", "Numbers", "Normed"))])
def test_a_sound_task_has_nothing_wrong_or_in_doubt(spec):
    checks = found(spec).values()
    assert [check for check in checks if check.verdict not in (OK, Verdict.UNSEEN)] == []
    assert len(checks) >= 18


def test_what_trains_in_its_own_way_is_checked_for_purity_and_says_what_is_not_seen():
    checks = found("tests.trainables.problems:Bandit")
    assert {check.verdict for check in checks.values()} == {OK, Verdict.UNSEEN}
    assert checks["stopped and gone on with"].saw == "bit for bit" and "data" in checks["the rest"].saw


@pytest.mark.parametrize("size, free", [(16_384, 10**12), (96, 10_000)])
def test_a_batch_that_has_been_trained_fits(size, free, monkeypatch):
    monkeypatch.setattr("trainables.checkup.memory._available", lambda: free)
    *_, check = memory.checks(load_task("digits"), Plan(batch_size=size), "cpu", 1)
    assert check.verdict in (OK, DOUBT) and check.saw.startswith(f"{size:,} fits (")


def test_of_large_inputs_fewer_are_read(monkeypatch):
    monkeypatch.setattr(data, "READ_BYTES", 1)
    assert found("digits")["finite numbers"].saw == f"{2 * data.PIECE} examples read"


def test_what_there_is_no_time_for_ends_in_time_and_is_no_verdict_on_the_task():
    plan, task = Plan(), load_task("digits")
    checks = {check.name: check for check in checkup(task, plan, "cpu", 0.01)}
    assert all(check.verdict is not WRONG for check in checks.values())
