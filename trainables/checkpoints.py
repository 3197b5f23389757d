"""Where is the state after n steps? Under the name of what was trained: the id of plan.upto(n).

So whoever passes there finds it: the same plan resumed, extended, or another that begins alike. The name also holds the
task's fingerprint, so that an edited task does not reuse old states. A state is whole or not there, carries a hash of its
content, and is verified before anything in it is read. A state that is gone costs time, never a result: it is trained again.
"""

import contextlib
import hashlib
import io
import logging
import re
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from studies.errors import InputError, StorageError, TaskError
from studies.failpoints import failpoint
from studies.files import put, write_whole
from studies.plan import Plan
from studies.trial import Point

log = logging.getLogger("tuner")

MAGIC = b"tuner checkpoint 1\n"

FILE = re.compile(r"[0-9a-f]{16}/([0-9a-f]{16}-\d+\.(ckpt|bad)|\.\w+\.tmp)")
"""What is ours below a folder of states, which may hold other things."""

EXPECTED = "expected a folder, or a URL that fsspec knows (s3://bucket/folder, say), to keep states in"


@dataclass(frozen=True)
class Checkpoint:
    """A training standing at a step.

    state: the trainable's. points: of the whole path so far. seconds: training the path took so far. partial: (sum of the
    losses, number of steps) since the last point.
    """

    step: int
    state: Mapping[str, Any]
    points: tuple[Point, ...] = ()
    seconds: float = 0.0
    partial: tuple[float, int] = (0.0, 0)


@dataclass(frozen=True)
class Checkpoints:
    """The states of one task.

    folder: shared by all workers; a path, or a URL that fsspec knows (s3://bucket/runs). fingerprint: the task's.

    Raises: InputError, from the first use, if there can be no such URL here.
    """

    folder: str | Path
    fingerprint: str

    @cached_property
    def _place(self) -> "_Place":
        return _Place(self.folder)

    @property
    def _own(self) -> str:
        return self.fingerprint[:16]

    def _file(self, plan: Plan, step: int) -> str:
        return f"{self._own}/{_name(plan, step)}"

    def where(self, plan: Plan, step: int) -> str:
        """The path or URL of a state."""
        return self._place.where(self._file(plan, step))

    def check(self) -> None:
        """Try the place out, by writing there.

        Raises: InputError naming it and what is wrong with it.
        """
        probe = f"{self._own}/.probe.tmp"
        try:
            self._place.write(probe, b"")
            self._place.names(self._own)
            with contextlib.suppress(FileNotFoundError):  # another driver has swept
                self._place.remove(probe)
        except OSError as error:
            raise InputError(f"--checkpoints {self._place.where()}: {_why(error)}; {EXPECTED}") from error

    def sweep(self) -> None:
        """Remove what killed writers have left aside. A living one, which loses its file by this, writes it again."""
        self.remove(f"{self._own}/{name}" for name in self._names() if name.endswith(".tmp"))
        failpoint("state.swept")

    def save(self, plan: Plan, checkpoint: Checkpoint) -> None:
        """Keep a state; when this returns, it survives whatever happens.

        Raises: StorageError naming the file, if it cannot be written; TaskError if the state could not be read again.
        """
        file = self._file(plan, checkpoint.step)
        _check_plain(checkpoint.state, "state")
        content = io.BytesIO()
        points = [(point.step, dict(point.values), point.seconds) for point in checkpoint.points]
        torch.save(
            {"state": checkpoint.state, "points": points, "seconds": checkpoint.seconds, "partial": checkpoint.partial}, content
        )
        body = content.getbuffer()
        try:
            self._place.write(file, MAGIC + _digest(_name(plan, checkpoint.step), body), body)
        except OSError as error:
            raise StorageError(
                f"{self._place.where(file)}: {_why(error)}; nothing that was saved before is lost, run again to go on"
            ) from error
        failpoint("state.kept")

    def steps(self, plan: Plan) -> Iterator[int]:
        """The steps of the path that have a state, the deepest first.

        Raises: StorageError if they cannot be listed.
        """
        return _on_path(plan, _by_step(self._names()))

    def deepest(self, plan: Plan) -> Checkpoint | None:
        """The state that lies furthest along the path. One that does not verify is put aside, and the next one is taken.

        Raises: StorageError if they cannot be read.
        """
        for step in self.steps(plan):
            file = self._file(plan, step)
            try:
                return _read(self._place.read(file), _name(plan, step), step)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(f"{self._place.where(file)}: {_why(error)}") from error
            except ValueError as error:
                log.warning("%s: %s; put aside as .bad, going on from an earlier state", self._place.where(file), error)
                with contextlib.suppress(OSError):
                    self._place.rename(file, file.removesuffix(".ckpt") + ".bad")
        return None

    def drop(self, plan: Plan, steps: Iterable[int]) -> None:
        """Forget states that are no longer needed."""
        self.remove(self._file(plan, step) for step in steps)
        failpoint("state.dropped")

    def files(self) -> dict[str, int]:
        """All that was ever kept in this folder, edited tasks' states included: bytes by FINGERPRINT/NAME.

        Raises: StorageError if it cannot be listed.
        """
        try:
            return {name: size for name, size in self._place.sizes().items() if FILE.fullmatch(name)}
        except OSError as error:
            raise StorageError(f"{self._place.where()}: {_why(error)}") from error

    def remove(self, files: Iterable[str]) -> None:
        """Delete these (FINGERPRINT/NAME, as `files` has them). What cannot be removed, or is gone already, is left as it is."""
        for file in files:
            with contextlib.suppress(OSError):
                self._place.remove(file)

    def _names(self) -> list[str]:
        try:
            return self._place.names(self._own)
        except OSError as error:
            raise StorageError(f"{self._place.where(self._own)}: {_why(error)}") from error


