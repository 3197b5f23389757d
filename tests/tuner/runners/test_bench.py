"""What becomes of what a worker's process prints?"""

import subprocess
import sys

PRINTS = """
import os, sys, time
from pathlib import Path
from tuner.runners.bench import LOG_BYTES, settle_in
settle_in(Path("."), Path(sys.argv[1]))
print("the first words", flush=True)
for _ in range(300):
    print("all work and no play " * 50_000)
print("said at the flood's end")
sys.stdout.flush()
log = Path(sys.argv[1])
while log.stat().st_size > LOG_BYTES or b"left out" not in log.read_bytes() or b"flood's end" not in log.read_bytes():
    time.sleep(0.01)
print("the last words", flush=True)
"""


def test_of_a_flood_the_beginning_and_the_end_are_kept(tmp_path):
    log = tmp_path / "worker.log"
    assert subprocess.run([sys.executable, "-c", PRINTS, str(log)], timeout=120).returncode == 0
    kept = log.read_bytes()
    assert kept.startswith(b"the first words\n") and kept.endswith(b"the last words\n")
    assert b"\n[the log was full" in kept and b"said at the flood's end\n" in kept and len(kept) < 11_000_000
