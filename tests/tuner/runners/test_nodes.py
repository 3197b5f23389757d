"""Do plans train over several machines, and what is left of them when one is lost?"""

import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from studies.plan import constant
from studies.trial import State
from tests.tuner.runners.records import BASE, Records, run
from tests.tuner.runners.tasks import SLOW
from tuner.runners import make_runner

PLANS = [constant(BASE.but(seed=seed, momentum=SLOW), 0.001, 150) for seed in range(3)]  # seconds long, however fast the machine
IMPATIENT = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ray", "tune"])
def test_a_node_is_killed_and_its_plans_go_on_elsewhere(kind, job_of):
    """In a process of its own, which is on no cluster yet."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        killed, went_on, records, expected = apart.submit(drive, kind, job_of("Falls")).result()
    assert records.ended == {plan: State.COMPLETE for plan in PLANS}
    assert records.values() == expected.values()
    assert records.begun[killed] > 0, "it has begun anew, not from its checkpoint"
    assert went_on == [True, True]


def drive(kind, job):
    """The plan whose node was killed, whether the others (and the cluster) outlive the runner, what it reported, and what
    the serial runner reports."""
    os.environ["RAY_TMPDIR"] = folder = tempfile.mkdtemp(dir="/tmp")  # so that no other program takes it for the machine's own
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": IMPATIENT})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        records, killed = Records(), []

        def record(progress):
            records(progress)
            if progress.points and not progress.ended and not killed:
                killed.append(progress.plan)
                raylet = psutil.Process(worker_of(job, progress.plan)).ppid()
                (node,) = [node for node in nodes if node.all_processes["raylet"][0].process.pid == raylet]
                cluster.remove_node(node, allow_graceful=False)

        runner = make_runner(kind, job, address=cluster.address)
        runner.run(PLANS, record)
        runner.close()
        went_on = [not ray.is_initialized(), cluster.remaining_processes_alive()]
        serial = make_runner("serial", replace(job, checkpoints=job.checkpoints.with_name("of-the-serial-runner")))
        return killed[0], went_on, records, run(serial, PLANS)
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def worker_of(job, plan) -> int:
    """Process id of who has trained it last."""
    notes = Path(job.task.partition(":")[0]).with_name("steps.txt").read_text().splitlines()
    return int([line for line in notes if line.startswith(f"{plan.seed} ")][-1].split()[-1])