class Use(StrEnum):
    """What a file in a folder of states is good for."""

    NEEDED = "needed"
    PASSED = "passed by"
    SPOILT = "spoilt"
    UNFINISHED = "unfinished"
    OUTDATED = "outdated"


def uses(files: Iterable[str], fingerprint: str, plans: Collection[Plan]) -> dict[str, Use]:
    """What each of the files is good for to a task and its known plans.

    NEEDED: the last state of each path, and the last one before another path forks from it: with these, going on trains
    what it would have trained. PASSED: any other state, which only a plan that is not known yet could start from. SPOILT: put
    aside, as it did not verify. UNFINISHED: its writer was killed, or is at it. OUTDATED: of the task before an edit.
    """
    files, own = list(files), f"{fingerprint[:16]}/"
    needed = _needed((file.removeprefix(own) for file in files if file.startswith(own)), plans)

    def use(file: str) -> Use:
        if not file.startswith(own):
            return Use.OUTDATED
        if file.endswith(".ckpt"):
            return Use.NEEDED if file.removeprefix(own) in needed else Use.PASSED
        return Use.SPOILT if file.endswith(".bad") else Use.UNFINISHED

    return {file: use(file) for file in files}


def _needed(names: Iterable[str], plans: Iterable[Plan]) -> set[str]:
    there, kin, needed = _by_step(names), defaultdict[Plan, list[Plan]](list), set[str]()
    for plan in set(plans):
        kin[plan.training.upto(min(1, plan.steps))].append(plan)
    for family in kin.values():
        for plan in family:
            steps = list(_on_path(plan, there))
            forks = {plan.common(other) for other in family}  # itself, its end, among them
            needed |= {_name(plan, max(before)) for fork in forks if (before := [step for step in steps if step <= fork])}
    return needed


def _name(plan: Plan, step: int) -> str:
    return f"{plan.training.upto(step).id}-{step}.ckpt"


def _by_step(names: Iterable[str]) -> Mapping[int, set[str]]:
    """The names of states, by their step; what else lies there is nobody's business."""
    found: dict[int, set[str]] = defaultdict(set)
    for name in names:
        if name.endswith(".ckpt") and (number := name[:-5].rpartition("-")[2]).isdecimal():
            found[int(number)].add(name)
    return found


def _on_path(plan: Plan, there: Mapping[int, set[str]]) -> Iterator[int]:
    for step in sorted(there, reverse=True):
        if 0 < step <= plan.steps and _name(plan, step) in there[step]:
            yield step


