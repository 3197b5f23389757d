"""How long will it take? As long as what is left takes at the pace that was seen."""

from collections import deque

OVER, LEAST = 180.0, 5.0
"""Seconds: how far back the pace is measured, and from how far on there is one to speak of."""


class Pace:
    """Steps done of each study, as they were seen a while ago and now: whatever trains them, and however many at a time."""

    def __init__(self):
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def left(self, study: str, now: float, done: int, wanted: int) -> float | None:
        """Seconds until so many steps are done; None while nothing is known of the pace, or nothing moves. now: seconds."""
        seen = self._seen.setdefault(study, deque())
        seen.append((now, done))
        while now - seen[0][0] > OVER:
            seen.popleft()
        (since, before), *_ = seen
        if now - since < LEAST or done <= before:
            return None
        return (wanted - done) * (now - since) / (done - before)
