"""What becomes of what a worker's process prints, and of its GPU?"""

import gc
import subprocess
import sys
import weakref

import pytest
import torch

from studies.plan import constant
from studies.trial import State
from tests.tuner.runners.records import BASE, Records, run
from tests.tuner.runners.tasks import LOSES, lose_gpu
from trainables import machine
from trainables.task import load_task
from tuner.runners import make_runner
from tuner.runners.bench import Bench, LostError
from tuner.runners.job import Job
from tuner.runners.probe import Probe

PLAN = constant(BASE, 0.001, 30)

PRINTS = """
import os, sys, time
from pathlib import Path
from tuner.runners.bench import LOG_BYTES, settle_in
settle_in(Path("."), Path(sys.argv[1]))
print("the first words", flush=True)
for _ in range(300):
    print("all work and no play " * 50_000)
sys.stdout.flush()
log = Path(sys.argv[1])
while log.stat().st_size > LOG_BYTES or b"left out" not in log.read_bytes():
    time.sleep(0.01)
print("the last words", flush=True)
"""


def test_of_a_flood_the_beginning_and_the_end_are_kept(tmp_path):
    log = tmp_path / "worker.log"
    assert subprocess.run([sys.executable, "-c", PRINTS, str(log)], timeout=120).returncode == 0
    kept = log.read_bytes()
    assert kept.startswith(b"the first words\n") and kept.endswith(b"the last words\n")
    assert len(kept.partition(b"\n[the log was full")[2]) > 2_000_000 and len(kept) < 11_000_000


@pytest.fixture
def gpu(monkeypatch):
    """What of it tasks that take no notice of it need."""
    for name in ("is_initialized", "synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, getattr(torch.cuda, name))  # to be put back
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(machine, "settle", lambda *given: "cuda")
    monkeypatch.setattr(machine, "card", lambda device: "a GPU")


def test_a_process_that_has_lost_its_gpu_says_what_to_do(gpu, job_of):
    runner, records = make_runner("serial", job_of("Falls")), Records()
    with pytest.raises(LostError, match="RuntimeError: CUDA error: device-side assert triggered: .*--runner ray"):
        runner.run([PLAN.but(momentum=LOSES)], records)
    assert not records.ended


def test_a_plan_that_raises_leaves_the_process_its_gpu(gpu, monkeypatch, job_of):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for name in ("synchronize", "empty_cache", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, lambda *given: None)
    plans = [constant(BASE.but(momentum=momentum), 0.001, 40) for momentum in (0.11, 0.5)]
    assert sorted(run(make_runner("serial", job_of("Falls")), plans).ended.values()) == [State.COMPLETE, State.FAILED]


def test_a_probe_that_fails_gives_its_memory_back_and_has_measured_nothing(gpu, monkeypatch, job_of):
    held, free = [], []

    def fails(workload, plan):
        model = torch.nn.Linear(1, 1)
        held.append(weakref.ref(model))
        raise RuntimeError("a neighbour has it all")

    monkeypatch.setattr(machine, "gpu_share", fails)
    bench = Bench(job_of("Line"))
    monkeypatch.setattr(machine, "release", lambda: free.append((gc.collect(), held[0]())[1]))
    assert bench.probe([PLAN]) == Probe(words="RuntimeError: a neighbour has it all", gpu_share=1.0, failed=True)
    assert free == [None]
    monkeypatch.setattr(machine, "gpu_share", lambda *given: lose_gpu() or torch.cuda.synchronize())
    with pytest.raises(LostError, match="device-side assert"):
        bench.probe([PLAN])


def test_what_leaves_the_program_in_a_probe_is_no_end_of_it(tmp_path):
    leaves = "    def loss(self, outputs, targets): raise SystemExit(3)\n"
    (tmp_path / "leaves.py").write_text(f"from trainables.tasks.digits import Digits\nclass Leaves(Digits):\n{leaves}")
    spec = f"{tmp_path / 'leaves.py'}:Leaves"
    job = Job(spec, tmp_path / "checkpoints", load_task(spec).fingerprint, eval_examples=80, folder=tmp_path)
    assert Bench(job).probe([constant(BASE, lr, 400) for lr in (0.1, 0.01)]) == Probe(words="SystemExit: 3", failed=True)
