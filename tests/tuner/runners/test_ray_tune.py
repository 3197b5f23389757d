"""What does a user of Ray Tune find: trials, retries and loggers under the `tune` runner, and the task as a Trainable?"""

import contextlib
import io
import json

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining

from studies.errors import InputError
from studies.plan import constant
from studies.trial import State
from tests.tuner.runners.records import BASE, run, steps_trained
from tests.tuner.runners.tasks import DIES_ONCE, EXITS
from tuner.runners import make_runner
from tuner.runners.tune_trainable import as_trainable

GOOD = constant(BASE.but(seed=0), 0.001, 60)


@pytest.fixture(scope="module")
def carried_out(ray_session, job_of):
    """(job, records, what was printed here) of a run in which a worker is killed, from start to end."""
    job = job_of("Falls")
    runner = make_runner("tune", job)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        records = run(runner, [GOOD, GOOD.but(momentum=DIES_ONCE)])
        runner.close()
    return job, records, out.getvalue()


def test_a_plan_whose_worker_dies_is_tried_again_and_goes_on(carried_out):
    job, records, printed = carried_out
    plans = [GOOD, GOOD.but(momentum=DIES_ONCE)]
    assert records.ended == {plan: State.COMPLETE for plan in plans}
    assert steps_trained(job)["0", str(DIES_ONCE), "0"] == 1, "it has begun anew, not from its checkpoint"
    same = [[values["distance"] for _, values in records.values()[plan]] for plan in plans]
    assert same[0] == same[1]
    assert printed == ""


def test_tunes_own_loggers_see_the_plans_and_their_points(carried_out):
    job, records, _ = carried_out
    trials = {path.parent: json.loads(path.read_text()) for path in (job.folder / "ray_tune").rglob("params.json")}
    assert len(trials) == 2
    (folder,) = [folder for folder, config in trials.items() if config["momentum"] == GOOD.momentum]
    shown = {key: trials[folder][key] for key in ("lr", "batch_size", "momentum", "optimizer", "step_nums", "seed")}
    assert shown == {"lr": 0.001, "batch_size": 8, "momentum": 0.5, "optimizer": "sgd", "step_nums": 60, "seed": 0}
    last = json.loads((folder / "result.json").read_text().splitlines()[-1])
    assert (last["state"], last["step"]) == ("complete", 60)
    assert last["distance"] == records.points[GOOD][60].values["distance"]


@pytest.mark.long
def test_a_plan_that_kills_every_worker_fails_alone(ray_session, job_of):
    job = job_of("Falls")
    runner = make_runner("tune", job)
    bad = GOOD.but(momentum=EXITS)
    records = run(runner, [GOOD, bad])
    runner.close()
    assert records.ended == {GOOD: State.COMPLETE, bad: State.FAILED}
    assert "3 workers in a row died of this plan" in records.errors[bad]
    assert steps_trained(job)["0", str(EXITS), "5"] == 3


def test_what_cannot_be_is_refused(job_of):
    job = job_of("Falls")
    with pytest.raises(InputError, match="--workers: expected 1 or more, got 0"):
        make_runner("tune", job, workers=0)
    with pytest.raises(InputError, match="--gpus-per-trial: expected a fraction of 1, or a whole number; got 1.5"):
        make_runner("tune", job, gpus_per_trial=1.5)
    with pytest.raises(InputError, match="steps_per_iteration: expected 1 or more, got 0"):
        as_trainable(job.task, 0)


CONFIG = {"lr": 0.05, "batch_size": 8, "momentum": 0.5, "seed": 3}


def numbers(result):
    return {key: result[key] for key in ("train_loss", "val_loss", "steps", "lr")}


def test_a_trainable_goes_on_from_its_checkpoint_bit_for_bit_and_with_another_rate(job_of):
    made = as_trainable(job_of("Line").task, steps_per_iteration=7)
    assert (made.metric, made.mode) == ("val_loss", "min")
    one, other = made(CONFIG), made({**CONFIG, "seed": 4})
    one.train()
    saved = one.save()
    expected = [numbers(one.train()) for _ in range(2)]
    other.reset(dict(CONFIG))
    other.restore(saved)
    assert [numbers(other.train()) for _ in range(2)] == expected
    other.reset({**CONFIG, "lr": 0.001, "batch_size": 16})
    other.restore(saved)
    changed = numbers(other.train())
    assert (changed["lr"], changed["steps"]) == (0.001, 14)
    assert changed["val_loss"] != expected[0]["val_loss"]
    other.reset({**CONFIG, "momentum": 0.9})
    with pytest.raises(InputError, match="a training with momentum 0.5 cannot go on with 0.9"):
        other.restore(saved)
    with pytest.raises(InputError, match="config: expected lr and any of batch_size, .*; got learning_rate"):
        made({"learning_rate": 0.1})


def fit(made, tmp_path, monkeypatch, lrs, scheduler, at_once):
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    settings = tune.TuneConfig(
        metric=made.metric, mode=made.mode, scheduler=scheduler, reuse_actors=True, max_concurrent_trials=at_once
    )
    running = tune.RunConfig(name="fit", storage_path=str(tmp_path), verbose=0, stop={"training_iteration": 8})
    found = tune.Tuner(made, param_space={**CONFIG, "lr": tune.grid_search(lrs)}, tune_config=settings, run_config=running)
    return found.fit()


def test_asha_over_a_task(ray_session, job_of, tmp_path, monkeypatch):
    made = as_trainable(job_of("Line").task, steps_per_iteration=5)
    results = fit(made, tmp_path, monkeypatch, [0.05, 0.02, 1e-5, 1e9], ASHAScheduler(max_t=8, reduction_factor=2), at_once=1)
    assert results.num_errors == 0
    assert results.get_best_result().config["lr"] in (0.05, 0.02)
    iterations = {result.config["lr"]: result.metrics["training_iteration"] for result in results}
    assert max(iterations[1e-5], iterations[1e9]) < 8 == iterations[results.get_best_result().config["lr"]]


def test_population_based_training_over_a_task(ray_session, job_of, tmp_path, monkeypatch):
    made = as_trainable(job_of("Line").task, steps_per_iteration=5)
    halves = {"time_attr": "training_iteration", "perturbation_interval": 2, "quantile_fraction": 0.5, "synch": True}
    scheduler = PopulationBasedTraining(hyperparam_mutations={"lr": [0.02, 0.05]}, **halves)
    results = fit(made, tmp_path, monkeypatch, [0.05, 1e-6], scheduler, at_once=2)
    assert results.num_errors == 0
    curves = [result.metrics_dataframe for result in results]
    (poor,) = [curve for curve in curves if curve["lr"].iloc[0] == 1e-6]
    assert poor["lr"].iloc[-1] > 1e-6, "the better one's state and a rate of its own have not been taken over"
    assert poor["val_loss"].iloc[-1] < poor["val_loss"].iloc[0] / 2
