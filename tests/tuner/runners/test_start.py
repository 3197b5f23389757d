"""What do runners make of a job, a cluster and a person at the terminal, from their start to their end?"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from studies.errors import InputError, StorageError, TaskError, TuneError
from studies.plan import Segment, constant
from studies.schedule import Constant
from studies.trial import State
from tests.tuner.runners.records import BASE, run, steps_trained
from tuner.runners import make_runner


def test_points_are_bit_equal_to_those_of_the_serial_runner(kind, job_of):
    plans = [constant(BASE.but(seed=seed), lr, 120) for seed in (0, 1) for lr in (0.1, 0.01)]
    plans.append(plans[0].upto(60).then(Segment(steps=60, rate=Constant(lr=0.001))))
    runner = make_runner(kind, job_of("Line"))
    records, expected = run(runner, plans), run(make_runner("serial", job_of("Line")), plans)
    runner.close()
    assert records.values() == expected.values()
    assert records.ended == {plan: State.COMPLETE for plan in plans}
    assert [step for step, _ in records.values()[plans[0]]] == list(range(10, 121, 10))


def test_a_full_or_broken_folder_is_a_storage_error(kind, job_of):
    job = job_of("Falls")
    job.checkpoints.touch()
    runner = make_runner(kind, job, workers=1 if kind == "ray" else None)
    with pytest.raises(StorageError, match="checkpoints"):
        run(runner, [constant(BASE, 0.1, 60)])
    runner.close()


def test_a_task_edited_since_is_refused(kind, job_of):
    runner = make_runner(kind, job_of("Falls", fingerprint="of another one"), workers=1 if kind == "ray" else None)
    with pytest.raises(TaskError, match="edited while this run was under way"):
        run(runner, [constant(BASE, 0.1, 60)])
    runner.close()
    runner.close()


def test_unknown_runners_and_options_are_refused(job_of):
    job = job_of("Falls")
    with pytest.raises(InputError, match="--runner: expected one of ray, serial, tune; got 'slurm'"):
        make_runner("slurm", job)
    with pytest.raises(InputError, match="--gpus-per-trial: --runner serial has no use for it"):
        make_runner("serial", job, workers=None, gpus_per_trial=0.5)
    with pytest.raises(InputError, match="--workers: expected 1 or more, got 0"):
        make_runner("ray", job, workers=0)
    with pytest.raises(InputError, match="--gpus-per-trial: expected a fraction of 1, or a whole number; got 1.5"):
        make_runner("ray", job, gpus_per_trial=1.5)


def test_what_the_cluster_cannot_give_is_refused_in_a_line(ray_session, job_of):
    for changes, options, words in (
        ({"device": "cuda"}, {}, "--device cuda: expected a GPU; the machines have 2 CPUs and 0 GPUs"),
        ({}, {"gpus_per_trial": 0.5}, "--gpus-per-trial: expected a GPU to divide"),
        ({"threads": 3}, {}, "expected room for a worker with 3 CPUs and 0 GPUs; the machines have 2 CPUs"),
    ):
        runner = make_runner("ray", job_of("Falls", **changes), **options)
        with pytest.raises(InputError, match=words):
            run(runner, [constant(BASE, 0.1, 10)])
        runner.close()


def test_workers_that_die_as_they_start_end_the_run(ray_session, job_of):
    job = job_of("Falls")
    Path(job.task.partition(":")[0]).write_text("import os; print('no way', flush=True); os._exit(1)")
    runner = make_runner("ray", job, workers=1)
    with pytest.raises(TuneError, match=r"the workers do not start: .* died(.|\n)*no way"):
        run(runner, [constant(BASE, 0.1, 10)])
    runner.close()


def test_a_task_that_a_worker_cannot_load(ray_session, job_of):
    job = job_of("Falls")
    Path(job.task.partition(":")[0]).write_text("import nowhere_to_be_found")
    runner = make_runner("ray", job, workers=1)
    with pytest.raises(TaskError, match="nowhere_to_be_found"):
        run(runner, [constant(BASE, 0.1, 10)])
    runner.close()


DRIVER = """
import signal, sys
from pathlib import Path
from studies.errors import Interrupted
from studies.plan import Plan, constant
from trainables.task import load_task
from tuner.runners import make_runner
from tuner.runners.job import Job

task, address = sys.argv[1], sys.argv[2] or None
folder = Path(task).parent
job = Job(task, folder / "checkpoints", load_task(task).fingerprint, eval_examples=80, folder=folder)
runner = make_runner("ray", job, address=address, workers=1)
signal.signal(signal.SIGINT, lambda *_: runner.stop())
try:
    plan = constant(Plan(batch_size=8, momentum=0.5), 0.001, 100 if address else 10**6)
    runner.run([plan], lambda progress: print(len(progress.points), progress.ended, file=sys.stderr, flush=True))
except Interrupted:
    print("interrupted", file=sys.stderr)
runner.close()
"""


def drive(job, address=""):
    """A driver in a process, and process group, of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", DRIVER, job.task, address]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, process_group=0, **streams)


def test_ctrl_c_reaches_only_the_driver_and_the_workers_save(job_of):
    """A terminal sends SIGINT to the whole process group: to Ray's processes as well."""
    driver = drive(job := job_of("Falls"))
    said = iter(driver.stderr.readline, "")
    assert any(not line.startswith("0 ") for line in said)
    os.killpg(driver.pid, signal.SIGINT)
    out, rest = driver.communicate(timeout=60)
    assert (rest.splitlines()[-1], out, driver.returncode) == ("interrupted", "", 0)
    trained = sorted(int(step) for _, _, step in steps_trained(job))
    assert list(job.checkpoints.rglob(f"*-{trained[-1] + 1}.ckpt")), "the last step was not saved"


def test_an_existing_cluster_is_joined_and_left_running(ray_session, job_of):
    import ray

    driver = drive(job := job_of("Falls"), ray.get_runtime_context().gcs_address)
    out, said = driver.communicate(timeout=60)
    assert (said.splitlines()[-1].split()[-1], out, driver.returncode) == ("complete", "", 0)
    assert len(steps_trained(job)) == 100
    runner = make_runner("ray", job, workers=1)
    plan = constant(BASE, 0.001, 200)
    assert run(runner, [plan]).ended == {plan: State.COMPLETE}
    runner.close()


@pytest.mark.parametrize(
    "address, words",
    [
        ("127.0.0.1:1", "TuneError: Ray at --address 127.0.0.1:1 cannot be reached: ConnectionRefusedError"),
        ("ray://head:10001", "InputError: --address: expected HOST:PORT of a Ray cluster, or auto; got 'ray://head:10001'"),
    ],
)
def test_a_cluster_that_is_not_there_is_an_error_in_a_line(job_of, address, words):
    _, said = drive(job_of("Falls"), address).communicate(timeout=60)
    assert words in said.splitlines()[-1]
