"""How does a file get written? Whole or not at all."""

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
        handle, aside = tempfile.mkstemp(prefix=f".{path.name[:80]}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o666 & ~_umask())
            failpoint("file.aside")
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    failpoint("file.moved")
    return path


def _umask() -> int:
    """What open() would take off the permissions; mkstemp gives a file to its owner only."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
