"""What do evaluating on the way and saving states cost, of the training of a rate on digits?

Compared on the CPU, one thread: the product's path for one plan, as the pipeline evaluates and saves it, against the same
path looked at at its end only. Fair: the same process, steps and batches, turn by turn; the bits trained are the same. The
clock is the wall's, as saving waits for the disk.
"""

import tempfile
import time
from pathlib import Path

from studies.plan import constant
from tests.benchmarks.bed import prepared
from tests.benchmarks.table import Figure, Result
from tuner.runners.bench import Bench
from tuner.runners.job import Errand, Job


def measure(runs: int = 5, small: bool = False) -> Result:
    settings, workload = prepared("digits")
    plan = constant(settings.start, 0.1, 100 if small else settings.max_steps)
    often, once = [], []
    for _ in range(1 if small else 3 * runs):
        for seconds, examples in ((often, settings.eval_examples), (once, plan.examples)):
            seconds.append(_trained(plan, workload.fingerprint, examples))
    shares = [100 * (a - b) / b for a, b in zip(often, once)]
    return Result((Figure("digits, evaluating and saving, of the training", often, once, shares, 5, " s", " %", limit=True),))


def _trained(plan, fingerprint: str, eval_examples: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Job("digits", Path(folder), fingerprint, eval_examples, Path(folder), device="cpu", fuse=False))
        for _ in bench.carry_out([Errand(plan.upto(10))], False, lambda: False):
            pass  # warm
        began = time.perf_counter()
        for _ in bench.carry_out([Errand(plan)], False, lambda: False):
            pass
        return time.perf_counter() - began
