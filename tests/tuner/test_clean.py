"""States wherever they lie: a study killed, cleaned and resumed ends as one that was left alone."""

import json
import os
import re
from pathlib import Path

import fsspec
import pytest

from studies.ledger import Store
from tests import program
from tests.tuner.test_pipeline import TASK
from tests.waiting import until
from tuner.cli import _run

SWEEP = ["--task", "blobs.py:Blobs", "--max-steps", "80", "--lrs", "0.1,0.01", "--repeats", "2"]
ALL = [*SWEEP, "--batch-sizes", "32", "--momenta", "0.9", "--runner", "serial"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "blobs.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def litter(capsys, *options: str) -> dict:
    """What `tune clean` has to say: files by what they are good for."""
    capsys.readouterr()
    assert _run(["clean", "Blobs", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def kept(place: str) -> list[str]:
    store, folder = fsspec.core.url_to_fs(place)
    store.invalidate_cache()
    return sorted(store.glob(f"{folder}/*/*.ckpt"))


def test_a_study_in_a_bucket_killed_and_cleaned_ends_as_one_left_alone(home, bucket, capsys):
    assert _run(["run", *ALL, "--workdir", "alone"]) == 0
    url = f"{bucket}/runs"
    (log := home / "driver.log").touch()
    driver = program.start(home, "run", *ALL, "--checkpoints", url, out=log, err=log)
    until(lambda: "stage1 decided" in log.read_text() or not driver.is_alive())
    driver.kill()
    driver.join()
    assert "stage3" not in log.read_text(), "it was over before it could be killed"

    before = kept(f"{url}/Blobs")
    shown = litter(capsys)
    assert shown["place"] == f"{url}/Blobs" and not shown["removed"] and kept(f"{url}/Blobs") == before
    count = shown["files"]["passed by"]["files"]
    assert 0 < count < len(before) and shown["files"]["needed"]["files"] == len(before) - count
    assert litter(capsys, "--yes")["removed"] and len(kept(f"{url}/Blobs")) == len(before) - count
    assert litter(capsys)["files"].keys() == {"needed"}

    assert _run(["resume", "Blobs"]) == 0
    assert Path("tune-runs/Blobs/best.yaml").read_bytes() == Path("alone/Blobs/best.yaml").read_bytes()
    assert not list(Path("tune-runs").rglob("*.ckpt"))


@pytest.mark.long
def test_workers_share_their_states_in_a_bucket_and_training_the_winner_keeps_its_own_there(home, bucket, capsys):
    url = f"{bucket}/workers"
    done = program.run(home, "stage1", *SWEEP, "--runner", "ray", "--workers", "2", "--checkpoints", url)
    assert done.returncode == 0, done.stderr
    assert kept(f"{url}/Blobs") and not list(Path("tune-runs").rglob("*.ckpt"))
    assert list(Path("tune-runs/Blobs/workers").glob("*.log"))
    for _ in range(2):
        capsys.readouterr()
        assert _run(["train", "tune-runs/Blobs/best.yaml", "--checkpoints", f"{url}/winner"]) == 0
    assert kept(f"{url}/winner") and not list(Path("tune-runs").rglob("*.ckpt"))


def test_what_a_killed_writer_left_goes_at_the_next_start_and_what_an_edited_task_left_can_go(home, capsys):
    assert _run(["stage1", *SWEEP, "--runner", "serial"]) == 0
    left = next(home.rglob("*.ckpt")).with_name(".abc_123.tmp")
    left.write_bytes(b"?")
    assert litter(capsys)["files"]["unfinished"] == {"files": 1, "bytes": 1} and left.exists()
    assert _run(["stage1", *SWEEP, "--runner", "serial"]) == 0 and not left.exists()
    (home / "blobs.py").write_text(TASK.replace("Dropout(0.1)", "Dropout(0.2)"))
    told = litter(capsys, "--yes")
    assert told["files"].keys() == {"outdated"} and not list(home.rglob("*.ckpt"))
    assert _run(["clean"]) == 0
    assert "Blobs: 0 of 0 files can go" in capsys.readouterr().err


def test_a_workdir_is_looked_for_from_where_one_asks(home, monkeypatch, capsys):
    for study in ("one", "two"):
        (home / study).mkdir()
        (home / study / "blobs.py").write_text(TASK)
        monkeypatch.chdir(home / study)
        assert _run(["stage1", *SWEEP, "--runner", "serial", "--study", study, "--workdir", "../runs"]) == 0
    monkeypatch.chdir(home)
    capsys.readouterr()
    assert _run(["clean", "--workdir", "runs", "--json"]) == 0
    places = [one["place"] for one in json.loads(capsys.readouterr().out)["studies"]]
    assert places == [str(home / "runs" / study / "checkpoints") for study in ("one", "two")]


def test_a_study_that_is_being_run_is_left_alone(home, capsys):
    states = home / "tune-runs" / "Blobs" / "checkpoints" / "0123456789abcdef"
    states.mkdir(parents=True)
    (states / "0123456789abcdef-5.ckpt").write_bytes(b"?")
    store = Store(f"sqlite:///{home / 'tune-runs' / 'studies.db'}")
    recorded = {"task": "blobs.py:Blobs", "workdir": str(home / "tune-runs"), "cwd": str(home)}
    with store.drive("Blobs", recorded):
        assert _run(["clean", "Blobs", "--yes"]) == 4
        told = capsys.readouterr().err
        assert re.fullmatch(
            rf"tune: study 'Blobs' is being run by process {os.getpid()} on .*; wait for it, or stop it there\n", told
        )
        assert _run(["clean", "--yes"]) == 0
        assert capsys.readouterr().err.startswith("Blobs: left alone: study 'Blobs' is being run by process")
        assert list(home.rglob("*.ckpt"))
    assert _run(["clean", "Blobs", "--yes"]) == 0 and not list(home.rglob("*.ckpt"))
    store.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["run", *ALL, "--checkpoints", "nonsense://x"],
            "--checkpoints nonsense://x/Blobs: Protocol not known: nonsense; expected",
        ),
        (["run", *ALL, "--checkpoints", "oci://x/y"], "--checkpoints oci://x/y/Blobs: Install ocifs"),
        (
            ["run", *ALL, "--checkpoints", "s3://tuner-slip"],
            "--checkpoints s3://tuner-slip/Blobs: The specified bucket does not exist",
        ),
        (["run", *ALL, "--checkpoints", "blobs.py"], "/blobs.py/Blobs: Not a directory; expected a folder"),
        (["run", *ALL, "--checkpoints", ""], "--checkpoints': expected a folder or a URL; got ''"),
        (["clean", "nobody"], "no study 'nobody'"),
    ],
)
def test_a_place_that_cannot_be_is_told_in_one_line_before_anything_is_trained(home, bucket, capsys, arguments, told):
    assert _run(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if " INFO " not in line]
    assert len(lines) == 1 and lines[0].startswith("tune: ") and told in lines[0]
    assert not list(home.rglob("*.ckpt"))
