"""What if the disk is full, read-only or not ours? One line with the path; with room again, the study ends as it would have."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import program

ROOT = str(Path(__file__).parents[2])
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

TASK = """
import torch
from torch import nn
from trainables import Task
class Wide(Task):
    def data(self):
        inputs = torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
        return (inputs, (inputs[:, 0] > 0).long()), (inputs, (inputs[:, 0] > 0).long())
    def model(self): return nn.Sequential(nn.Linear(100, 1000), nn.ReLU(), nn.Linear(1000, 2))
"""
STAGE = ["stage1", "--task", "wide.py:Wide", "--runner", "serial", "--lrs", "0.1,0.01", "--max-steps", "16", "--batch-size", "16"]


def tune(folder, *arguments, limit=None, bound=False):
    """Exit code, and what a process of its own says. limit: bytes that a file may have; bound: by permissions, even if root."""
    if not limit and not bound:
        done = program.run(folder, *arguments)
        return done.returncode, done.stderr
    environment = os.environ | {"PYTHONPATH": ROOT, "MPLCONFIGDIR": tempfile.gettempdir()}
    limited = ["prlimit", f"--fsize={limit}"] if limit else []
    command = [*limited, *(BOUND if bound else []), sys.executable, "-m", "tuner", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=environment)
    return done.returncode, done.stderr


def check_told(code, told, *words):
    """One line, the last, that starts with our name and has the words; no traceback anywhere."""
    lines = [line for line in told.splitlines() if not line.startswith("20")]
    assert code == 1 and len(lines) == 1 and lines[0].startswith("tune: "), told
    assert all(str(word) in lines[0] for word in words), lines[0]
    assert "Traceback" not in told and "--- Logging error" not in told, told


@pytest.fixture
def home(tmp_path):
    """A folder with the task."""
    (tmp_path / "wide.py").write_text(TASK)
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run that had room."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "wide.py").write_text(TASK)
    assert tune(folder, *STAGE)[0] == 0
    return folder / "tune-runs"


@pytest.fixture
def small(home):
    """A file system of its own below it, mounted by size."""
    place = home / "tune-runs"
    place.mkdir()

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place], capture_output=True, text=True)

    if os.geteuid() != 0 or mount("size=64k").returncode:
        pytest.skip("mounting a file system needs root, with the right to it")
    yield mount
    subprocess.run(["umount", "--lazy", place], check=True)


def check_ends(home, undisturbed):
    """It goes on, and ends as if nothing had happened."""
    code, told = tune(home, *STAGE)
    assert code == 0, told
    assert (home / "tune-runs" / "Wide" / "best.yaml").read_bytes() == (undisturbed / "Wide" / "best.yaml").read_bytes()
    left = [path.name for path in (home / "tune-runs").rglob("*") if path.suffix in (".tmp", ".bad")]
    assert left == []


@pytest.mark.parametrize("kilobytes, full", [(64, "studies.db"), (1_000, "checkpoints"), (3_400, "")])
def test_a_full_disk(home, small, undisturbed, kilobytes, full):
    assert small("remount", f"size={kilobytes}k").returncode == 0
    check_told(*tune(home, *STAGE), home / "tune-runs", full)
    assert small("remount", "size=64m").returncode == 0
    check_ends(home, undisturbed)


def test_a_limit_of_a_file_s_size(home, undisturbed):
    check_told(*tune(home, *STAGE, limit=600_000), home / "tune-runs" / "Wide" / "checkpoints", "too large", "run again to go on")
    check_ends(home, undisturbed)


def test_a_disk_that_can_only_be_read(home, small, undisturbed):
    assert small("remount", "size=64m").returncode == 0
    shutil.copytree(undisturbed, home / "tune-runs", dirs_exist_ok=True)
    assert small("remount", "ro").returncode == 0
    assert tune(home, "status")[0] == 0
    check_told(*tune(home, *STAGE), home / "tune-runs", "Read-only")
    check_told(*tune(home, "export", "Wide", "--out", "tune-runs/best.yaml"), "tune-runs/best.yaml", "Read-only")
    code, told = tune(home, *STAGE, "--study", "new", "--storage", f"sqlite:///{home}/other.db")
    check_told(code, told, home / "tune-runs" / "new", "Read-only")


def test_a_folder_without_permission(home, undisturbed):
    if BOUND and subprocess.run([*BOUND, "true"], capture_output=True).returncode:
        pytest.skip("binding root to permissions needs util-linux's setpriv, and the right to it")
    workdir, database = home / "tune-runs", home / "tune-runs" / "studies.db"
    shutil.copytree(undisturbed, workdir)
    for path in (database, workdir / "Wide", workdir):
        path.chmod(0o555)
    assert tune(home, "status", bound=True)[0] == 0
    check_told(*tune(home, *STAGE, bound=True), database, "readonly")
    code, told = tune(home, *STAGE, "--workdir", "tune-runs/new", bound=True)
    assert code == 2 and "--workdir" in told and "Permission denied" in told
    database.chmod(0)
    code, told = tune(home, "status", bound=True)
    assert code == 2 and "studies.db: may not be read" in told
    workdir.chmod(0o755)
