"""Is what goes together a function of what was wanted and of what is kept, and nothing else?"""

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest

from studies.errors import StorageError
from studies.plan import constant
from studies.trial import State
from tests.tuner.runners.records import BASE, run
from tuner.runners import make_runner
from tuner.runners.job import Job
from tuner.runners.probe import Probe, Probes

LONG = [constant(BASE, lr, 400) for lr in (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)]


def job(folder: Path, **changes) -> Job:
    return replace(Job("tasks.py:Line", folder / "checkpoints", "0" * 64, 80, folder), **changes)


def test_what_was_measured_is_there_for_the_next_run(tmp_path):
    probe = Probe(3, "3 fused train 2.0 times as fast as one after another", 0.25)
    Probes(job(tmp_path), workers=2).keep(LONG[0], probe)
    later = Probes(job(tmp_path), workers=2)
    assert later.known(LONG[0].but(seed=7, momentum=0.0)) == probe
    for other in (LONG[0].but(batch_size=9), LONG[0].but(optimizer="adam")):
        assert later.known(other) is None
    assert Probes(job(tmp_path, fingerprint="1" * 64), workers=2).known(LONG[0]) is None


@pytest.mark.parametrize(
    ("fuse", "fused_from", "company", "workers", "fused"),
    [
        (None, 3, LONG, 2, True),
        (None, 4, LONG, 2, False),
        (None, 4, LONG, 1, True),
        (None, math.inf, LONG, 1, False),
        (None, 2, [plan.upto(100) for plan in LONG], 1, False),
        (None, 2, LONG[:1], 1, False),
        (False, 2, LONG, 1, False),
        (True, 1, LONG[:1], 2, True),
        (True, math.inf, LONG, 1, False),
    ],
)
def test_enough_long_plans_for_each_worker_go_fused(tmp_path, fuse, fused_from, company, workers, fused):
    probes = Probes(job(tmp_path, fuse=fuse), workers)
    probes.keep(company[0], Probe(fused_from))
    assert probes.fused(company) is fused


def test_what_is_unknown_is_probed_first(tmp_path):
    assert Probes(job(tmp_path), workers=1).fused(LONG) is None


def test_who_runs_out_of_memory_gets_twice_as_much_until_it_has_all(tmp_path):
    probes = Probes(job(tmp_path), workers=1)
    probes.keep(LONG[0], Probe(gpu_share=0.2))
    assert probes.room(LONG[0]) == 5 and probes.room(LONG[0], free=0.4) == 2 and probes.room(LONG[0], free=0.1) == 0
    assert [probes.crowded(LONG[0], 0.2) for _ in range(3)] == [True] * 3  # three of one cohort
    assert probes.share(LONG[0]) == 0.4
    assert probes.crowded(LONG[0], 0.8) and probes.share(LONG[0]) == 1.0 and not probes.crowded(LONG[0], 1.0)


def test_a_share_that_was_given_is_not_changed(tmp_path):
    probes = Probes(job(tmp_path), workers=1, gpu_share=0.5)
    assert probes.room(LONG[0]) == 2 and not probes.crowded(LONG[0], 0.5)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"a": {"gpu": 1}}'])
def test_what_cannot_be_read_is_measured_again(tmp_path, content, caplog):
    (tmp_path / "probes.json").write_text(content)
    with caplog.at_level(logging.WARNING, "tuner"):
        assert Probes(job(tmp_path), workers=1).known(LONG[0]) is None
    assert "probes.json: cannot be read" in caplog.text


def test_where_nothing_can_be_kept_the_run_ends(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="probes.json"):
        Probes(job(tmp_path / "file"), workers=1).keep(LONG[0], Probe())


@pytest.fixture(scope="module")
def alone(job_of):
    """What the fused plans come to, each carried out by itself."""
    records = {}
    for plan in LONG:
        records |= run(make_runner("serial", job_of("Line", fuse=True)), [plan]).values()
    return records


@pytest.mark.parametrize("kind", ["serial", "ray"])
def test_every_runner_fuses_to_the_same_bits(kind, job_of, alone, request):
    if kind == "ray":
        request.getfixturevalue("ray_session")
    task = job_of("Line", fuse=True)
    runner = make_runner(kind, task)
    try:
        records = run(runner, LONG)
    finally:
        runner.close()
    assert set(records.ended.values()) == {State.COMPLETE}
    assert repr(sorted(records.values().items(), key=str)) == repr(sorted(alone.items(), key=str))
    assert Probes(task, workers=1).known(LONG[0]).fused_from == 1


def test_without_being_asked_many_small_plans_go_fused(job_of):
    plans = [constant(BASE, 0.001 * (n + 1), 400) for n in range(24)]
    task = job_of("Line")
    records = run(make_runner("serial", task), plans)
    assert set(records.ended.values()) == {State.COMPLETE}
    assert Probes(task, workers=1).fused(plans)
