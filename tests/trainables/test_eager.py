"""Is torch's compiler left out of what does not need it, and there for what does?"""

import subprocess
import sys

SCRIPT = """
import sys
from studies.plan import Plan, constant
from trainables.checkup import checkup
from trainables.recipe.optimizers import OPTIMIZERS
from trainables.task import load_task

digits = load_task("digits")
def trained(optimizer):
    first, second = (digits.trainable(constant(Plan(optimizer=optimizer), 0.001, 20), "cpu") for _ in range(2))
    losses = [first.train(10, 0.001)]
    second.restore(first.state())
    return [*losses, second.train(10, 0.001), second.evaluate()]

torchs = sorted(OPTIMIZERS.keys() - {"lars"})  # timm brings the compiler along
eagerly = {optimizer: trained(optimizer) for optimizer in torchs}
assert list(checkup(digits, Plan(), "cpu", 1))
assert not [name for name in sys.modules if name.startswith(("torch._dynamo", "sklearn"))]

import torch
compiled = torch.compile(lambda x: x.sin() + 1, backend="eager")
assert torch.equal(compiled(torch.ones(3)), torch.ones(3).sin() + 1)
assert "torch._dynamo.config" in sys.modules
assert {optimizer: trained(optimizer) for optimizer in torchs} == eagerly
"""


def test_training_imports_no_compiler_and_is_the_same_beside_it():
    """In a process of its own: whatever else the tests have imported is not in it."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
