"""Where is room for what lasts no longer than a process? In a folder of its own, which the next one sweeps if it was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_folder(prefix: str, place: str | None = None) -> Iterator[str]:
    """A folder of this prefix in a place, the system's for what is temporary if not given.

    Its owner holds a lock on it. Those that nobody holds are of killed owners, and are removed.
    """
    place = place or tempfile.gettempdir()
    for left in Path(place).glob(f"{prefix}*"):
        if lock := _lock(left):
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    lock = None
    while lock is None:  # somebody who sweeps may be quicker than we are
        lock = _lock(folder := tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path | str) -> int | None:
    """The file descriptor that holds a folder's lock until it, or the process, ends; None if the folder is held or gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(folder)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
