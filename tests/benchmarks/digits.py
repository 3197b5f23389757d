"""The whole pipeline on digits: how much sooner, and with how much less training, than by hand on Ray Tune?

Compared: `tune run` as it stands, from the start of its process to its end (report and export included), against the same
three-stage grid written by hand on Ray Tune (by_hand.py; FIFO, actors reused, no loggers and no checkpoints), likewise; every
run with seeds of its own. Fair: the same model, data, evaluations, grids, seeds and decays, two trials at a time on two cores;
the peer keeps nothing on disk, cannot be resumed, and reads its curves with the product's own rules. A seed deviation is that
of the two winners' values over their seeds, pooled; one validation image at least.
"""

import math
import tempfile
import time
from statistics import variance

from studies.ledger import Store
from tests.benchmarks.bed import answer, prepared
from tests.benchmarks.table import Figure, Result, less
from tuner.settings import Settings

IMAGE = 1 / 359


def measure(runs: int = 5, small: bool = False) -> Result:
    settings, _ = prepared("digits", **({"max_steps": 300} if small else {}))
    ours, peer = [], []
    for seed in range(0, 10 if small else 10 * runs, 10):
        ours.append(_ours(settings, seed, small))
        peer.append(_peer(settings, seed, small))
    mine, theirs = zip(*ours), zip(*peer)
    (seconds, examples, values, spreads), (their_seconds, their_examples, their_values, their_spreads) = mine, theirs
    deviations = [max(IMAGE, math.sqrt((a + b) / 2)) for a, b in zip(spreads, their_spreads)]
    behind = [(b - a) / deviation for a, b, deviation in zip(values, their_values, deviations)]
    return Result(
        (
            less("digits, whole pipeline, wall-clock", seconds, their_seconds, 8, " s"),
            less("the same, examples trained", examples, their_examples, 6),
            Figure("the same, final validation behind", values, their_values, behind, 1, scale=" dev", limit=True),
        )
    )


def _ours(settings: Settings, seed: int, small: bool) -> tuple[float, int, float, float]:
    """(seconds, examples trained, final accuracy, its variance over seeds)."""
    with tempfile.TemporaryDirectory() as folder:
        given = ("--max-steps", str(settings.max_steps), "--seed", str(seed))
        grids = ("--batch-sizes", "32,256", "--momenta", "0,0.95") if small else ()
        began = time.monotonic()
        told = answer("tuner", "run", "--task", "digits", "--workdir", folder, *given, *grids, "--json")
        seconds = time.monotonic() - began
        store = Store(f"sqlite:///{folder}/studies.db")
        spread = variance(store.decisions("digits")[-1].values)
        store.close()
    return seconds, sum(stage["examples_trained"] for stage in told["stages"]), told["metric"]["value"], spread


def _peer(settings: Settings, seed: int, small: bool) -> tuple[float, int, float, float]:
    began = time.monotonic()
    names = ("max_steps", "eval_examples", "early_looks")
    given = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(settings, name)))]
    told = answer("tests.benchmarks.by_hand", *given, "--seed", str(seed), *(("--small",) if small else ()))
    return time.monotonic() - began, told["examples"], told["value"], variance(told["values"])
