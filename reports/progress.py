"""How is long work going? A live view on a terminal; everywhere else, and in the study's folder, a plain log."""

import logging
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reports import words
from studies.decision import Decision
from studies.errors import StorageError
from studies.plan import Plan
from studies.trial import Progress, State

log = logging.getLogger(__name__)

ROWS = 12
"""Of the trials, on a terminal: those that went on last."""

WINDOW = 60.0
"""Seconds over which the pace is measured."""

HEARTBEAT = 10.0
"""Seconds between two lines of the log while nothing ends."""

ROOMS = ("studies", "trainables", "tuner", "reports")


@dataclass
class _Row:
    """One trial as it goes on. goal: the step it is wanted to reach; last: the one it stands at."""

    plan: Plan
    goal: int
    last: int = 0
    values: dict[str, float] = field(default_factory=dict)
    state: State = State.RUNNING

    @property
    def open(self) -> bool:
        return self.state is State.RUNNING or (self.state is State.COMPLETE and self.last < self.goal)

    @property
    def words(self) -> str:
        """Its latest values: the losses first, then what else was measured."""
        shown = {name: value for name, value in self.values.items() if name not in ("lr", "update_ratio")}
        return ", ".join(f"{name} {words.number(value)}" for name, value in list(shown.items())[:4])


class ProgressView:
    """What a driver tells while it works. Inside `with view:` a terminal shows it live.

    Every call takes well below a millisecond: what is shown is computed when it is drawn, four times a second.
    """

    def __init__(self, console: Console):
        self._told: list[str] = []
        self._enter("", "")
        live = {"get_renderable": self._draw, "refresh_per_second": 4, "transient": True}
        self._live = Live(console=console, **live) if console.is_terminal else None

    def __enter__(self) -> "ProgressView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def stage(self, name: str, question: str) -> None:
        """A stage begins."""
        self._enter(name, question)
        log.info("%s: %s", name, question)

    def _enter(self, name: str, question: str) -> None:
        self._name, self._question = name, question
        self._rows: dict[str, _Row] = {}
        self._trained, self._pace = 0, deque[tuple[float, int]]()
        self._began = self._beat = time.monotonic()

    def planned(self, plans: Sequence[Plan]) -> None:
        """These are wanted now; those that prolong a trial move its goal."""
        for plan in plans:
            row = self._rows.setdefault(plan.line, _Row(plan, plan.steps))
            row.plan, row.goal = (plan, plan.steps) if plan.steps > row.goal else (row.plan, row.goal)
        log.info("%s: %s", self._name, words.count(len(plans), "trial") + " to be trained")

    def record(self, progress: Progress) -> None:
        """What a runner reports of one trial."""
        line = progress.plan.line
        row = self._rows.pop(line, None) or _Row(progress.plan, progress.plan.steps)
        self._rows[line] = row  # at the end: the order is that of the latest reports
        now = time.monotonic()
        if progress.points and progress.points[-1].step > row.last:
            point = progress.points[-1]
            self._trained += max(0, point.step - max(row.last, progress.begun))
            row.last, row.values = point.step, dict(point.values)
            self._pace.append((now, self._trained))
            while len(self._pace) > 2 and now - self._pace[0][0] > WINDOW:
                self._pace.popleft()
        if progress.ended is not None:
            row.state = progress.ended
            self._log_end(row, progress)
        if now - self._beat > HEARTBEAT:
            self._beat = now
            log.info("%s: %s", self._name, self._state())

    def _log_end(self, row: _Row, progress: Progress) -> None:
        name = words.plan(row.plan.upto(min(row.last, row.plan.steps)) if row.state is not State.COMPLETE else progress.plan)
        if row.state is State.COMPLETE:
            log.info("%s: %s: %s", self._name, name, row.words)
        else:
            why = words.last_line(progress.error)
            told = f"{self._name}: {row.state.value} at step {row.last}: {words.plan(row.plan)}: {why}"
            if row.state is State.FAILED:
                log.warning("%s; the study goes on without it\n%s", told, progress.error)
            else:
                log.info("%s", told)

    def decided(self, decision: Decision) -> None:
        """A stage has its decision."""
        told = " ".join(decision.words) or words.plan(decision.winner)
        self._told.append(f"{decision.stage}: {told}")
        log.info("%s decided: %s", decision.stage, told)
        for warning in decision.warnings:
            log.info("%s warns: %s", decision.stage, warning)

    def _sums(self) -> tuple[int, int, int, int]:
        """Trials that are where they are wanted, trials, steps done, steps wanted."""
        rows = list(self._rows.values())
        there = sum(not row.open for row in rows)
        done = sum(row.last for row in rows)
        return there, len(rows), done, done + sum(max(0, row.goal - row.last) for row in rows if row.open)

    def _state(self) -> str:
        there, trials, done, wanted = self._sums()
        return (
            f"{there:,} of {words.count(trials, 'trial')}, {done:,} of {words.count(wanted, 'step')}{self._speed(wanted - done)}"
        )

    def _speed(self, left: int) -> str:
        """The pace, and what is left at that pace (at most: trials that share a beginning train it once)."""
        if len(self._pace) < 2:
            return ""
        (before, then), (now, trained) = self._pace[0], self._pace[-1]
        pace = (trained - then) / (now - before) if now > before else 0.0
        if pace <= 0:
            return ""
        return f", {words.number(pace, 3)} steps/s, about {words.duration(left / pace)} left"

    def _draw(self) -> RenderableType:
        there, trials, done, wanted = self._sums()
        parts: list[RenderableType] = [Text(told, style="green") for told in self._told]
        if not self._name:
            return Group(*parts)
        head = Text.assemble((f"{self._name}  ", "bold"), self._question, style="", overflow="ellipsis")
        state = Text(f"{self._state()}, {words.duration(time.monotonic() - self._began)} so far", style="dim")
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for title, justify, ratio in (
            ("trial", "left", None),
            ("step", "right", None),
            ("of", "right", None),
            ("latest", "left", 1),
        ):
            table.add_column(title, justify=justify, ratio=ratio, no_wrap=True)
        for row in reversed(list(self._rows.values())[-ROWS:]):
            style = "" if row.open else "dim" if row.state is State.COMPLETE else "red"
            latest = row.words if row.state in (State.RUNNING, State.COMPLETE) else row.state.value
            table.add_row(words.brief(row.plan), f"{row.last:,}", f"{row.goal:,}", latest, style=style)
        return Group(*parts, head, ProgressBar(total=max(wanted, 1), completed=done, width=60), state, table)


