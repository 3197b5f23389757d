"""How much of stage 3 is spared by training tails only, and are its branches what they would have been alone?

Compared: the steps that stage 3 trains, forking its decays from the trunk that stage 2 has left behind, against training
each of the same candidates, seeds included, from step 0. Fair: the constant rate itself is charged to neither, as both come
from stage 2 with it. Real training on the CPU, of a task, at a rate and for a time, in which decay helps; then every branch
once more from step 0, in a folder of its own: its final weights and its curve must be the same to the last bit, so nothing is
fused, which rounds in another way. Where tails begin, and so what they share, the validation's peak decides.
"""

import tempfile
from pathlib import Path
from typing import Any

from studies.plan import Plan, constant
from studies.trial import Trial
from tests.benchmarks.bed import ROOT, MemoryStudy, prepared, serial
from tests.benchmarks.table import Figure, Result, less
from trainables.checkpoints import Checkpoints
from tuner.settings import Settings
from tuner.stages.evidence import with_seeds
from tuner.stages.stage import run_stage

TASK, RATE = str(ROOT / "tests" / "benchmarks" / "tasks.py") + ":Noisy", 0.1


def measure(runs: int = 5, small: bool = False) -> Result:
    """One run a first seed: what is counted does not depend on the machine."""
    steps = 200 if small else 1_200
    ours, peer, forked, alone, same, branches = [], [], [], [], 0, 0
    for seed in range(1 if small else runs):
        with tempfile.TemporaryDirectory() as folder:
            settings, _ = prepared(
                TASK, max_steps=steps, seed=10 * seed, eval_examples=steps // 50 * 32, batch_size=32, fuse=False
            )
            start, trials = _stage3(settings, Path(folder) / "ours")
            control = {plan.line for plan in with_seeds(start, settings.repeats)}
            decays = [trial for trial in trials if trial.plan.line not in control]
            tails = [trial for trial in decays if trial.begun]
            ours.append(sum(trial.last - trial.begun for trial in decays))
            peer.append(sum(trial.plan.steps for trial in decays))
            forked.append(sum(trial.last - trial.begun for trial in tails))
            alone.append(sum(trial.plan.steps for trial in tails))
            branches += len(tails)
            same += sum(_same(settings, trial, Path(folder)) for trial in tails)
    return Result(
        (
            less("stage 3, decays, lazy ones from the first step included, steps", ours, peer, 3.3),
            less("the same, those alone that fork from the trunk, steps", forked, alone, None),
            Figure("finished branches bit-identical", (same,), (branches,), (same,), branches, scale=f" of {branches}"),
        )
    )


def _stage3(settings: Settings, folder: Path) -> tuple[Plan, list[Trial]]:
    """Where stage 3 starts, trained with its seeds as stage 2 would leave it behind; and what stage 3 trained."""
    _, workload = prepared(TASK)
    study = MemoryStudy()
    with serial(TASK, settings, workload, folder) as runner:
        start = constant(settings.start, RATE, settings.max_steps)
        trunk = with_seeds(start, settings.repeats)
        study.plan(trunk)
        runner.run(trunk, study.record)
        run_stage(settings.stage("stage3", workload), start, study, runner)
    return start, study.trials()


def _same(settings: Settings, trial: Trial, folder: Path) -> bool:
    """Whether the branch, trained by itself from step 0, ends the same to the last bit."""
    _, workload = prepared(TASK)
    study, place = MemoryStudy(), folder / trial.plan.id
    study.plan([trial.plan])
    with serial(TASK, settings, workload, place) as runner:
        runner.run([trial.plan], study.record)
    [again] = study.trials()
    ends = [Checkpoints(at, workload.fingerprint).deepest(trial.plan) for at in (folder / "ours", place)]
    curves = [[(point.step, dict(point.values)) for point in run.points] for run in (trial, again)]
    return again.begun == 0 and _equal(ends[0].state, ends[1].state) and repr(curves[0]) == repr(curves[1])


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one.equal(other) if hasattr(one, "equal") else repr(one) == repr(other)
