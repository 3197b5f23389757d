"""Is what goes together a function of what was wanted and of what is kept, and nothing else?"""

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest

from studies.errors import StorageError
from studies.finish import Fold, Pruned
from studies.plan import Distilled, constant
from studies.trial import Progress, State
from tests.tuner.runners.records import BASE, run
from trainables import fused
from tuner.runners import make_runner
from tuner.runners.job import Job
from tuner.runners.probe import Probe, Probes, out_of_memory

LONG = [constant(BASE, lr, 400) for lr in (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)]


def job(folder: Path, **changes) -> Job:
    return replace(Job("tasks.py:Line", folder / "checkpoints", "0" * 64, 80, folder), **changes)


def test_what_was_measured_is_there_for_the_next_run(tmp_path):
    probe = Probe(3, "3 fused train 2.0 times as fast as one after another", 0.25)
    Probes(job(tmp_path), parts=2).keep(LONG[0], probe)
    later = Probes(job(tmp_path), parts=2)
    assert later.known(LONG[0].but(seed=7, momentum=0.0)) == probe
    taught = LONG[0].but(finish=Distilled(teachers=(LONG[1],)))
    for other in (LONG[0].but(batch_size=9), LONG[0].but(optimizer="adam"), taught, taught.but(finish=Distilled())):
        assert later.known(other) is None
        later.keep(other, probe)
    assert Probes(job(tmp_path, fuse=False), parts=2).known(LONG[0]) is None
    assert Probes(job(tmp_path, fingerprint="1" * 64), parts=2).known(LONG[0]) is None


