"""How does a file get written? Whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from studies.errors import StorageError
from studies.failpoints import failpoint


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write beside the path and move there: a reader, or a kill, sees the old file or the new one.

    Raises: StorageError naming the path.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _move_in(path, data)
        except FileNotFoundError:  # a driver that starts has taken the file aside for a killed writer's
            _move_in(path, data)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    failpoint("file.moved")
    return path


def sweep(folder: Path) -> None:
    """Remove what killed writers have left aside, in the folder and below."""
    for left in folder.rglob(".*.aside"):
        with contextlib.suppress(OSError):
            left.unlink()


def _move_in(path: Path, data: bytes) -> None:
    handle, aside = tempfile.mkstemp(prefix=f".{path.name[:80]}-", suffix=".aside", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        failpoint("file.aside")
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """What open() would take off the permissions; mkstemp gives a file to its owner only."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
