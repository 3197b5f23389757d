"""What happens to the plans when Ray's workers die?"""

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from studies.plan import constant
from studies.trial import State
from tests.tuner.runners.records import BASE, run, steps_trained
from tests.tuner.runners.tasks import DIES_ONCE, EXITS, FORKS, LOSES
from tuner.runners import make_runner


@pytest.fixture(scope="module")
def falls(ray_session, job_of):
    job = job_of("Falls")
    runner = make_runner("ray", job)
    yield runner, job
    runner.close()


def test_a_killed_worker_is_replaced_and_its_plan_goes_on(falls, job_of):
    runner, job = falls
    plans = [constant(BASE.but(seed=seed), 0.001, 60) for seed in (0, 1)]
    plans.append(plans[0].but(momentum=DIES_ONCE))
    records, expected = run(runner, plans), run(make_runner("serial", job_of("Falls")), plans[:2])
    assert records.ended == {plan: State.COMPLETE for plan in plans}
    assert {plan: records.values()[plan] for plan in plans[:2]} == expected.values()
    same = [{"distance": values["distance"]} for _, values in records.values()[plans[2]]]
    assert same == [{"distance": values["distance"]} for _, values in records.values()[plans[0]]]
    assert Path(job.task.partition(":")[0]).with_name("steps.died").exists()


def test_a_plan_that_kills_every_worker_fails_alone(falls):
    runner, job = falls
    good = constant(BASE.but(seed=2), 0.001, 60)
    bad, lost = good.but(momentum=EXITS), good.but(momentum=LOSES)
    records = run(runner, [bad, good, lost])
    assert records.ended == {good: State.COMPLETE, bad: State.FAILED, lost: State.FAILED}
    for plan, words in ((bad, "these are the last words"), (lost, "LostError: RuntimeError: CUDA error: device-side assert")):
        assert "3 workers in a row died" in records.errors[plan] and words in records.errors[plan]
        assert steps_trained(job)["2", str(plan.momentum), "5"] == 3


def test_who_is_asked_to_leave_a_gpu_is_gone_before_it_counts_as_free(falls):
    runner, _ = falls
    run(runner, [constant(BASE.but(seed=7), 0.001, 30)])
    crew = runner._crew.result()
    while len(crew.idle()) < 2:
        crew.listen(1.0)
    first, second = crew.hands
    first.gpu, second.gpu, second.resident = "a GPU", "a GPU", 0.1
    process = psutil.Process(int(second.name.split()[1]))
    crew.relieve(first)
    while second in crew.hands:
        assert crew.free(first) == 0.9
        crew.listen(1.0)
    assert crew.free(first) == 1.0
    process.wait(10)  # its connections are closed an instant before it is gone
    first.gpu = ""
    plan = constant(BASE.but(seed=8), 0.001, 30)
    assert run(runner, [plan]).ended == {plan: State.COMPLETE}


def test_a_worker_s_death_is_seen_though_a_child_of_it_lives_on(falls):
    runner, job = falls
    bad = constant(BASE.but(momentum=FORKS), 0.001, 60)
    try:
        records = run(runner, [bad])
        assert "3 workers in a row died" in records.errors[bad]
    finally:
        for child in Path(job.task.partition(":")[0]).with_name("steps.children").read_text().split():
            with suppress(psutil.NoSuchProcess):  # Ray has ended it
                psutil.Process(int(child)).kill()


def test_an_idle_worker_that_was_killed_is_not_missed(falls):
    runner, job = falls
    run(runner, [constant(BASE.but(seed=3), 0.001, 30)])
    notes = Path(job.task.partition(":")[0]).with_name("steps.txt").read_text().splitlines()
    worker = psutil.Process(int(notes[-1].split()[-1]))
    worker.kill()
    worker.wait(10)
    plans = [constant(BASE.but(seed=seed), 0.001, 30) for seed in (4, 5)]
    assert run(runner, plans).ended == {plan: State.COMPLETE for plan in plans}


def test_what_a_task_prints_lands_in_its_workers_log(falls, capfd):
    runner, job = falls
    run(runner, [constant(BASE.but(seed=6), 0.001, 30)])
    assert "constructed" not in "".join(capfd.readouterr())
    logs = (job.folder / "workers").glob("*.log")
    assert any("constructed 6 0.5" in log.read_text() for log in logs)
