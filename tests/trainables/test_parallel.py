"""Is a training in several processes the one in one process, does it go on bit for bit, and is what cannot be shared refused?"""

import os
import signal
import time

import psutil
import pytest
import torch
from torch import nn

from studies.errors import InputError
from studies.plan import Distilled, Plan, constant
from studies.recipe import Recipe
from tests.trainables.helpers import in_another_process, same, workload
from trainables.parallel import gathered, load_spread

RECIPE = Recipe(label_smoothing=0.1, crop=1, accumulate=3, weight_decay=0.01)
PLAN = constant(Plan(batch_size=7, recipe=RECIPE), 0.05, 12)  # three examples for the first process, two for each of the others


def spread(name, size, device="cpu"):
    return load_spread(f"tests.trainables.problems:{name}", None, size, device)


@pytest.fixture(scope="module")
def three():
    """A task that three processes share."""
    with gathered(shared := spread("Spare", 3)):
        yield shared


def children():
    return {child.pid for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())}


def alike(team, alone):
    ours, theirs = team.state()["model"], alone.state()["model"]
    return all(torch.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-6) for name in theirs)


def test_it_is_the_training_of_one_process_and_goes_on_bit_for_bit(three):
    alone, team = workload("Spare").trainable(PLAN, "cpu"), three.trainable(PLAN, "cpu")
    assert [team.train(6, 0.05), team.train(6, 0.02)] == pytest.approx([alone.train(6, 0.05), alone.train(6, 0.02)], rel=1e-5)
    assert alike(team, alone) and team.approximations == ()
    assert team.evaluate()["val_loss"] == pytest.approx(alone.evaluate()["val_loss"], rel=1e-4)
    begun, loss, ended, there = team.state(), team.train(5, 0.05), team.state(), children()
    for again in (team, three.trainable(PLAN, "cpu")):
        again.restore(begun)
        assert again.train(5, 0.05) == loss and same(again.state(), ended)
    assert len(there) == 2 and children() == there


def test_all_are_taught_by_the_same_teachers(three):
    plan = PLAN.but(recipe=Recipe(), finish=Distilled(teachers=(PLAN,)))
    alone, team, teacher = workload("Spare").trainable(plan, "cpu"), three.trainable(plan, "cpu"), three.trainable(PLAN, "cpu")
    untaught = three.trainable(plan, "cpu").train(6, 0.05)
    for one in (alone, team):
        one.enlist([teacher])
    assert team.train(6, 0.05) == pytest.approx(taught := alone.train(6, 0.05), rel=1e-5) and alike(team, alone)
    assert abs(taught - untaught) > 0.01


def test_all_stop_early_together(three):
    plan = constant(Plan(batch_size=7, recipe=Recipe(early_stopping=1)), 0.05, 20)
    alone, team = workload("Spare").trainable(plan, "cpu"), three.trainable(plan, "cpu")
    assert team.train(9, 0.05) == pytest.approx(alone.train(9, 0.05), rel=1e-5)
    begun, loss = team.state(), team.train(8, 0.05)
    stopped = team.evaluate()["stopped_at"]
    assert loss == pytest.approx(alone.train(8, 0.05), rel=1e-5) and alike(team, alone)
    assert stopped == alone.evaluate()["stopped_at"] <= 8
    again = three.trainable(plan, "cpu")
    again.restore(begun)
    assert again.train(8, 0.05) == loss and same(again.state(), team.state())


def test_one_that_is_killed_ends_its_training_and_no_other(three):
    expected = three.trainable(PLAN, "cpu").train(5, 0.05)
    os.kill(min(children()), signal.SIGKILL)
    with pytest.raises(RuntimeError) as raised:
        three.trainable(PLAN, "cpu").train(5, 0.05)
    assert "of its processes died (killed, out of memory" in raised.value.__notes__[-1] and not children()
    assert three.trainable(PLAN, "cpu").train(5, 0.05) == expected


def test_one_that_fails_is_heard_of_at_once_whatever_goes_on_in_it(three, monkeypatch):
    three.others.close()  # a process is in one group at a time
    given_up = []
    monkeypatch.setattr("trainables.parallel._abort", lambda: given_up.append(time.monotonic()))
    with gathered(shared := spread("Lingers", 2)):
        team = shared.trainable(PLAN.but(recipe=Recipe()), "cpu")
        team.train(2, 0.05)
        began = time.monotonic()
        assert not given_up
        with pytest.raises(RuntimeError) as raised:
            team.train(8, 0.05)
    assert "process 1 of 2: " in raised.value.__notes__[-1] and "OutOfMemoryError: CUDA" in raised.value.__notes__[-1]
    assert given_up[0] - began < 5


SHARES = """
from trainables.parallel import gathered, load_spread
if __name__ == "__main__":
    workload = load_spread(sys.argv[1], None, 2, "cpu", readers=1)
    with gathered(workload):
        team = workload.trainable(Plan(batch_size=8), "cpu")
        while True:
            print(team.train(1, 0.1), flush=True)
"""


def test_they_end_with_the_first_one_however_it_ends():
    first = in_another_process(SHARES, "tests.trainables.problems:Images")
    try:
        assert float(first.stdout.readline()) > 0
        others = psutil.Process(first.pid).children(recursive=True)
        parents = {other.ppid() for other in others}
    finally:
        first.kill()
        first.wait()
    assert len(parents) == 2, "each has others read for it"
    assert not psutil.wait_procs(others, 10)[1]


def test_batch_norm_in_shares_is_said_to_be_an_approximation():
    (told,) = spread("Colours", 2).trainable(PLAN.but(recipe=Recipe()), "cpu").approximations
    assert told.startswith("processes: batch norm sees each process's share")


def test_on_gpus_batch_norm_is_synchronised_and_nothing_else_changes():
    plan = PLAN.but(recipe=Recipe(freeze={"names": ["0.1"]}))
    models = []
    for task in (workload("Colours"), spread("Colours", 2, "cuda")):
        training = task.trainable(plan, "cpu")  # torch synchronises on GPUs only; here it can be built and evaluated
        models.append((training, torch.get_rng_state(), training.evaluate(), training.state()))
    (_, *before), (synchronised, *after) = models
    assert same(before, after) and synchronised.approximations == ()
    assert [type(layer) for layer in synchronised.still] == [nn.SyncBatchNorm]
    held = {id(parameter) for group in synchronised.optimizer.param_groups for parameter in group["params"]}
    assert held <= {id(parameter) for parameter in synchronised.model.parameters()}


def test_each_number_of_processes_has_states_of_its_own():
    assert len({workload("Flat").fingerprint, *(spread("Flat", size).fingerprint for size in (1, 2, 3))}) == 3


@pytest.mark.parametrize(
    "name, size, words",
    [("Flat", 8, "--processes: expected at most 7, the batch size; got 8"), ("Bandit", 2, "--processes: expected a Task")],
)
def test_what_cannot_be_shared_is_refused(name, size, words):
    with pytest.raises(InputError, match=words):
        spread(name, size).trainable(PLAN, "cpu")
