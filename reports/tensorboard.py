"""How do the curves get into TensorBoard? One run a trial, every step once, however often the driver was killed."""

import os
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from reports import words
from studies.errors import StorageError
from studies.failpoints import failpoint
from studies.plan import Plan
from studies.trial import Point

LENGTH = struct.Struct("<QI")
CHECK = struct.Struct("<I")

LONGEST = 255
"""Characters of a folder's name; file systems take no more, and a recipe with many parts is longer."""


class TensorboardLog:
    """Event files under a folder: STAGE/TRIAL/events.out.tfevents..., which `tensorboard --logdir FOLDER` shows.

    What is written to the files is the only memory: a restarted driver reads from them where each trial stands. A torn
    record at a file's end, which a kill leaves, ends that file; every driver writes files of its own.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._last: dict[Path, int] = {}
        self._file = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"

    def record(self, stage: str, plan: Plan, points: Iterable[Point]) -> None:
        """Write the points whose steps are new, every value that was measured.

        Raises: StorageError.
        """
        run = self._folder / stage / run_name(plan)
        try:
            last = self._last[run] if run in self._last else last_step(run)
            new = [point for point in points if point.step > last]
            if new:
                self._append(run, [_event(point) for point in new])
            self._last[run] = new[-1].step if new else last
        except OSError as error:
            raise StorageError(f"{run}: cannot be written: {error.strerror or error}") from error

    def _append(self, run: Path, events: list[Event]) -> None:
        run.mkdir(parents=True, exist_ok=True)
        path = run / self._file
        if not path.exists():
            events = [Event(wall_time=time.time(), file_version="brain.Event:2"), *events]
        with path.open("ab") as file:
            file.write(b"".join(_framed(event.SerializeToString()) for event in events))
        failpoint("events.written")


def run_name(plan: Plan) -> str:
    """A folder's name: readable, and the same for a trial that goes on. Plans that differ have different ones."""
    told, apart = re.sub(r"[^A-Za-z0-9.]+", "-", words.brief(plan)), f"-{plan.line[:6]}"
    return told[: LONGEST - len(apart)] + apart


def _event(point: Point) -> Event:
    event = Event(wall_time=time.time(), step=point.step)
    for name, value in point.values.items():
        event.summary.value.add(tag=name, simple_value=value)
    return event


def _framed(data: bytes) -> bytes:
    """TFRecord: length, its checksum, the data, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + CHECK.pack(masked_crc32c(length)) + data + CHECK.pack(masked_crc32c(data))


def last_step(run: Path) -> int:
    """The last step that the event files of a run hold; 0 if there are none."""
    steps = (event.step for path in run.glob("events.out.tfevents.*") for event in events(path))
    return max(steps, default=0)


def events(path: Path) -> Iterator[Event]:
    """The events of a file, up to where it is torn."""
    data, at = path.read_bytes(), 0
    while at + LENGTH.size <= len(data):
        length, _ = LENGTH.unpack_from(data, at)
        body = data[at + LENGTH.size : at + LENGTH.size + length]
        at += LENGTH.size + length + CHECK.size
        if at > len(data) or CHECK.unpack_from(data, at - CHECK.size)[0] != masked_crc32c(body):
            return
        yield Event.FromString(body)