def log_to(path: Path, console: Console) -> None:
    """Send what this program logs to a file, in ISO times; to the console as well: on a terminal, which shows the live
    view, warnings only. What foreign libraries log comes along from warnings upwards. Called again, it replaces itself.

    Raises: StorageError if the file cannot be written.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == __name__]:
        root.removeHandler(handler)
        handler.close()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        to_file = _FileHandler(path, console)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    to_console = _ConsoleHandler(console)
    dated = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    for handler, terminal in ((to_file, False), (to_console, console.is_terminal)):
        handler.setFormatter(logging.Formatter("%(message)s") if terminal else dated)
        handler.setLevel(logging.WARNING if terminal else logging.INFO)
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.partition(".")[0] in ROOMS)
        handler.set_name(__name__)
        root.addHandler(handler)
    root.setLevel(logging.INFO)


def troubles(path: Path) -> list[str]:
    """The warnings and errors in a study's log, oldest first, each with its time: their first lines."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.split(" ", 2)[1:2] in (["WARNING"], ["ERROR"], ["CRITICAL"])]


class _FileHandler(logging.FileHandler):
    """Writes to a file; when it cannot any more (a full disk), says so once on the console, and stops nothing."""

    def __init__(self, path: Path, console: Console):
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._console, self._told = console, False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            told = f"{self.baseFilename}: cannot be written: {sys.exc_info()[1]}; the run goes on without its log"
            self._console.print(Text(told, style="yellow"), soft_wrap=True)

    def close(self) -> None:
        with suppress(OSError):  # it would write what is left
            super().close()


class _ConsoleHandler(logging.Handler):
    """Prints above a live view rather than into it; never wraps, never reads markup."""

    def __init__(self, console: Console):
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            style = "yellow" if record.levelno >= logging.WARNING else ""
            self._console.print(Text(self.format(record), style=style), soft_wrap=True)
        except Exception:  # as every handler of logging: a broken pipe must not end the work
            self.handleError(record)
