"""Where is the state after n steps? Under the name of what was trained: the id of plan.upto(n).

So whoever passes there finds it: the same plan resumed, extended, or another that begins alike. The name also holds the
task's fingerprint, so that an edited task does not reuse old states. Files are written aside, synced and moved, carry a
hash of their content, and are verified before anything in them is read.
"""

import contextlib
import hashlib
import io
import logging
import os
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from studies.errors import StorageError, TaskError
from studies.plan import Plan
from studies.trial import Point

log = logging.getLogger("tuner")

MAGIC = b"tuner checkpoint 1\n"


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
    """The states of one task. folder: shared by all workers; fingerprint: the task's."""

    folder: Path
    fingerprint: str

    @property
    def _place(self) -> Path:
        return Path(self.folder) / self.fingerprint[:16]

    def path(self, plan: Plan, step: int) -> Path:
        return self._place / f"{plan.upto(step).id}-{step}.ckpt"

    def save(self, plan: Plan, checkpoint: Checkpoint) -> Path:
        """Keep a state; when this returns, it survives whatever happens.

        Raises: StorageError naming the file, if it cannot be written; TaskError if the state could not be read again.
        """
        path = self.path(plan, checkpoint.step)
        _check_plain(checkpoint.state, "state")
        content = io.BytesIO()
        points = [(point.step, dict(point.values), point.seconds) for point in checkpoint.points]
        torch.save(
            {"state": checkpoint.state, "points": points, "seconds": checkpoint.seconds, "partial": checkpoint.partial}, content
        )
        body = content.getbuffer()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, MAGIC + _digest(path, body), body)
        except OSError as error:
            raise StorageError(
                f"{path}: {error.strerror or error}; nothing that was saved before is lost, run again to go on"
            ) from error
        return path

    def steps(self, plan: Plan) -> Iterator[int]:
        """The steps of the path that have a state, the deepest first."""
        try:
            there = {name for name in os.listdir(self._place) if name.endswith(".ckpt")}
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{self._place}: {error.strerror}") from error
        numbers = {int(number) for name in there if (number := name[:-5].rpartition("-")[2]).isdecimal()}
        for step in sorted(numbers, reverse=True):
            if 0 < step <= plan.steps and self.path(plan, step).name in there:
                yield step

    def deepest(self, plan: Plan) -> Checkpoint | None:
        """The state that lies furthest along the path. One that does not verify is put aside, and the next one is taken.

        Raises: StorageError if they cannot be read.
        """
        for step in self.steps(plan):
            path = self.path(plan, step)
            try:
                return self._read(path, step)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(f"{path}: {error.strerror}") from error
            except ValueError as error:
                log.warning("%s: %s; put aside as .bad, going on from an earlier state", path, error)
                with contextlib.suppress(OSError):
                    path.replace(path.with_suffix(".bad"))
        return None

    def drop(self, plan: Plan, steps: Iterable[int]) -> None:
        """Forget states that are no longer needed."""
        for step in steps:
            with contextlib.suppress(OSError):
                self.path(plan, step).unlink()

    def _read(self, path: Path, step: int) -> Checkpoint:
        """Raises: ValueError if the content is not what was written."""
        data = path.read_bytes()
        head = len(MAGIC) + 32
        if data[: len(MAGIC)] != MAGIC or _digest(path, data[head:]) != data[len(MAGIC) : head]:
            raise ValueError("its content is not what was written under this name")
        try:
            content = torch.load(io.BytesIO(data[head:]), weights_only=True, map_location="cpu")
        except (RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(f"PyTorch {torch.__version__} cannot read it: {error}") from error
        points = tuple(Point(at, values, seconds) for at, values, seconds in content["points"])
        return Checkpoint(step, content["state"], points, content["seconds"], tuple(content["partial"]))


def _digest(path: Path, body: Any) -> bytes:
    """Of the content and of the name: a state under another's name is no more its own than one with a flipped bit."""
    return hashlib.sha256(path.name.encode() + b"\0" + hashlib.sha256(body).digest()).digest()


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
    try:
        _write(path, content.getbuffer())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _write(path: Path, *parts: Any) -> None:
    """Whole or not at all: aside, synced, moved, and the folder synced."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
