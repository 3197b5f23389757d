"""The whole pipeline on digits: how much sooner, and with how much less training, than by hand on Ray Tune?

Compared: `tune run` as it stands, from the start of its process to its end (report and export included), against the same
three-stage grid written by hand on Ray Tune (by_hand.py; FIFO, actors reused, no loggers and no checkpoints), likewise. Fair:
the same model, data, evaluation interval, grids, seeds and decays, two trials at a time on two cores; the peer keeps
nothing on disk, cannot be resumed, and reads its curves with the product's own rules. A seed deviation is that of the two
winners' values over their seeds, pooled; one validation image at least.
"""

import math
import tempfile
import time
from statistics import variance

from studies.ledger import Store
from tests.benchmarks.bed import answer, prepared
from tests.benchmarks.table import Figure, Result, less

IMAGE = 1 / 359


def measure(runs: int = 5, small: bool = False) -> Result:
    settings, _ = prepared("digits", **({"max_steps": 300} if small else {}))
    ours, peer = [], []
    for _ in range(1 if small else runs):
        ours.append(_ours(settings.max_steps, small))
        peer.append(_peer(settings.max_steps, settings.eval_examples, small))
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


def _ours(max_steps: int, small: bool) -> tuple[float, int, float, float]:
    """(seconds, examples trained, final accuracy, its variance over seeds)."""
    with tempfile.TemporaryDirectory() as folder:
        grids = ("--batch-sizes", "32,256", "--momenta", "0,0.95") if small else ()
        began = time.monotonic()
        told = answer("tuner", "run", "--task", "digits", "--workdir", folder, "--max-steps", str(max_steps), "--json", *grids)
        seconds = time.monotonic() - began
        store = Store(f"sqlite:///{folder}/studies.db")
        spread = variance(store.decisions("digits")[-1].values)
        store.close()
    return seconds, sum(stage["examples_trained"] for stage in told["stages"]), told["metric"]["value"], spread


def _peer(max_steps: int, eval_examples: int, small: bool) -> tuple[float, int, float, float]:
    began = time.monotonic()
    sizes = ("--max-steps", str(max_steps), "--eval-examples", str(eval_examples))
    told = answer("tests.benchmarks.by_hand", *sizes, *(("--small",) if small else ()))
    return time.monotonic() - began, told["examples"], told["value"], variance(told["values"])
