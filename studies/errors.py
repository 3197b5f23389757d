"""What went wrong, and what does the reader do next?

Every error a person can act on is one of these; each is named by the next act and carries the exit code of the
command that met it. Anything else that escapes is a defect of this program.
"""


class TuneError(Exception):
    """Base of all: one clear line as its message, never a traceback."""

    exit_code = 1


class InputError(TuneError):
    """Correct the command line or the file: the message says where, what was expected, what came, what is valid."""

    exit_code = 2


class TaskError(TuneError):
    """Mend your task's module: it cannot be loaded, or every trial of it raised. Carries the last traceback.

    traceback: str, the user's traceback, or "".
    """

    exit_code = 2

    def __init__(self, message: str, traceback: str = ""):
        super().__init__(message)
        self.traceback = traceback


class StageError(TuneError):
    """Widen or change the search: the stage has no answer (every rate diverged, say)."""


class StorageError(TuneError):
    """Free some space, mend the permission, start the database: what was acknowledged is safe; run again to go on."""


class BusyError(TuneError):
    """Wait, or stop the other driver: somebody else is running this study. The message names them."""

    exit_code = 4


class Interrupted(TuneError):
    """Run again to go on: the person asked to stop, and everything is saved."""

    exit_code = 130
