"""What may a person ask of a study, beyond what it was started with?

A wish is written down once and never changed; whoever drives the study follows the wishes that are in force, and asks for
them anew each time round.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from studies.errors import InputError
from studies.plan import Plan
from studies.value import LearningRate, Natural, Value, problem
from studies.words import besides, schedule

LONGEST = 10_000
"""Characters of a text."""


class Rate(Value):
    """Add a learning rate to the sweep of stage 1."""

    kind: Literal["rate"] = "rate"
    lr: LearningRate

    @property
    def stage(self) -> str:
        return "stage1"

    @property
    def words(self) -> str:
        return f"try lr {self.lr:g} in stage1"


class Extend(Value):
    """Follow a trial's path to a later end, from its checkpoint. The stage is decided as if it had not been.

    Of two for one trial the later counts. One that failed on its way is tried again by the next driver.
    """

    kind: Literal["extend"] = "extend"
    stage: str
    plan: Plan

    @property
    def words(self) -> str:
        return f"follow {_brief(self.plan)} of {self.stage} to step {self.plan.steps}"


class Overrule(Value):
    """This plan wins the stage, whatever the rule says; the later stages follow it. plan: None lets the rule decide again.

    How many steps it gets follows from its curve, as it does for a winner by the rule. A later one replaces an earlier one.
    """

    kind: Literal["overrule"] = "overrule"
    stage: str
    plan: Plan | None = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST)] = ""

    @model_validator(mode="after")
    def _explained(self) -> "Overrule":
        if self.plan and not self.reason:
            raise ValueError("reason: expected why this plan is to win, for those who read the decision")
        return self

    @property
    def words(self) -> str:
        return f"let {_brief(self.plan)} win {self.stage}" if self.plan else f"let the rule decide {self.stage} again"


class Note(Value):
    """A person's words on the study, on one of its stages, or on one of a stage's trials."""

    kind: Literal["note"] = "note"
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]
    stage: str | None = None
    number: Natural | None = None

    @property
    def words(self) -> str:
        """What it is on."""
        trial = f"trial {self.number} of " if self.number is not None else ""
        return f"note on {trial}{self.stage or 'the study'}"


Wish = Rate | Extend | Overrule | Note
WISH: TypeAdapter[Wish] = TypeAdapter(Annotated[Wish, Field(discriminator="kind")])


@dataclass(frozen=True)
class WishRecord:
    """A wish as it was written down.

    number: grows from wish to wish of a storage. who: "user@host". written: seconds since the epoch, UTC.
    past: it was about trials of the task as it was before an edit, so nothing comes of it any more.
    """

    number: int
    wish: Wish
    who: str
    written: float
    past: bool = False

    @property
    def text(self) -> str:
        """What the person said about it: the reason, or the note; "" if nothing."""
        return getattr(self.wish, "text", "") or getattr(self.wish, "reason", "")

    @property
    def line(self) -> str:
        """The same on one line, without what would move a terminal's cursor."""
        return " ".join("".join(letter if letter.isprintable() else " " for letter in self.text).split())


def read_wish(content: Any) -> Wish:
    """The wish that parsed JSON says.

    Raises: InputError naming the key, what was expected and what came.
    """
    try:
        return WISH.validate_python(content)
    except ValidationError as error:
        raise InputError(problem(error)) from None


def in_force(records: Iterable[WishRecord], stage: str) -> list[WishRecord]:
    """The wishes that a stage follows, oldest first: of overrulings the last one, unless it was taken back."""
    here = [record for record in records if record.wish.stage == stage and not record.past]
    overruled = [record for record in here if isinstance(record.wish, Overrule)][-1:]
    return [
        *(record for record in here if isinstance(record.wish, Rate | Extend)),
        *(record for record in overruled if record.wish.plan),
    ]


def _brief(plan: Plan) -> str:
    """Enough to tell it from the others of its stage."""
    told = [f"lr {plan.lr:g}", f"batch size {plan.batch_size}", f"momentum {plan.momentum:g}", schedule(plan), *besides(plan)]
    return ", ".join(part for part in told if part != "constant")