@pytest.mark.parametrize(
    ("fuse", "fused_from", "company", "parts", "fused"),
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
def test_enough_long_plans_for_each_part_go_fused(tmp_path, fuse, fused_from, company, parts, fused):
    probes = Probes(job(tmp_path, fuse=fuse), parts)
    probes.keep(company[0], Probe(fused_from))
    assert probes.fused(company) is fused


def test_what_is_unknown_is_probed_first(tmp_path):
    assert Probes(job(tmp_path), parts=1).fused(LONG) is None


@pytest.mark.parametrize("finish", [Pruned(share=0.5, at=200), Distilled(), Fold(index=0, of=3)], ids=lambda finish: finish.kind)
def test_what_is_finished_never_goes_fused(tmp_path, finish):
    probes = Probes(job(tmp_path, fuse=True), parts=1)
    company = [plan.but(finish=finish) for plan in LONG]
    for plan in (LONG[0], company[0]):
        probes.keep(plan, Probe(1))
    assert probes.fused(company) is False


def test_what_a_laptop_has_found_says_nothing_of_a_gpu_nor_one_gpu_of_another(tmp_path):
    Probes(job(tmp_path), parts=1).keep(LONG[0], Probe(2, "on a laptop"))
    probes = Probes(job(tmp_path), parts=1).on("NVIDIA A100, 40000 MiB")
    assert probes.known(LONG[0]) is None and probes.memory(LONG[0]).gpu_share == 0
    probes.keep(LONG[0], Probe(3, "on a GPU", 0.6))
    later = Probes(job(tmp_path), parts=1)
    assert later.known(LONG[0]).words == "on a laptop"
    assert later.on("NVIDIA A100, 40000 MiB").memory(LONG[0]).gpu_share == 0.6
    assert later.on("NVIDIA A100, 80000 MiB").memory(LONG[0]).gpu_share == 0


def test_what_was_raised_is_no_measurement_for_later_runs(tmp_path):
    probes = Probes(job(tmp_path), parts=1)
    probes.keep(LONG[0], Probe(words="RuntimeError", gpu_share=1.0, failed=True))
    assert probes.memory(LONG[0]).gpu_share == 1.0 and probes.fused(LONG) is False
    probes.keep(LONG[0].but(batch_size=9), Probe(gpu_share=0.5))
    later = Probes(job(tmp_path), parts=1)
    assert later.known(LONG[0]) is None and later.known(LONG[0].but(batch_size=9)) == Probe(gpu_share=0.5)


def test_the_context_and_the_data_are_there_once_for_all_that_are_fused():
    probe = Probe(gpu_share=0.3, gpu_more=0.1)
    assert [probe.room(free) for free in (0.29, 0.3, 0.55, 1.0)] == [0, 1, 3, 8]
    assert probe.taken(1) == 0.3 and probe.taken(8) == pytest.approx(1.0) and probe.resident == pytest.approx(0.2)
    assert Probe().room() > 10**9 and Probe().taken(5) == Probe().resident == 0


def test_who_runs_out_of_memory_gets_twice_as_much_until_it_has_all(tmp_path):
    probes = Probes(job(tmp_path), parts=1)
    probes.keep(LONG[0], Probe(gpu_share=0.2))
    assert [probes.memory(LONG[0]).room(free) for free in (1.0, 0.4, 0.1)] == [5, 2, 0]
    assert [probes.crowded(LONG[0], 0.2) for _ in range(3)] == [True] * 3  # three of one cohort
    assert probes.memory(LONG[0]).gpu_share == 0.4
    assert probes.crowded(LONG[0], 0.8) and probes.memory(LONG[0]).gpu_share == 1.0
    assert not probes.crowded(LONG[0], 1.0) and not probes.crowded(LONG[0], 0.0)
    probes.keep(LONG[0], Probe(gpu_share=0.1, gpu_more=0.01))
    rooms = [probes.memory(LONG[0]).room()]
    while probes.crowded(LONG[0], probes.memory(LONG[0]).gpu_share):
        rooms.append(probes.memory(LONG[0]).room())
    assert rooms == [91, 8, 2, 1, 1]


def test_a_share_that_was_given_is_not_changed(tmp_path):
    probes = Probes(job(tmp_path), parts=1, gpu_share=0.5)
    assert probes.memory(LONG[0]).room() == 2 and not probes.crowded(LONG[0], 0.5)


@pytest.mark.parametrize(
    ("raised", "full"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", True),
        ("torch.AcceleratorError: CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported.", True),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
        ("torch.AcceleratorError: CUDA error: device-side assert triggered", False),
        ("ValueError: not what torch.cuda.OutOfMemory is", False),
    ],
)
def test_a_lack_of_memory_is_known_by_its_words(raised, full):
    frames = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    except torch.OutOfMemoryError:\n    ^^^\n'
    assert out_of_memory(Progress(LONG[0], ended=State.FAILED, error=frames + raised + "\n")) is full


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"a": {"gpu": 1}}'])
def test_what_cannot_be_read_is_measured_again(tmp_path, content, caplog):
    (tmp_path / "probes.json").write_text(content)
    with caplog.at_level(logging.WARNING, "tuner"):
        assert Probes(job(tmp_path), parts=1).known(LONG[0]) is None
    assert "probes.json: cannot be read" in caplog.text


def test_where_nothing_can_be_kept_the_run_ends(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="probes.json"):
        Probes(job(tmp_path / "file"), parts=1).keep(LONG[0], Probe())


def test_where_fusing_is_asked_for_a_pruned_one_is_pruned(job_of):
    plain = LONG[0].upto(40)
    pruned = plain.but(finish=Pruned(share=0.5, at=20))
    records = run(make_runner("serial", job_of("Line", fuse=True)), [plain, pruned])
    assert "parameters_left" in records.points[pruned][40].values


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
    assert Probes(task, parts=1).known(LONG[0]).fused_from == 1


def test_without_being_asked_many_plans_go_fused_where_that_is_clearly_faster(monkeypatch, job_of):
    took = iter((1.0, 2.0, 6.0))  # a step alone, of one model fused, and of all of them
    monkeypatch.setattr(fused, "_seconds", lambda work: (work(), next(took))[1])
    plans = [constant(BASE, 0.001 * (n + 1), 400) for n in range(24)]
    task = job_of("Line")
    records = run(make_runner("serial", task), plans)
    assert set(records.ended.values()) == {State.COMPLETE}
    assert Probes(task, parts=1).fused(plans)
