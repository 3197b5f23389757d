"""Are trials that several processes share those of one, under every runner, whoever of them dies?"""

from pathlib import Path

import psutil
import pytest

from studies.errors import InputError
from studies.plan import Segment, constant
from studies.schedule import Constant
from studies.trial import State
from tests.tuner.runners.records import BASE, run
from tuner.runners import check_options, make_runner
from tuner.runners.cluster import Slots, slots
from tuner.runners.job import Job


def plans(seed):
    trunk = constant(BASE.but(seed=seed), 0.02, 60)
    return [trunk, trunk.upto(30).then(Segment(steps=30, rate=Constant(lr=0.002))), trunk.but(optimizer="adam", batch_size=7)]


def noted(job, suffix):
    return Path(job.task.partition(":")[0]).with_name(f"steps.{suffix}")


def gone(job):
    """Whether nobody is left of those who have built a model for this job."""
    pids = {int(pid) for pid in noted(job, "pids").read_text().split()} - {psutil.Process().pid}
    return pids and not psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 10)[1]


@pytest.fixture(scope="module")
def curves(job_of):
    """Of all plans, in one process, and in two that nobody disturbs."""
    told = []
    for processes in (1, 2):
        job = job_of("Even", processes=processes)
        runner = make_runner("serial", job)
        told.append(run(runner, [plan for seed in range(2) for plan in plans(seed)]).values())
        runner.close()
    assert gone(job)
    return told


def test_a_trial_in_two_processes_is_the_one_in_one(curves):
    alone, together = curves
    assert alone.keys() == together.keys() and alone != together
    for plan, curve in alone.items():
        for (step, values), (there, theirs) in zip(curve, together[plan], strict=True):
            assert step == there and theirs == pytest.approx(values, rel=1e-4, abs=1e-5)


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize(("kind", "doomed"), [("ray", "first"), long("ray", "other"), long("tune", "first")])
def test_workers_share_them_to_the_same_bits_and_go_on_when_one_dies(kind, doomed, curves, ray_session, job_of):
    job = job_of("Even", processes=2)
    runner = make_runner(kind, job)
    try:
        for seed in range(2):
            records = run(runner, plans(seed))
            assert records.ended == {plan: State.COMPLETE for plan in plans(seed)}
            assert records.values() == {plan: curves[1][plan] for plan in plans(seed)}
            noted(job, doomed).touch()
    finally:
        runner.close()
    assert gone(job) and len(set(noted(job, "pids").read_text().split())) == 4


@pytest.mark.parametrize(
    ("machines", "device", "workers"),
    [
        ([(8, 0)], "cpu", Slots(2, 4, 0.0)),
        ([(8, 4), (8, 1), (8, 2)], "auto", Slots(3, 4, 2.0)),
        ([(8, 0), (2, 0)], "auto", Slots(2, 4, 0.0)),
    ],
)
def test_a_worker_has_a_gpu_and_cores_for_each(tmp_path, machines, device, workers):
    job = Job("t.py:T", tmp_path, "", 1, tmp_path, device=device, threads=2, processes=2)
    assert slots(machines, job, None, None) == workers


@pytest.mark.parametrize("machines", [[(3, 0)], [(8, 1), (3, 8)]])
def test_what_no_machine_has_room_for_is_refused(tmp_path, machines):
    job = Job("t.py:T", tmp_path, "", 1, tmp_path, threads=2, processes=2)
    with pytest.raises(InputError, match="expected room for a worker with 4 CPUs and [02] GPUs; the machines have"):
        slots(machines, job, None, None)


@pytest.mark.parametrize(("option", "value"), [("fuse", True), ("gpus_per_trial", 0.5)])
def test_what_does_not_go_with_them_is_refused(option, value):
    check_options("ray", 1, **{option: value})
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')}: expected"):
        check_options("ray", 2, **{option: value})
