"""Does a training on a GPU keep its states on the CPU, seed what it draws, and get by with its memory? Tried without one."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from studies.plan import Ensemble, Plan
from tests.trainables.problems import Bandit, Plain
from trainables.supervised import EVALUATION_BATCH, copied
from trainables.task import Custom, Supervision


class Large(Plain):
    """So large that a GPU has no room for it and more than a few examples."""

    room, tried = 100, ()

    def data(self):
        return tuple((inputs.repeat(40, 1), labels.repeat(40)) for inputs, labels in super().data())

    def loss(self, outputs, targets):
        self.tried = (*self.tried, len(outputs))
        if len(outputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss(outputs, targets)


@pytest.fixture
def large():
    return Supervision(Large(), "large", "f" * 64)


def test_a_state_is_a_copy_on_the_cpu():
    with FakeTensorMode():
        assert copied({"model": [torch.ones(2, device="cuda")]})["model"][0].device.type == "cpu"
    here = torch.ones(2)
    assert copied(here).data_ptr() != here.data_ptr()


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_what_nadam_keeps_on_the_cpu_goes_back_there():
    workload, plan = Supervision(Plain(), "plain", "f" * 64), Plan(batch_size=8, optimizer="nadam")
    training, elsewhere = workload.trainable(plan, "cpu"), workload.trainable(plan, "meta")
    training.train(2, 0.01)
    elsewhere.restore(training.state())
    places = {name: kept.device.type for name, kept in elsewhere.optimizer.state[elsewhere.model.weight].items()}
    assert places == {"step": "cpu", "mu_product": "cpu", "exp_avg": "meta", "exp_avg_sq": "meta"}


def test_what_does_not_fit_is_evaluated_in_smaller_batches_from_there_on(large):
    training, task = large.trainable(Plan(batch_size=8, finish=Ensemble(members=(Plan(),))), "cpu"), large.task
    measured = training.evaluate()
    assert task.tried[:4] == (EVALUATION_BATCH, 256, 128, 64) and {*task.tried[3:]} == {64}
    tried = len(task.tried)
    assert training.evaluate() == pytest.approx(measured, nan_ok=True) and len(task.tried) == 2 * tried - 3
    assert training.finished([training])["val_loss"] == pytest.approx(measured["val_loss"]) and {*task.tried[tried:]} == {64}
    task.room = 1000
    assert large.trainable(Plan(batch_size=8), "cpu").evaluate() == pytest.approx(measured, nan_ok=True)
    task.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        training.evaluate()
    assert task.tried[-1] == 1


def test_what_the_usual_metrics_do_not_need_is_not_kept(large, monkeypatch):
    training = large.trainable(Plan(batch_size=8), "cpu")
    inputs, labels = large.splits("cpu")[1].take(torch.arange(640))
    hits = training.model(inputs).argmax(1) == labels
    monkeypatch.setattr("trainables.measuring._joined", lambda parts: pytest.fail("outputs were kept"))
    assert training.evaluate()["accuracy"] == hits.float().mean()


def test_cuda_is_there_before_what_draws_on_it_is_seeded(monkeypatch):
    told = []
    monkeypatch.setattr(torch.cuda, "init", lambda: told.append("begun"))
    monkeypatch.setattr("trainables.task.seed_everything", lambda *key: told.append("seeded"))
    made = Custom(type("Idle", (Bandit,), {"__init__": lambda self: told.append("made")}), "idle", "f" * 64)
    made.trainable(Plan(), "cpu")
    made.trainable(Plan(), "cuda:1")
    assert told == ["seeded", "made", "begun", "seeded", "made"]
