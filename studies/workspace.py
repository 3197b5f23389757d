"""Where is everything kept? One object owns every path and every name."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from studies.errors import InputError

WORKDIR = "tune-runs"
"""Where all is kept, unless --workdir says otherwise."""

STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def check_study_name(name: str) -> str:
    """The name, if it can be one of a study, a folder and an address.

    Raises: InputError.
    """
    if not STUDY_NAME.fullmatch(name):
        raise InputError(f"--study: expected 1 to 80 letters, digits, '.', '_' or '-', the first a letter or digit; got {name!r}")
    return name


def default_study_name(task: str) -> str:
    """The name that a study of this task gets: Flowers for file.py:Flowers, the file's stem for a replay."""
    _, _, name = task.rpartition(":")
    name = Path(name).stem if task.startswith("replay:") else name
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).strip("._-")[:80] or "study"


@dataclass(frozen=True)
class Workspace:
    """The folder of one study: WORKDIR/STUDY/."""

    workdir: Path
    study: str

    @property
    def folder(self) -> Path:
        return self.workdir / self.study

    def checkpoints(self, place: str | None = None) -> str | Path:
        """Folder or URL of the states. place: where those of all studies are to be, each study's in a folder of its own."""
        return f"{place.removesuffix('/')}/{self.study}" if place else self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        return self.folder / "tune.log"

    @property
    def resumed(self) -> Path:
        """What the driver that the dashboard started last had to say; the log has its progress."""
        return self.folder / "resume.log"

    @property
    def report(self) -> Path:
        return self.folder / "report"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def export(self) -> Path:
        return self.folder / "best.yaml"

    def export_for(self, trainer: str, suffix: str) -> Path:
        """The same for a trainer of somebody else's; a name that Python can import."""
        return self.folder / f"best_{trainer}{suffix}"

    @property
    def trained(self) -> Path:
        """Where `tune train` puts weights and metrics."""
        return self.folder / "trained"


def default_database(workdir: Path) -> Path:
    """The SQLite file that a workdir keeps its studies in."""
    return workdir / "studies.db"


def default_storage(workdir: Path) -> str:
    """Its URL."""
    return f"sqlite:///{default_database(workdir)}"


def command(*words: str, workdir: Path, storage: str) -> str:
    """A command of `tune`, as a person types it here: with --workdir and --storage where the studies are in another place than
    it looks in by itself. storage: without its password, which is left to that person."""
    place = [] if workdir.absolute() == Path(WORKDIR).absolute() else ["--workdir", str(workdir.absolute())]
    if storage not in ("", default_storage(workdir.absolute())):
        place += ["--storage", storage]
    return shlex.join(["tune", *words, *place])
