"""How are large libraries imported? Without looking for garbage."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Imports within it take three quarters of their time, as they make no garbage to be looked for. Nor is any looked for among
    what they have made, ever: at the interpreter's end, after PyTorch, that would take another second."""
    on, there = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > there:
            gc.freeze()
        if on:
            gc.enable()
