"""Is a training in several processes the one in one process, does it go on bit for bit, and is what cannot be shared refused?"""

import pytest
import torch

from studies.errors import InputError
from studies.plan import Plan, constant
from studies.recipe import Recipe
from tests.trainables.helpers import same, workload
from trainables.parallel import spread

RECIPE = Recipe(label_smoothing=0.1, crop=1, accumulate=2, weight_decay=0.01)
PLAN = constant(Plan(batch_size=7, recipe=RECIPE), 0.05, 12)  # four examples for one process, three for the other


def shared(name, plan, size=2):
    return spread(workload(name), f"tests.trainables.problems:{name}", None, plan, "cpu", 1, size)


def test_it_is_the_training_of_one_process_and_goes_on_bit_for_bit():
    alone = workload("Flat").trainable(PLAN, "cpu")
    with shared("Flat", PLAN) as together:
        team = together.trainable(PLAN, "cpu")
        assert [team.train(6, 0.05), team.train(6, 0.02)] == pytest.approx([alone.train(6, 0.05), alone.train(6, 0.02)], rel=1e-5)
        for name, value in alone.model.state_dict().items():
            assert torch.allclose(team.state()["model"][name], value, rtol=1e-4, atol=1e-6)
        assert team.evaluate()["val_loss"] == pytest.approx(alone.evaluate()["val_loss"], rel=1e-4)
        begun, loss, ended = team.state(), team.train(5, 0.05), team.state()
        team.restore(begun)
        assert team.train(5, 0.05) == loss and same(team.state(), ended)
        assert team.approximations == ()


def test_batch_norm_in_shares_is_said_to_be_an_approximation():
    plan = PLAN.but(recipe=Recipe())
    with shared("Colours", plan, 1) as together:
        (told,) = together.trainable(plan, "cpu").approximations
    assert told.startswith("processes: batch norm sees each process's share")


@pytest.mark.parametrize(
    "name, size, words",
    [("Flat", 8, "--processes: expected at most 7, the batch size; got 8"), ("Bandit", 2, "--processes: expected a Task")],
)
def test_what_cannot_be_shared_is_refused(name, size, words):
    with pytest.raises(InputError, match=words), shared(name, PLAN, size):
        pass
