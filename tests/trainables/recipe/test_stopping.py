"""Does a training stop early where a person who watches the validation would stop it, with the weights that they would keep?"""

import math

import pytest
import torch

from studies.finish import Pruned
from studies.plan import Plan, constant
from studies.recipe import Recipe
from studies.trial import State
from tests.trainables.helpers import points, same, train, workload

PATIENCE, EPOCHS = 2, 12


def path(name, patience=None, epochs=EPOCHS, rate=0.3):
    recipe = Recipe(early_stopping=patience) if patience else Recipe()
    plan = constant(Plan(batch_size=8, seed=3, recipe=recipe), rate, 1)
    return plan.to(epochs * plan.every(workload(name).train_examples))


def watched(name, rate=0.3):
    """By hand: after each epoch of a plain training the metric, the loss over the epoch, and the weights."""
    task, plan = workload(name), path(name, rate=rate)
    training, told = task.trainable(plan, "cpu"), []
    for _ in range(EPOCHS):
        loss = training.train(plan.steps // EPOCHS, rate)
        told.append((training.evaluate()[task.target.name], loss, training.state()["model"]))
    return told


@pytest.mark.parametrize("name, rate, mode", [("Words", 0.3, "max"), ("Line", 0.3, "min")])
def test_it_goes_back_to_the_epoch_after_which_nothing_was_better_for_so_long(name, rate, mode):
    told, task = watched(name, rate), workload(name)
    assert task.target.mode == mode
    values = [value if mode == "max" else -value for value, _, _ in told]
    best = next(i for i in range(EPOCHS - PATIENCE) if values[i] >= max(values[: i + 1 + PATIENCE]))
    plan = path(name, PATIENCE, rate=rate)
    training, epoch = task.trainable(plan, "cpu"), plan.steps // EPOCHS
    losses = [training.train(epoch, rate) for _ in range(best + 1 + PATIENCE)]
    assert losses == [loss for _, loss, _ in told[: best + 1 + PATIENCE]]
    measured = training.evaluate()
    assert (measured["stopped_at"], measured[task.target.name]) == ((best + 1) * epoch, told[best][0])
    assert same(training.state()["model"], told[best][2])
    assert training.train(2 * epoch, rate) == pytest.approx(told[best][1], rel=1e-12)
    assert training.step == (best + 3 + PATIENCE) * epoch and same(training.state()["model"], told[best][2])


def test_who_is_patient_enough_trains_as_without():
    plan = path("Words", 100)
    patient, plain = workload("Words").trainable(plan, "cpu"), workload("Words").trainable(path("Words"), "cpu")
    assert patient.train(plan.steps, 0.3) == plain.train(plan.steps, 0.3)
    assert same(patient.state()["model"], plain.state()["model"]) and "stopped_at" not in patient.evaluate()


def test_the_steps_after_it_are_not_trained(monkeypatch):
    plan = path("Words", PATIENCE)
    training, done = workload("Words").trainable(plan, "cpu"), []
    update = training._update
    monkeypatch.setattr(training, "_update", lambda: done.append(training.step) or update())
    training.train(plan.steps, 0.3)
    stopped = training.evaluate()["stopped_at"]
    assert done == list(range(stopped + PATIENCE * plan.steps // EPOCHS)) and training.step == plan.steps


def test_a_diverged_training_is_told_as_one(tmp_path):
    reports = train("Line", path("Line", 1, rate=1e4), tmp_path, eval_examples=400)
    assert reports[-1].ended is State.DIVERGED and not any(math.isfinite(p.values["train_loss"]) for p in points(reports)[-1:])


def test_pruned_weights_get_a_patience_of_their_own():
    plan = path("Words", PATIENCE)
    at = plan.steps // 2
    pruned = workload("Words").trainable(plan.but(finish=Pruned(share=0.5, at=at)), "cpu")
    pruned.train(at, 0.3)
    assert pruned.evaluate()["stopped_at"] < at
    before = pruned.state()["model"]
    pruned.train(plan.steps // EPOCHS, 0.3)
    measured, after = pruned.evaluate(), pruned.state()["model"]
    assert measured["parameters_left"] < 0.6 and "stopped_at" not in measured
    assert not any(torch.equal(before[name], after[name]) for name in before if after[name].dim() > 1)
