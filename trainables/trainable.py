"""What can be trained and tuned? The two seams between the method and a person's task."""

from collections.abc import Mapping
from typing import Any, Protocol

from studies.plan import Plan
from studies.recipe import Recipe
from studies.trial import Metric


class Trainable(Protocol):
    """One training under way, standing at some step of its plan.

    It is a pure function of (plan, step): after the same steps, or restored to the same state, it behaves the same.
    Subclass it for unusual training (two losses, reinforcement learning, another framework); the class attributes
    `metric` and `mode` say what is to be optimized, and a constructor gets whichever of the arguments plan, batch_size,
    momentum, optimizer, seed and device it names.
    """

    def train(self, steps: int, lr: float) -> float:
        """Do so many optimizer updates at this rate; their mean loss."""

    def evaluate(self) -> Mapping[str, float]:
        """The metrics now, `metric` among them; the training is not disturbed."""

    def state(self) -> Mapping[str, Any]:
        """All that training depends on from here on: tensors, numbers, strings, in dicts, lists and tuples."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there, as if never interrupted."""


class Workload(Protocol):
    """A task as the method sees it: Task, a wrapped Trainable class and a replayed table are all workloads.

    name: the default name of its study. target: what decides. train_examples: in one epoch, valid_examples: in
    one evaluation; 0 if unknown. recipe: what is switched on where a person says nothing else.
    fingerprint: hash of what determines its states besides the plan, so that an edited task does not reuse old ones.
    """

    name: str
    fingerprint: str

    @property
    def recipe(self) -> Recipe: ...

    @property
    def target(self) -> Metric: ...

    @property
    def train_examples(self) -> int: ...

    @property
    def valid_examples(self) -> int: ...

    def trainable(self, plan: Plan, device: str) -> Trainable:
        """A fresh training, at step 0 of the plan. Device: "cpu", "cuda", "cuda:1"...

        Raises: InputError if the plan cannot be carried out (an unknown optimizer, say), naming the valid choices.
        """
