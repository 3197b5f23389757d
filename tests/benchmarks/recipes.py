"""What do the linear scaling rule and the bag of tricks do on real images?

Two tables of method/002 and method/003 in small, on as many images of CIFAR-10 as two cores can train: a small ResNet, 4,000
images to train on and 1,000 to validate with, every rate decayed by a cosine. Scaling, ten epochs: rates by factors of two at
batch 64, at batch 512, and at batch 512 warmed up to over a tenth of the path, each sweep widened until its best rate is
inside; what batch 64's best rate gives at batch 512 as it is, by the rule (times 8), and warmed up to, and what the best rates
there give, against batch 64. Tricks, 20 epochs, since what regularises is slower at first: each by itself, at batch 64's best
rate; ours is with it, the peer without. Three seeds each, none of them a sweep's: luck that won a sweep is not counted.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import fmean

from studies.plan import Plan, Segment
from studies.recipe import Recipe
from studies.schedule import Cosine, Warmup
from tests.benchmarks.bed import ROOT
from tests.benchmarks.table import Absent, Figure, Result
from trainables.task import load_task
from tuner.runners.bench import Bench
from tuner.runners.job import Errand, Job
from tuner.stages.rules import Sample

TASK = str(ROOT / "tests" / "benchmarks" / "images.py") + ":FewImages"
IMAGES, EPOCHS, LONG = 4_000, 10, 20
RATES = (0.4, 0.2, 0.1, 0.05, 0.025)
FACTORS = (16, 8, 4, 2, 1)
SEEDS, SWEEP_SEED = range(3), 3
PLAIN = Recipe(crop=4, flip=0.5)
TABLE = {
    "crop, flip": PLAIN,
    "+ randaugment": Recipe(crop=4, flip=0.5, randaugment=True),
    "+ mixup": Recipe(crop=4, flip=0.5, mixup=0.2),
    "+ cutmix": Recipe(crop=4, flip=0.5, cutmix=1.0),
    "+ label smoothing": Recipe(crop=4, flip=0.5, label_smoothing=0.1),
}


def measure(runs: int = 5, small: bool = False) -> Result:
    """runs: not asked for; the seeds are three. small: one epoch, one seed."""
    images = Path(os.environ.get("TUNER_DATA", ROOT.parent / "shared" / "data")) / "cifar10"
    if not images.exists():
        raise Absent(f"there is no {images}; set TUNER_DATA to the folder of the images")
    trained = Trained(images)
    epochs, longer, seeds = (1, 1, SEEDS[:1]) if small else (EPOCHS, LONG, SEEDS)
    sweep = _sweep(trained, partial(_cosine, 64, epochs=epochs), RATES)
    return Result((*_scaling(trained, sweep, epochs, seeds), *_tricks(trained, _best(sweep), longer, seeds)))


class Trained:
    """The final accuracies of plans, one after another in this process."""

    def __init__(self, images: Path):
        self._workload = load_task(TASK, str(images))
        self._images = str(images)

    def over(self, seeds: range, plan: Plan) -> tuple[float, ...]:
        return tuple(self(plan.but(seed=seed)) for seed in seeds)

    def __call__(self, plan: Plan) -> float:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            fingerprint = self._workload.fingerprint
            job = Job(TASK, place, fingerprint, plan.examples, place, data=self._images, device="cpu", fuse=False)
            last = [progress for progress in Bench(job).carry_out([Errand(plan)], False, lambda: False) if progress.points][-1]
            return last.points[-1].values.get("accuracy", 0.0)  # a model that has diverged may have none


def _cosine(batch_size: int, lr: float, epochs: int, warm: bool = False) -> Plan:
    """From `lr` to zero; if warm, up to it over the path's first tenth, from an eighth."""
    steps = IMAGES * epochs // batch_size
    over = steps // 10 if warm else 0
    rise = [Segment(steps=over, rate=Warmup(start=lr / 8, lr=lr, over=over))] if over else []
    fall = Segment(steps=steps - over, rate=Cosine(lr=lr, over=steps - over))
    return Plan(batch_size=batch_size, segments=(*rise, fall))


def _sweep(trained: Trained, plan: Callable[[float], Plan], rates: Iterable[float]) -> dict[float, float]:
    """Accuracies by rate, highest rate first; more of them, by factors of two, until the best is none at the edge."""
    found = {lr: trained(plan(lr).but(seed=SWEEP_SEED)) for lr in rates}
    while (best := _best(found)) in (low := min(found), high := max(found)):
        beyond = 2 * high if best == high else low / 2
        found[beyond] = trained(plan(beyond).but(seed=SWEEP_SEED))
    return dict(sorted(found.items(), reverse=True))


def _best(sweep: dict[float, float]) -> float:
    return max(sweep, key=sweep.__getitem__)


def _scaling(trained: Trained, sweep: dict[float, float], epochs: int, seeds: range) -> Iterable[Figure]:
    best = _best(sweep)
    small = trained.over(seeds, _cosine(64, best, epochs))
    for warm, how in ((False, ""), (True, ", warmed up to")):
        large = partial(_cosine, 512, epochs=epochs, warm=warm)
        there = _sweep(trained, large, [factor * best for factor in FACTORS])
        ways = {"the rate as it is": best, "the rate times 8": 8 * best, "the best rate": _best(there)}
        found = {lr: trained.over(seeds, large(lr)) for lr in set(ways.values())}
        for way, lr in ways.items():
            note = f"{lr:g} of {_rates(there)}: {_told(found[lr])}; batch 64, {best:g} of {_rates(sweep)}: {_told(small)}"
            yield _against(f"batch 512, {way}{how}, accuracy against batch 64", found[lr], small, note)


def _tricks(trained: Trained, best: float, epochs: int, seeds: range) -> Iterable[Figure]:
    cosine = _cosine(64, best, epochs)
    plain = trained.over(seeds, cosine)
    for name, recipe in TABLE.items():
        found = trained.over(seeds, cosine.but(recipe=recipe))
        yield _against(f"{name}, accuracy against plain", found, plain, f"without {_told(plain)}, with {_told(found)}")


def _against(what: str, found: tuple[float, ...], other: tuple[float, ...], note: str) -> Figure:
    return Figure(what, found, other, [a - b for a, b in zip(found, other)], None, scale="", note=note)


def _rates(sweep: dict[float, float]) -> str:
    return "(" + ", ".join(f"{lr:g}: {value:.3f}" for lr, value in sweep.items()) + ")"


def _told(values: tuple[float, ...]) -> str:
    """The mean and its 95 % interval."""
    interval = Sample(values).interval
    return f"{fmean(values):.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
