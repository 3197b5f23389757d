"""Is what a plan takes of a GPU measured where it takes most?"""

from types import SimpleNamespace

import pytest
import torch

from studies.plan import Distilled, Plan, constant
from trainables import machine

MIB = 1 << 20
DATA, MODEL = 100 * MIB, 10 * MIB


class Memory:
    """A GPU's, on which trainings pretend to lie."""

    def __init__(self):
        self.now = self.peak = 0

    def take(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)


class Training:
    """Gradients and activations within a step, an optimizer's state of two models after the first, and copies in a state."""

    def __init__(self, memory, step):
        self._memory, self._size, self._step = memory, 0, step
        self._take(MODEL)

    def _take(self, size):
        self._size += size
        self._memory.take(size)

    def enlist(self, teachers):
        self.teachers = teachers

    def train(self, steps, lr):
        for step in range(steps):
            self._memory.take(self._step * MODEL)
            self._memory.take(-self._step * MODEL)
            self._take(0 if step else 2 * MODEL)
        return 0.0

    def evaluate(self):
        return {}

    def state(self):
        self._memory.take(self._size)
        self._memory.take(-self._size)

    def __del__(self):
        self._memory.now -= self._size


TAUGHT = Distilled(teachers=(Plan(seed=1), Plan(seed=2)))


@pytest.mark.parametrize(("finish", "step", "models"), [(None, 1, 6), (None, 4, 7), (TAUGHT, 4, 9)])
def test_with_the_optimizer_s_state_a_copy_of_all_and_teachers(monkeypatch, finish, step, models):
    memory = Memory()
    memory.take(DATA)
    for name, known in (
        ("reset_peak_memory_stats", lambda: setattr(memory, "peak", memory.now)),
        ("max_memory_reserved", lambda: memory.peak),
        ("memory_reserved", lambda: memory.now),
        ("get_device_properties", lambda index: SimpleNamespace(name="NVIDIA A100", total_memory=10 * machine.CONTEXT_BYTES)),
    ):
        monkeypatch.setattr(torch.cuda, name, known)
    workload = SimpleNamespace(trainable=lambda plan, device: Training(memory, step))
    share, more = machine.gpu_share(workload, constant(Plan(finish=finish), 0.1, 5))
    total = 10 * machine.CONTEXT_BYTES
    assert share == (machine.CONTEXT_BYTES + DATA + models * MODEL) / total and more == models * MODEL / total
    assert machine.card("cuda") == "NVIDIA A100, 10240 MiB" and machine.card("cpu") == ""
