"""What determines a trial? A plan: a path of segments, and everything else that training depends on.

A trial is a path. Training is a pure function of (plan, step), so a state after n steps belongs to whoever passes
there: it is filed under the id of `plan.upto(n)`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from studies.finish import Fold, Pruned, Views
from studies.recipe import Recipe
from studies.schedule import Constant, Schedule
from studies.value import Count, Natural, Number, Positive, Value


class Segment(Value):
    """A stretch of training: so many steps at a rate that is a pure function of the step within it.

    optimizer: of this stretch, by name, which begins afresh where another one's stretch ends; None: the plan's. So Adam may
    descend first and SGD settle later (text 001).
    """

    steps: Count
    rate: Schedule
    optimizer: str | None = None

    @model_serializer(mode="wrap")
    def _in_words(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if (name, value) != ("optimizer", None)}

    def lasting(self, steps: int) -> "Segment":
        """The same, so many steps long."""
        return self.model_copy(update={"steps": steps})


class Ensemble(Value):
    """Evaluated on the mean of what the ends of several trainings say. The plan's own training is as without."""

    kind: Literal["ensemble"] = "ensemble"
    members: Annotated[tuple["Plan", ...], Field(min_length=1)]

    @property
    def words(self) -> str:
        return f"ensemble of {len(self.members)}"


class Distilled(Value):
    """The task's smaller model in place of its model, taught by the mean of what the teachers say as well as by the labels
    (Hinton et al. 2015, arXiv:1503.02531); without teachers, by the labels alone.

    temperature: by which what is said is softened; weight: of the teachers' share of the loss.
    """

    kind: Literal["distilled"] = "distilled"
    teachers: tuple["Plan", ...] = ()
    temperature: Positive = 2.0
    weight: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.5

    @property
    def words(self) -> str:
        return f"the student of {len(self.teachers)}" if self.teachers else "the student alone"


Finish = Annotated[Fold | Views | Ensemble | Pruned | Distilled, Field(discriminator="kind")]


