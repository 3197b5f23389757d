"""Who writes the report of a study while it runs? A process beside the driver's: drawing takes longer than many a stage."""

import logging
import multiprocessing
import os
import signal
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from studies.ledger import Store
from studies.loading import loading

PATIENCE_SECONDS = 10.0
"""On a machine that is busy with other things the process gets nowhere; so long is it waited for at the end."""


class Reporter:
    """Has the report written whenever it is asked to, by a process that takes what the training leaves of the machine, and
    that draws no stage twice. The process ends with this one, however that comes."""

    def __init__(self, store: Store, study: str, folder: Path):
        self._store, self._study, self._folder = store, study, folder
        self._process: multiprocessing.process.BaseProcess | None = None
        self._orders: Connection | None = None
        self._asked = 0

    def start(self) -> None:
        """Have the process, if there is none: for who has something else to do while it gets ready."""
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        orders, theirs = context.Pipe()
        given = (theirs, self._store.url, self._study, self._folder)
        process = context.Process(target=_write, args=given, name="reporter", daemon=True)
        resource_tracker.ensure_running()  # its start would let the signal through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for this process, not for that one
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._process, self._orders = process, orders

    def ask(self) -> None:
        """Have it written as the study stands, or a little later; nothing happens without the process."""
        if self._orders is not None:
            with suppress(OSError):  # it has died, as `finish` will see
                self._orders.send(True)
                self._asked += 1

    def finish(self) -> Path:
        """The page, as the study stands now; written here if the process cannot. Raises: what report_study raises."""
        self.ask()
        if page := self._answer():
            return page
        with loading():
            from reports.page import report_study  # with pandas and matplotlib, for which training does not wait
        return report_study(self._store, self._study, self._folder)

    def _answer(self) -> Path | None:
        """The page that was written when it was asked for last; None if there is none."""
        until, page = time.monotonic() + PATIENCE_SECONDS, None
        with suppress(OSError, EOFError):
            while self._asked and self._orders.poll(until - time.monotonic()):
                page, self._asked = self._orders.recv(), self._asked - 1
        return None if self._asked else page

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # a report that it was about to write is not missed
            self._process.join()
            self._process = self._orders = None


def _write(orders: Connection, storage: str, study: str, folder: Path) -> None:
    """Write the report and answer with its page, or with None if it could not be, until nobody can ask any more."""
    os.nice(19)
    logging.disable()  # whom it could tell is busy; what is wrong is said by who writes it instead
    with loading():
        from reports.page import report_study
    store, drawn = Store(storage), {}
    with suppress(EOFError):
        while orders.recv():
            page = None
            with suppress(Exception):
                page = report_study(store, study, folder, drawn)
            with suppress(OSError):  # whoever has asked may be gone, what was asked is still to be done
                orders.send(page)
