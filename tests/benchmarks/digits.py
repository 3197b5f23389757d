"""The whole pipeline on digits: how much sooner, and with how much less training, than by hand on Ray Tune?

Compared: `tune run` as it stands, from the start of its process to its end (report and export included), against the same
three-stage grid written by hand on Ray Tune (by_hand.py; FIFO, actors reused, no loggers and no checkpoints), likewise; every
run with seeds of its own. Fair: the same model, data, evaluations, grids, seeds and decays, two trials at a time on two cores;
the peer keeps nothing on disk, cannot be resumed, and reads its curves with the product's own rules. What both found is
trained once more under seeds that decided nothing: the means that won are maxima, and flatter whoever compared more. A seed
deviation is that of the two winners' values over these seeds, pooled; one validation image at least.
"""

import json
import math
import tempfile
import time
from statistics import fmean, variance

from studies.plan import Plan
from tests.benchmarks.bed import MemoryStudy, answer, prepared, serial
from tests.benchmarks.table import Figure, Result, less
from trainables.trainable import Workload
from tuner.settings import Settings
from tuner.stages.evidence import with_seeds

IMAGE = 1 / 359
FRESH = 1_000_000
"""The first seed that decided nothing."""


def measure(runs: int = 5, small: bool = False) -> Result:
    settings, workload = prepared("digits", **({"max_steps": 300} if small else {}))
    count, ours, peer = 2 if small else 12, [], []
    for seed in range(0, 10 if small else 10 * runs, 10):
        seconds, examples, plan = _ours(settings, seed, small)
        ours.append((seconds, examples, _again(settings, workload, plan, count)))
        peer.append(_peer(settings, seed, small, count))
    (seconds, examples, values), (their_seconds, their_examples, their_values) = zip(*ours), zip(*peer)
    pairs = list(zip(values, their_values))
    behind = [(fmean(b) - fmean(a)) / max(IMAGE, math.sqrt((variance(a) + variance(b)) / 2)) for a, b in pairs]
    means, their_means = [fmean(one) for one in values], [fmean(one) for one in their_values]
    return Result(
        (
            less("digits, whole pipeline, wall-clock", seconds, their_seconds, 8, " s"),
            less("the same, examples trained", examples, their_examples, 6),
            Figure("the same, final validation behind", means, their_means, behind, 1, scale=" dev", limit=True),
        )
    )


def _ours(settings: Settings, seed: int, small: bool) -> tuple[float, int, Plan]:
    """(seconds, examples trained, the winner)."""
    with tempfile.TemporaryDirectory() as folder:
        given = ("--max-steps", str(settings.max_steps), "--seed", str(seed))
        grids = ("--batch-sizes", "32,256", "--momenta", "0,0.95") if small else ()
        began = time.monotonic()
        told = answer("tuner", "run", "--task", "digits", "--workdir", folder, *given, *grids, "--json")
        seconds = time.monotonic() - began
    return seconds, sum(stage["examples_trained"] for stage in told["stages"]), Plan.read(told["best"])


def _again(settings: Settings, workload: Workload, plan: Plan, count: int) -> list[float]:
    """The winner's accuracies under so many fresh seeds."""
    plans, study = with_seeds(plan.but(seed=FRESH), count), MemoryStudy()
    study.plan(plans)
    with serial("digits", settings, workload) as runner:
        runner.run(plans, study.record)
    return [trial.latest(settings.target(workload).name) for trial in study.trials()]


def _peer(settings: Settings, seed: int, small: bool, count: int) -> tuple[float, int, list[float]]:
    names = ("max_steps", "eval_examples", "early_looks")
    given = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(settings, name)))]
    began = time.monotonic()
    told = answer("tests.benchmarks.by_hand", *given, "--seed", str(seed), *(("--small",) if small else ()))
    seconds = time.monotonic() - began
    winner = ("--cell", json.dumps(told["cell"]), "--seeds", str(count))
    return seconds, told["examples"], answer("tests.benchmarks.by_hand", *given, "--seed", str(FRESH), *winner)
