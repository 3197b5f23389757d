"""How does a file get written? Whole or not at all."""

import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from studies.errors import StorageError
from studies.failpoints import failpoint


def write_whole(path: Path, content: bytes | memoryview | str) -> Path:
    """Put a file there; see `put`.

    Raises: StorageError naming the path.
    """
    try:
        put(path, content.encode() if isinstance(content, str) else content, aside=lambda: failpoint("file.aside"))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    failpoint("file.moved")
    return path


def put(path: Path, *parts: Any, aside: Callable[[], None]) -> None:
    """Write bytes beside the path and move them there: a reader, or a kill, sees the old file or the new one. When this returns,
    the new one survives whatever happens. aside: done just before the move.

    Raises: OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _move_in(path, parts, aside)
    except FileNotFoundError:  # a driver that starts has taken the file aside for a killed writer's
        _move_in(path, parts, aside)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sweep(folder: Path) -> None:
    """Remove what killed writers have left aside, in the folder and below."""
    for left in folder.rglob(".*.tmp"):
        with suppress(OSError):
            left.unlink()


def _move_in(path: Path, parts: Iterable[Any], aside: Callable[[], None]) -> None:
    beside = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with open(beside, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside()
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
