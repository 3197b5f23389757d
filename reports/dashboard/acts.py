"""What may a person do on a page? Each act as the body that it takes and what it does; `tune` has a command for each.

Whatever is asked for is written down beside the study, for its driver to find; a study that nobody drives is resumed on
request. What a body may hold is checked before anything is done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reports.dashboard.driver import Drivers
from studies.errors import BusyError, InputError
from studies.ledger import Store
from studies.study import StudyState
from studies.value import LARGEST, Count, LearningRate, Natural, Value, problem
from studies.wish import LONGEST, Extend, Note, Overrule, Rate, Wish

Text = Annotated[str, Field(max_length=LONGEST)]
Tick = Annotated[bool, Field(strict=True)]
Told = dict[str, Any]


class Number(IntegerConvertor):
    """Of a trial, in an address: no longer than the largest is."""

    regex = f"[0-9]{{1,{len(str(LARGEST))}}}"


register_url_convertor("number", Number())


class Nothing(Value):
    """{}: all that it takes is known."""


class NewRate(Value):
    """lr: to be added to the sweep of stage 1; resume: start the driver, if nobody drives the study."""

    lr: LearningRate
    resume: Tick = False


class Longer(Value):
    """steps: to which the trial is to be followed, from its start."""

    steps: Count
    resume: Tick = False


class Winner(Value):
    """number: of the trial that is to win its stage, whatever the rule says; None lets the rule decide again."""

    number: Natural | None
    reason: Text = ""
    resume: Tick = False


class Words(Value):
    """text: what there is to say; of a stage, or of one of its trials, if they are given."""

    text: Text
    stage: str | None = None
    number: Natural | None = None


@dataclass(frozen=True)
class Act:
    """path: below a study's address; body: what it takes; does: given the body and the names in the path, what it tells."""

    path: str
    body: type[Value]
    does: Callable[..., Told]

    async def post(self, request: Request) -> Response:
        """The act on a study that there is, or 400 with what is wrong."""
        if request.path_params.get("number", 0) > LARGEST:
            raise HTTPException(404)
        try:
            body = self.body.model_validate_json(await request.body())
        except ValidationError as error:
            raise HTTPException(400, f"Expected a JSON object: {problem(error)}") from None
        return JSONResponse(await run_in_threadpool(self.does, body, **request.path_params), 202)


class Acts:
    """Everything that changes something.

    Raises (all): InputError if there is no such study; HTTPException if it cannot be done to it; BusyError, StorageError.
    """

    def __init__(self, store: Store, drivers: Drivers):
        self._store, self._drivers = store, drivers

    def all(self) -> list[Act]:
        return [
            Act("/resume", Nothing, self.resume),
            Act("/stop", Nothing, self.stop),
            Act("/rates", NewRate, self.add),
            Act("/trials/{stage}/{number:number}/extend", Longer, self.extend),
            Act("/stages/{stage}/overrule", Winner, self.overrule),
            Act("/notes", Words, self.note),
        ]

    def resume(self, body: Nothing, name: str) -> Told:
        """Start the study's driver, detached: it goes on where the study stopped."""
        launch = self._drivers.resume(name)
        return {"told": f"Started: process {launch.process.pid}.", "pid": launch.process.pid}

    def stop(self, body: Nothing, name: str) -> Told:
        """Ask the study's driver to finish its steps, save and leave."""
        self._store.record(name)
        with refusals():
            owner = self._store.stop(name).owner
        return {"told": f"Asked {owner} to finish its steps, save and leave."}

    def add(self, body: NewRate, name: str) -> Told:
        """Add a learning rate to the sweep of stage 1."""
        return self._ask(name, lambda: Rate(lr=body.lr), body.resume)

    def extend(self, body: Longer, name: str, stage: str, number: int) -> Told:
        """Follow a trial to a later end, from where it stands."""

        def wish() -> Wish:
            plan = self._store.trial(name, stage, number, points=1).plan
            if body.steps > plan.steps:
                return Extend(stage=stage, plan=plan.to(body.steps))
            ends = f"trial {number} of {stage} ends at step {plan.steps}"
            raise InputError(f"steps: {ends}; expected a later end, got {body.steps}")

        return self._ask(name, wish, body.resume)

    def overrule(self, body: Winner, name: str, stage: str) -> Told:
        """Let another trial win a stage, which the later stages follow; or let the rule decide again."""

        def wish() -> Wish:
            if body.number is None:
                return Overrule(stage=stage)
            if not body.reason.strip():
                raise InputError("reason: expected why this trial is to win, for those who read the decision")
            return Overrule(stage=stage, plan=self._store.trial(name, stage, body.number, points=1).plan, reason=body.reason)

        return self._ask(name, wish, body.resume)

    def note(self, body: Words, name: str) -> Told:
        """Write a note on a study, a stage or a trial."""

        def wish() -> Wish:
            if not body.text.strip():
                raise InputError("text: expected what there is to say")
            return Note(**body.model_dump())

        return self._ask(name, wish, False)

    def _ask(self, name: str, make: Callable[[], Wish], resume: bool) -> Told:
        """Write a wish down, and say who takes it up."""
        self._store.record(name)
        with refusals():
            wish = make()
            self._store.wish(name, wish)
        if isinstance(wish, Note):
            return {"told": "Written down."}
        if (record := self._store.record(name)).state is StudyState.RUNNING:
            return {"told": f"Written down: {wish.words}. Its driver, {record.owner}, takes it up by itself."}
        if not resume:
            return {"told": f"Written down: {wish.words}. Now resume the study."}
        try:
            told = self.resume(Nothing(), name)["told"]
        except BusyError:  # somebody else was quicker
            told = "It is being resumed already, and its driver takes it up by itself."
        return {"told": f"Written down: {wish.words}. {told}"}


@contextmanager
def refusals() -> Iterator[None]:
    """What cannot be asked for is the request's mistake."""
    try:
        yield
    except InputError as error:
        raise HTTPException(400, str(error)) from None
