"""How do many watchers cost what one costs? An answer is kept while it holds, and found anew for a fraction of the time only."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any


class Recent:
    """Remembers answers.

    seconds: how long an answer is kept even though it may have changed; share: how much of the time may go into finding
    one, in (0, 1): what takes long to find is found less often.
    """

    def __init__(self, seconds: float = 1.0, share: float = 0.2, most: int = 512):
        self._seconds, self._share, self._most = seconds, share, most
        self._lock, self._entries = threading.Lock(), dict[Hashable, _Entry]()

    def get(self, key: Hashable, state: Any, find: Callable[[], Any], settled: bool = False) -> Any:
        """The answer for this state, or for one a short while ago; who comes while another finds it gets the last one.

        settled: no other state is to come, so wait for the answer for this one.
        """
        with self._lock:
            if key not in self._entries and len(self._entries) >= self._most:
                self._entries.pop(next(iter(self._entries)))
            entry = self._entries.setdefault(key, _Entry())

        def due() -> bool:
            return entry.state != state and (settled or entry.until < time.monotonic())

        if due() and entry.lock.acquire(blocking=settled or entry.state is None):
            try:
                if due():
                    entry.found(state, find, self._seconds, self._share)
            finally:
                entry.lock.release()
        return entry.answer


class _Entry:
    """state: that the answer was found for; None before the first. until: when another may be looked for."""

    def __init__(self):
        self.lock, self.state, self.until, self.answer = threading.Lock(), None, -1.0, None

    def found(self, state: Any, find: Callable[[], Any], seconds: float, share: float) -> None:
        begun = time.monotonic()
        self.answer = find()
        now = time.monotonic()
        self.state, self.until = state, now + max(seconds, (now - begun) * (1 / share - 1))
