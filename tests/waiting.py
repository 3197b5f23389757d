"""When does it happen? Asked again and again until it has, never guessed."""

import time
from collections.abc import Callable
from typing import Any


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    """What `holds` gives, once it is true.

    Raises: AssertionError if it is not by then.
    """
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found
