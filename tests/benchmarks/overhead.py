"""What do trials cost besides themselves?

Compared: 100 trials that sleep a second each, on two workers, in warm Ray workers and as Ray Tune trials with reused actors,
no loggers and no checkpoints, both on a Ray of their own that has started. Overhead is what lies between the start of the
first trial and the end of the last beyond the ideal, trials * seconds / workers: the start of the actors is in neither.
A second line has it in both: from asking for the trials to having them all. Fair: ours keeps every trial's state on disk
and reports over the same Ray; the peer does neither.

`python -m tests.benchmarks.overhead ours|tune TRIALS SECONDS` is one side of it.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bed import ROOT, answer, prepared
from tests.benchmarks.table import Result, less

WORKERS = 2
TASK = str(ROOT / "tests" / "benchmarks" / "tasks.py") + ":Sleeper"


def measure(runs: int = 5, small: bool = False, trials: int = 100, seconds: float = 1.0) -> Result:
    if small:
        runs, trials, seconds = 1, 20, 0.2
    within, whole = {"ours": [], "tune": []}, {"ours": [], "tune": []}
    for _ in range(runs):
        for side in within:
            arguments = (side, str(trials), str(seconds))
            told = answer("tests.benchmarks.overhead", *arguments, TUNER_BENCH_SLEEP=str(seconds))
            ideal = trials * seconds / WORKERS
            within[side].append(told["ended"] - told["began"] - ideal)
            whole[side].append(told["ended"] - told["asked"] - ideal)
    what = f"overhead on {trials} trials of {seconds:g} s"
    return Result(
        (
            less(what, within["ours"], within["tune"], 10, " s"),
            less("the same, the start of the actors included", whole["ours"], whole["tune"], None, " s"),
        )
    )


def ours(trials: int, seconds: float) -> dict[str, float]:
    from studies.plan import Plan, constant
    from tuner.runners import cluster
    from tuner.runners.job import Job
    from tuner.runners.workers import RayRunner

    settings, workload = prepared(TASK, max_steps=1, eval_examples=64)
    cluster.start(None, WORKERS).wait()
    with tempfile.TemporaryDirectory() as folder:
        asked = time.time()
        job = Job(TASK, Path(folder) / "checkpoints", workload.fingerprint, 64, Path(folder), device="cpu")
        runner = RayRunner(job, workers=WORKERS)
        ends: list[float] = []
        plans = [constant(Plan(), 1.0 + i, 1) for i in range(trials)]
        runner.run(plans, lambda progress: ends.extend(point.values["ended"] for point in progress.points))
        ended = time.time()
        runner.close()
    assert len(ends) == trials
    return {"asked": asked, "began": min(ends) - seconds, "ended": ended}


def by_tune(trials: int, seconds: float) -> dict[str, float]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    import ray
    from ray import tune

    class Sleeping(tune.Trainable):
        def step(self):
            time.sleep(seconds)
            return {"ended": time.time(), "done": True}

        def reset_config(self, new_config):
            return True

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    asked = time.time()
    results = tune.Tuner(
        tune.with_resources(Sleeping, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(verbose=0),
    ).fit()
    ended = time.time()
    ends = [result.metrics["ended"] for result in results]
    assert len(ends) == trials
    return {"asked": asked, "began": min(ends) - seconds, "ended": ended}


if __name__ == "__main__":
    side, trials, seconds = sys.argv[1:]
    print(json.dumps({"ours": ours, "tune": by_tune}[side](int(trials), float(seconds))))
