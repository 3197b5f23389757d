"""At which moments does it matter most that a process can be killed? A test can have it killed, or stopped, at any of these.

Nothing happens unless the environment variable TUNE_FAILPOINT names a file that reads "NAME COUNT SIGNAL" when this is imported.
Of all processes, the first that passes NAME for its COUNTth time takes the file away and sends itself the signal.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

_file = Path(os.environ.get("TUNE_FAILPOINT", os.devnull))
_armed, _left, _signal = "", 0, signal.SIGKILL


def _arm() -> None:
    global _armed, _left, _signal
    with suppress(OSError, ValueError, KeyError):
        name, count, number = _file.read_text().split()
        _armed, _left, _signal = name, int(count), signal.Signals[number]


_arm()


def failpoint(name: str) -> None:
    """Such a moment. No two places have the same name."""
    if name == _armed:
        _pass()


def _pass() -> None:
    global _left
    _left -= 1
    if _left == 0:
        with suppress(FileNotFoundError):
            _file.unlink()
            os.kill(os.getpid(), _signal)
