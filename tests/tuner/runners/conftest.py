"""What do the tests of the runners share? One Ray for all of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.parallel import load_spread
from tuner.runners import cluster
from tuner.runners.job import Job


@pytest.fixture(scope="session")
def ray_session():
    """Ray on this machine; runners join it and leave it running."""
    session = cluster.Session(None, 2)
    session.wait()
    yield session
    session.close()


@pytest.fixture(scope="module")
def job_of(tmp_path_factory):
    """A function from a task's name to a job in a folder of its own, where the task's file lies."""

    def make(name: str, **changes) -> Job:
        folder = tmp_path_factory.mktemp(name)
        shutil.copy(Path(__file__).with_name("tasks.py"), task := folder / "tasks.py")
        spec = f"{task}:{name}"
        fingerprint = load_spread(spec, None, changes.get("processes", 1)).fingerprint
        job = Job(spec, folder / "checkpoints", fingerprint, eval_examples=80, folder=folder)
        return replace(job, **changes)

    return make


@pytest.fixture(scope="module", params=["serial", "ray", "tune"])
def kind(request):
    if request.param != "serial":
        request.getfixturevalue("ray_session")
    return request.param
