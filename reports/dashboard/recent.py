"""How do many watchers cost what one costs? An answer is kept while it holds, and found anew for a fraction of the time only."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

log = logging.getLogger(__name__)

LONG = 0.1
"""Seconds that nobody who has an answer already need wait for the next one."""


class Recent:
    """Remembers answers.

    seconds: how long an answer is kept even though it may have changed; share: how much of the time may go into finding
    one, in (0, 1): what takes long to find is found less often. most: answers; who was not asked for longest is forgotten.
    """

    def __init__(self, seconds: float = 1.0, share: float = 0.2, most: int = 1024):
        self._seconds, self._share, self._most = seconds, share, most
        self._lock, self._entries = threading.Lock(), dict[Hashable, _Entry]()
        self._background = ThreadPoolExecutor(1, "background")

    def get(self, key: Hashable, state: Any, find: Callable[[], Any], settled: bool = False) -> Any:
        """The answer for this state, or for one a short while ago; who comes while another finds it gets the last one, and so
        does everybody where it is known to take long.

        settled: no other state is to come, so wait for the answer for this one.
        """
        entry = self._entry(key)
        if entry.took > LONG and not settled:
            return self.peek(key, state, find)
        if entry.due(state, settled) and entry.lock.acquire(blocking=settled or entry.state is None):
            try:
                if entry.due(state, settled):
                    self._find(entry, state, find)
            finally:
                entry.lock.release()
        return entry.answer

    def peek(self, key: Hashable, state: Any, find: Callable[[], Any], settled: bool = False) -> Any:
        """What is known now, None at first; the answer for this state is found meanwhile, one of all keys after the other."""
        entry = self._entry(key)
        if entry.due(state, settled) and entry.lock.acquire(blocking=False):
            self._background.submit(self._find_aside, entry, state, find)
        return entry.answer

    def _entry(self, key: Hashable) -> "_Entry":
        with self._lock:
            entry = self._entries[key] = self._entries.pop(key, None) or _Entry()  # the latest is the last
            if len(self._entries) > self._most:
                del self._entries[next(iter(self._entries))]
            return entry

    def _find_aside(self, entry: "_Entry", state: Any, find: Callable[[], Any]) -> None:
        try:
            self._find(entry, state, find)
        except Exception as error:  # nobody waits for it; the next one who asks has it tried again
            log.warning("%s: %s", type(error).__name__, error)
        finally:
            entry.lock.release()

    def _find(self, entry: "_Entry", state: Any, find: Callable[[], Any]) -> None:
        begun = time.monotonic()
        entry.answer = find()
        now = time.monotonic()
        entry.took = now - begun
        entry.state, entry.until = state, now + max(self._seconds, entry.took * (1 / self._share - 1))


class _Entry:
    """state: that the answer was found for; None before the first. took: seconds. until: when another may be looked for."""

    def __init__(self):
        self.lock, self.state, self.took, self.until, self.answer = threading.Lock(), None, 0.0, -1.0, None

    def due(self, state: Any, settled: bool) -> bool:
        return self.state != state and (settled or self.until < time.monotonic())
