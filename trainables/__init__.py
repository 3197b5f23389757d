"""What is trained: `from trainables import Task` (supervised learning) or `Trainable` (anything else)."""

from trainables.task import Task, load_task
from trainables.trainable import Trainable

__all__ = ["Task", "Trainable", "load_task"]