class Plan(Value):
    """Everything that determines a trial; equal plans are the same trial.

    segments: the path, in order; () is the fresh initialisation. Constant neighbours at one rate are joined.
    batch_size: examples per step.
    momentum: of SGD (the first beta of Adam's kin), in [0, 1).
    optimizer: the name that `trainables` knows it by.
    recipe: what else is done. finish: what is done at last.
    seed: of the initialisation, the data's order, dropout and augmentation.
    """

    segments: tuple[Segment, ...] = ()
    batch_size: Count = 64
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    optimizer: str = "sgd"
    recipe: Recipe = Recipe()
    finish: Finish | None = None
    seed: Natural = 0

    @field_validator("segments")
    @classmethod
    def _join(cls, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        joined: list[Segment] = []
        for segment in segments:
            if joined and isinstance(segment.rate, Constant) and joined[-1].lasting(segment.steps) == segment:
                segment = segment.lasting(joined.pop().steps + segment.steps)
            joined.append(segment)
        return tuple(joined)

    @cached_property
    def steps(self) -> int:
        """Length of the path, in optimizer updates."""
        return sum(segment.steps for segment in self.segments)

    @property
    def examples(self) -> int:
        """Training examples that the path consumes."""
        return self.steps * self.batch_size

    def every(self, examples: float) -> int:
        """Steps from one evaluation to the next, if there is to be one about every so many training examples."""
        return max(1, round(examples / self.batch_size))

    def early(self, examples: float, looks: int) -> tuple[int, ...]:
        """Steps of so many further evaluations before the first of these (as far as there are steps): halfway there, halfway to
        that, and so on, as curves bend early."""
        every = self.every(examples)
        return tuple(every >> halvings for halvings in range(looks, 0, -1) if every >> halvings)

    @property
    def lr(self) -> float:
        """The rate that the plan is named after: the highest that its segments start from or warm up to; 0 if it has none."""
        return max((segment.rate.lr for segment in self.segments), default=0.0)

    @cached_property
    def id(self) -> str:
        """16 hex digits of a hash of the content. Fields at their defaults are left out, so a new field keeps old ids; in the
        recipe and in the finish, too, whose plans stand there by their ids."""
        finish = {"kind": self.finish.kind, **_changed(self.finish)} if self.finish else {}
        content = _changed(self) | self.model_dump(include={"segments"}) | {"finish": finish}
        content |= {"recipe": self.recipe.model_dump(exclude_defaults=True)}
        content = {name: value for name, value in content.items() if value != {}}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=lambda plan: plan.id).encode()).hexdigest()[:16]

    @cached_property
    def line(self) -> str:
        """Id of the path regardless of its end: plans on one line are one trial, going on."""
        if not self.segments:
            return self.id
        last = self.segments[-1].lasting(1)
        return self.but(segments=(*self.segments[:-1], last)).id  # a copy would bring the id that is cached here along

    def upto(self, n: int) -> "Plan":
        """The same plan, ended after n steps.

        Raises: ValueError if n is below 0 or beyond the plan's end.
        """
        if not 0 <= n <= self.steps:
            raise ValueError(f"a plan of {self.steps} steps has no step {n}")
        segments, finish = [], self.finish if n > self._plain else None
        for segment in self.segments:
            if n <= 0:
                break
            segments.append(segment.lasting(min(n, segment.steps)))
            n -= segment.steps
        return self.but(segments=tuple(segments), finish=finish)

    @property
    def _plain(self) -> int:
        """The last step at which nothing of the finish has been done to the training."""
        return self.finish.at if isinstance(self.finish, Pruned) else -1

    @property
    def training(self) -> "Plan":
        """What is trained, however it is evaluated at its end: the plan that its states belong to."""
        return self.but(finish=None) if isinstance(self.finish, LOOKS) else self

    def then(self, segment: Segment) -> "Plan":
        """The same plan, continued."""
        return self.but(segments=(*self.segments, segment))

    def to(self, n: int) -> "Plan":
        """The same plan, cut or (its last segment going on) prolonged to n steps in all."""
        if n <= self.steps:
            return self.upto(n)
        last = self.segments[-1]
        return self.but(segments=(*self.segments[:-1], last.lasting(last.steps + n - self.steps)))

    def but(self, **changes: Any) -> "Plan":
        """The same plan with other values, checked."""
        return Plan(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    def at(self, step: int) -> float:
        """The learning rate of update number `step` (from 0)."""
        for segment in self.segments:
            if step < segment.steps:
                return segment.rate.at(step)
            step -= segment.steps
        raise ValueError(f"step is beyond the plan's end, by {step + 1}")

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Those of the path, in order, once for each stretch; of a path without steps, the plan's."""
        names = [segment.optimizer or self.optimizer for segment in self.segments] or [self.optimizer]
        return tuple(name for name, _ in groupby(names))

    def optimizer_at(self, step: int) -> str:
        """The optimizer of update number `step` (from 0); beyond the plan's end, the last one."""
        name = self.optimizer
        for segment in self.segments:
            name = segment.optimizer or self.optimizer
            if step < segment.steps:
                break
            step -= segment.steps
        return name

    def stretches(self, begin: int, end: int) -> Iterator[tuple[int, float]]:
        """The steps begin..end-1 as (number of steps, their one learning rate), in order."""
        first = 0
        for segment in self.segments:
            step, stop = max(begin, first) - first, min(end - first, segment.steps)
            while step < stop:
                until = int(min(segment.rate.until(step), stop))
                yield until - step, segment.rate.at(step)
                step = until
            first += segment.steps

    def common(self, other: "Plan") -> int:
        """How many steps of training the two paths have in common, from the start."""
        if self.training.upto(0) != other.training.upto(0):
            return 0
        steps = 0
        for mine, theirs in zip(self.segments, other.segments):
            if mine.lasting(1) != theirs.lasting(1):
                break
            steps += min(mine.steps, theirs.steps)
            if mine.steps != theirs.steps:
                break
        if self.training.finish == other.training.finish:
            return steps
        return min([steps, *(plan._plain for plan in (self, other) if plan._plain >= 0)])

    def describe(self) -> dict[str, Any]:
        """The plan in the field's terms, as `--json` and best.yaml show it; `Plan.read` takes it back."""
        content = self.model_dump(mode="json")
        schedule = [{"steps": s.pop("steps"), **s.pop("rate"), **s} for s in content.pop("segments")]
        if not self.recipe:
            del content["recipe"]
        if not self.finish:
            del content["finish"]
        return {"lr": self.lr, "step_nums": self.steps, **content, "schedule": schedule}

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Plan":
        """The plan that `describe` wrote; lr and step_nums, if given, must agree with the schedule.

        Raises: ValueError (pydantic's ValidationError is one) naming the key.
        """
        content = dict(content)
        schedule = content.pop("schedule", None)
        if not isinstance(schedule, list) or not all(isinstance(part, dict) for part in schedule):
            raise ValueError("schedule: expected a list of segments, each with steps, shape and lr")
        derived = {name: content.pop(name) for name in ("lr", "step_nums") if name in content}
        own = Segment.model_fields.keys() - {"rate"}
        segments = [
            {"steps": None, **{name: value for name, value in part.items() if name in own}}
            | {"rate": {name: value for name, value in part.items() if name not in own}}
            for part in schedule
        ]
        plan = cls(segments=segments, **content)
        for name, value in (("lr", plan.lr), ("step_nums", plan.steps)):
            if derived.get(name, value) != value:
                raise ValueError(f"{name}: the schedule says {value}, got {derived[name]}")
        return plan


LOOKS = (Views, Ensemble)
"""Finishes that only look at what has been trained."""

Ensemble.model_rebuild()
Distilled.model_rebuild()


def _changed(value: Value) -> dict[str, Any]:
    """Its fields, but for those at their defaults."""
    fields = ((name, getattr(value, name), field.default) for name, field in type(value).model_fields.items())
    return {name: content for name, content, default in fields if content != default}


def constant(base: Plan, lr: float, steps: int) -> Plan:
    """The base's batch size, momentum, optimizer, recipe and seed, at one rate for so many steps."""
    return base.but(segments=(Segment(steps=steps, rate=Constant(lr=float(lr))),))


def distinct_steps(plans: Iterable[Plan]) -> int:
    """Steps that training all of the plans takes when shared beginnings are trained once: the size of their tree."""
    total, seen = 0, defaultdict[str, list[Plan]](list)
    for plan in sorted(plans, key=lambda plan: (plan.steps, plan.id), reverse=True):
        family = seen[plan.training.upto(0).id]  # others have nothing in common
        total += plan.steps - max((plan.common(other) for other in family), default=0)
        family.append(plan)
    return total
