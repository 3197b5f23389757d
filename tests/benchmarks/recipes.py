"""What do the linear scaling rule and the bag of tricks do on real images?

Two tables of method/002 and method/003 in small, on as many images of CIFAR-10 as two cores can train: a small ResNet, 4,000
images to train on and 1,000 to validate with, ten epochs. Scaling: the best of five constant rates at batch 64, held against
that rate as it is, scaled by 8, and scaled and warmed up to over a tenth of the path, at batch 512; over three seeds. Tricks:
each by itself against the plain training with a cosine decay, over three seeds; ours is with it, the peer without.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe
from studies.schedule import Constant, Cosine, Warmup
from tests.benchmarks.bed import ROOT
from tests.benchmarks.table import Absent, Figure, Result
from trainables.task import load_task
from tuner.runners.bench import Bench
from tuner.runners.job import Errand, Job
from tuner.stages.rules import Sample

TASK = str(ROOT / "tests" / "benchmarks" / "images.py") + ":FewImages"
IMAGES, EPOCHS = 4_000, 10
RATES = (0.3, 0.1, 0.03, 0.01, 0.003)
SEEDS = range(3)
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
    epochs, seeds = (1, range(1)) if small else (EPOCHS, SEEDS)
    steps = {size: IMAGES * epochs // size for size in (64, 512)}
    trained = Trained(images)
    sweep = {lr: trained([constant(Plan(), lr, steps[64])])[0] for lr in RATES}
    best = max(sweep, key=sweep.get)
    return Result((*_scaling(trained, best, steps, seeds, sweep), *_tricks(trained, best, steps[64], seeds)))


class Trained:
    """The final accuracies of plans, one after another in this process."""

    def __init__(self, images: Path):
        self._workload = load_task(TASK, str(images))
        self._images = str(images)

    def __call__(self, plans: Iterable[Plan]) -> tuple[float, ...]:
        return tuple(map(self._one, plans))

    def _one(self, plan: Plan) -> float:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            fingerprint = self._workload.fingerprint
            job = Job(TASK, place, fingerprint, plan.examples, place, data=self._images, device="cpu", fuse=False)
            last = [progress for progress in Bench(job).carry_out([Errand(plan)], False, lambda: False) if progress.points][-1]
            return last.points[-1].values["accuracy"]


def _scaling(trained: Trained, best: float, steps: dict[int, int], seeds: range, sweep: dict[float, float]) -> Iterable[Figure]:
    def seeded(plan: Plan) -> tuple[float, ...]:
        return trained(plan.but(seed=seed) for seed in seeds)

    small, large = seeded(constant(Plan(), best, steps[64])), Plan(batch_size=512)
    warm = max(1, steps[512] // 10)
    ramp = Segment(steps=warm, rate=Warmup(start=best, lr=8 * best, over=warm))
    rest = Segment(steps=max(1, steps[512] - warm), rate=Constant(lr=8 * best))
    ways = {
        "the rate as it is": constant(large, best, steps[512]),
        "times 8": constant(large, 8 * best, steps[512]),
        "times 8, warmed up to": large.but(segments=(ramp, rest)),
    }
    told = ", ".join(f"{lr:g}: {value:.3f}" for lr, value in sweep.items())
    for way, plan in ways.items():
        found = seeded(plan)
        note = f"batch 64 by rate, one seed: {told}; the best, {best:g}: {_told(small)}; here {_told(found)}"
        what = f"batch 512, {way}, accuracy against batch 64"
        yield Figure(what, found, small, _apart(found, small), None, scale="", note=note)


def _tricks(trained: Trained, best: float, steps: int, seeds: range) -> Iterable[Figure]:
    cosine = Plan(segments=(Segment(steps=steps, rate=Cosine(lr=best, over=steps)),))
    plain = trained(cosine.but(seed=seed) for seed in seeds)
    for name, recipe in TABLE.items():
        found = trained(cosine.but(recipe=recipe, seed=seed) for seed in seeds)
        note = f"without {_told(plain)}, with {_told(found)}"
        yield Figure(f"{name}, accuracy against plain", found, plain, _apart(found, plain), None, scale="", note=note)


def _apart(found: tuple[float, ...], other: tuple[float, ...]) -> list[float]:
    return [a - b for a, b in zip(found, other)]


def _told(values: tuple[float, ...]) -> str:
    """The mean and its 95 % interval."""
    interval = Sample(values).interval
    return f"{fmean(values):.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
