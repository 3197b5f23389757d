"""What is trained: `from trainables import Task` (supervised learning) or `Trainable` (anything else)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.task import Task, load_task
    from trainables.trainable import Trainable

__all__ = ["Task", "Trainable", "load_task"]


def __getattr__(name: str) -> Any:
    """At their first use: they import torch, and Ray should have begun to start by then."""
    if name in __all__:
        from trainables import task

        return getattr(task, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