def _read(data: bytes, name: str, step: int) -> Checkpoint:
    """What a file holds: data, in which nothing is ever imported or executed, whoever wrote it.

    Raises: ValueError if the content is not what was written.
    """
    head = len(MAGIC) + 32
    if data[: len(MAGIC)] != MAGIC or _digest(name, data[head:]) != data[len(MAGIC) : head]:
        raise ValueError("its content is not what was written under this name")
    try:
        content = torch.load(io.BytesIO(data[head:]), weights_only=True, map_location="cpu")
        points = tuple(Point(at, values, seconds) for at, values, seconds in content["points"])
        return Checkpoint(step, content["state"], points, content["seconds"], tuple(content["partial"]))
    except Exception as error:  # whatever PyTorch makes of a content that is not ours
        raise ValueError(f"PyTorch {torch.__version__} cannot read it: {error}".splitlines()[0]) from error


def _digest(name: str, body: Any) -> bytes:
    """Of the content and of the name: a state under another's name is no more its own than one with a flipped bit."""
    return hashlib.sha256(name.encode() + b"\0" + hashlib.sha256(body).digest()).digest()


def _check_plain(value: Any, where: str) -> None:
    """Raises: TaskError if it holds anything that torch.load(weights_only=True) would refuse."""
    if isinstance(value, Mapping) and type(value) in (dict, OrderedDict):
        for key, part in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(part, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for place, part in enumerate(value):
            _check_plain(part, f"{where}[{place}]")
    elif not isinstance(value, torch.Tensor) and type(value) not in (int, float, bool, str, bytes, type(None)):
        plain = "tensors, numbers and strings, in dicts, lists and tuples"
        raise TaskError(f"{where}: expected {plain}; got {type(value).__name__}")


def save_weights(path: Path, checkpoint: Checkpoint) -> None:
    """Write a trained state for others to load with torch.load: a model's state_dict, where there is a model.

    Raises: StorageError.
    """
    content = io.BytesIO()
    torch.save(checkpoint.state.get("model", checkpoint.state), content)
    write_whole(path, content.getbuffer())


class _Place:
    """Files below a folder, here or in a store that fsspec reaches. They are whole or not there.

    Here they are written aside and moved; elsewhere they are put with one request, which object stores carry out whole or
    not at all. (Where a store does not, the hash finds out.)

    Raises (all methods): OSError of any kind, FileNotFoundError where the file or the folder is not there.
    """

    def __init__(self, url: str | Path):
        """Raises: InputError if the URL is none, or its package or its credentials are missing."""
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        try:
            self._fs, root = url_to_fs(url) if isinstance(url, str) else (LocalFileSystem(), str(url.absolute()))
        except Exception as error:
            raise InputError(f"--checkpoints {_shown(str(url))}: {_why(error)}; {EXPECTED}") from error
        self._here = isinstance(self._fs, LocalFileSystem)
        self._root = root.rstrip("/")
        self._shown = self._root if self._here else _shown(str(url)).rstrip("/")

    def where(self, file: str = "") -> str:
        """For a reader."""
        return f"{self._shown}/{file}".rstrip("/")

    def names(self, folder: str) -> list[str]:
        """Of the files in it; none where there is no such folder."""
        with _os_errors():
            self._fs.invalidate_cache()  # others write here, too
            try:
                return [path.rpartition("/")[2] for path in self._fs.ls(f"{self._root}/{folder}", detail=False)]
            except FileNotFoundError:
                return []

    def sizes(self) -> dict[str, int]:
        """Of all files there are, in bytes."""
        with _os_errors():
            self._fs.invalidate_cache()
            found = self._fs.find(self._root, detail=True)
        return {path.removeprefix(f"{self._root}/"): info["size"] for path, info in found.items()}

    def read(self, file: str) -> bytes:
        with _os_errors():
            return self._fs.cat_file(f"{self._root}/{file}")

    def write(self, file: str, *parts: Any) -> None:
        path = f"{self._root}/{file}"
        if self._here:
            put(Path(path), *parts, aside=lambda: failpoint("state.aside"))
            return failpoint("state.moved")
        content = b"".join(parts)
        with _os_errors():
            try:
                self._fs.pipe_file(path, content)
            except FileNotFoundError:
                if not path.startswith("/"):  # no folders there: it is the bucket that is missing, whose name may be a slip
                    raise
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(path, content)

    def rename(self, file: str, to: str) -> None:
        with _os_errors():
            self._fs.mv(f"{self._root}/{file}", f"{self._root}/{to}")

    def remove(self, file: str) -> None:
        with _os_errors():
            self._fs.rm_file(f"{self._root}/{file}")


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Every store has its own kinds of errors."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _why(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]


def _shown(url: str) -> str:
    """Without the password."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", url)
