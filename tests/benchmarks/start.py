"""How long does a person wait for the first training step?

From the start of the process to the first call of the task's loss: `tune run` on digits in an empty folder, so that Ray, its
workers, the database and the study are all made anew. An absolute figure; beside it, what importing torch alone takes in the
same minute (`python -c "import torch"`), as the measure of the machine: the driver and each worker have to do that, too.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bed import ROOT, answer
from tests.benchmarks.table import Figure, Result, under

TASK = f"{ROOT / 'tests' / 'benchmarks' / 'tasks.py'}:Marked"
SIZES = ("--lrs", "0.1,0.01", "--max-steps", "40", "--eval-examples", "320")


def measure(runs: int = 5, small: bool = False) -> Result:
    starts, imports = zip(*((_start(), _import_torch()) for _ in range(1 if small else runs)))
    return Result(
        (
            under("start of `tune run` to the first training step", starts, 6, " s"),
            Figure("importing torch in the same minute", imports, (), imports, None, " s", " s"),
        )
    )


def _start() -> float:
    """Seconds."""
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder) / "mark"
        began = time.time()
        answer("tuner", "stage1", "--task", TASK, "--workdir", folder, *SIZES, "--json", TUNER_BENCH_MARK=str(mark))
        return float(mark.read_text()) - began


def _import_torch() -> float:
    """Seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began
