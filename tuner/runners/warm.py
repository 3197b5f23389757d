"""What does a worker import before there is anything to do?

Ray imports this in every worker that it starts. On one or two cores the workers take turns: beside a driver that starts as
well, two of them would both be late, and the first can begin while the second comes.
"""

import contextlib
import fcntl
import os

from studies.loading import loading

with open(__file__) as file:
    if (os.cpu_count() or 1) <= 2:
        with contextlib.suppress(OSError):  # a file system without locks: all at once, then
            fcntl.flock(file, fcntl.LOCK_EX)
    with loading():
        import trainables.training  # noqa: F401
