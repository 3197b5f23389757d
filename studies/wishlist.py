"""What has been wished of a study, and can it be? Wishes are written by anybody, at any time, without a lease."""

import getpass
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from studies.database import OPTUNA_STUDIES, OPTUNA_TRIALS, STAGES, STUDIES, TRIALS, WISHES, clock, storable
from studies.decision import FINISH
from studies.errors import InputError
from studies.lease import HOST, held
from studies.study import StudyState
from studies.trial import State
from studies.wish import WISH, Extend, Note, Overrule, Rate, Wish, WishRecord, in_force


def person(who: str = "") -> str:
    """The name to write down, "user@host": of who is at this process, if not given; printable, and short enough."""
    user = "somebody"
    with suppress(OSError, KeyError):  # no name in the user database
        user = getpass.getuser()
    return "".join(letter for letter in who or f"{user}@{HOST}" if letter.isprintable())[:255]


def append(connection: sa.Connection, name: str, wish: Wish, who: str) -> WishRecord:
    """Write a wish of a study down; a study that nobody runs, but that has work by it, is STOPPED then.

    Raises: InputError if it cannot be fulfilled.
    """
    now = clock(connection)
    mine = STUDIES.c.name == name
    row = connection.execute(sa.select(STUDIES, now.label("now")).where(mine).with_for_update()).one()
    fingerprint = _check(connection, name, wish)
    values = {"study": name, "stage": wish.stage or "", "fingerprint": fingerprint, "who": person(who)}
    written = {**values, "written": row.now, "wish": wish.model_dump_json()}
    number = connection.execute(sa.insert(WISHES).values(**written)).inserted_primary_key[0]
    changes: dict[str, Any] = {"updated": now}
    if not isinstance(wish, Note) and not held(row):
        changes["reason"] = storable(reminder(name, wish.words))
        if row.state != StudyState.RUNNING:  # else its driver is silent: it may come back, and would find it
            changes["state"] = StudyState.STOPPED
    connection.execute(sa.update(STUDIES).where(mine).values(**changes))
    return WishRecord(number, wish, values["who"], row.now)


def read(connection: sa.Connection, name: str) -> list[WishRecord]:
    """The wishes of a study, oldest first."""
    here = sa.and_(STAGES.c.study == WISHES.c.study, STAGES.c.stage == WISHES.c.stage)
    past = STAGES.c.fingerprint != WISHES.c.fingerprint  # null, so false, for a wish about no trials
    written = sa.select(WISHES, past.label("past")).outerjoin(STAGES, here)
    rows = connection.execute(written.where(WISHES.c.study == name).order_by(WISHES.c.id))
    return [WishRecord(row.id, WISH.validate_json(row.wish), row.who, row.written, bool(row.past)) for row in rows]


def unheeded(connection: sa.Connection, name: str, heeded: int) -> str:
    """The work that has been asked for since the wish of this number, in words; "" if none."""
    later = (record.wish for record in read(connection, name) if record.number > heeded)
    return "; ".join(wish.words for wish in later if not isinstance(wish, Note))


def reminder(name: str, asked: str) -> str:
    """Why a study is STOPPED that has something left to do."""
    return f"asked to {asked}; take it up with: tune resume {name}"


def _check(connection: sa.Connection, name: str, wish: Wish) -> str | None:
    """The fingerprint of the task whose trials the wish is about; None if it is about none.

    Raises: InputError.
    """
    if isinstance(wish, Overrule) and wish.plan and wish.stage == FINISH:
        raise InputError(f"overrule: {FINISH} chooses no winner; expected another stage; {_there(connection, name)}")
    if wish.stage is None or isinstance(wish, Rate):
        if isinstance(wish, Note) and wish.number is not None:
            raise InputError(f"note: trial {wish.number} of which stage? {_there(connection, name)}")
        return None
    here = sa.and_(STAGES.c.study == name, STAGES.c.stage == wish.stage)
    fingerprint = connection.scalar(sa.select(STAGES.c.fingerprint).where(here))
    if fingerprint is None:
        raise InputError(f"{wish.kind}: study {name!r} has no stage {wish.stage!r}; {_there(connection, name)}")
    rows = _rows(name, wish.stage)
    if isinstance(wish, Note):
        if wish.number is not None and connection.execute(rows.where(OPTUNA_TRIALS.c.number == wish.number)).first() is None:
            raise InputError(f"note: {wish.stage} of study {name!r} has no trial {wish.number}")
        return None
    if wish.plan is None:
        if not any(isinstance(record.wish, Overrule) for record in in_force(read(connection, name), wish.stage)):
            raise InputError(f"overrule: {wish.stage} of study {name!r} is decided by the rule: there is nothing to take back")
        return fingerprint
    mine = sa.and_(TRIALS.c.line == wish.plan.line, TRIALS.c.fingerprint == fingerprint)
    row = connection.execute(rows.where(mine).order_by(OPTUNA_TRIALS.c.number.desc())).first()
    if row is None:
        raise InputError(f"{wish.kind}: {wish.stage} of study {name!r} has no trial of this plan")
    if row.state == State.DIVERGED or (row.state == State.FAILED and isinstance(wish, Overrule)):
        raise InputError(f"{wish.kind}: trial {row.number} of {wish.stage} {row.state}; expected one that can go on")
    if isinstance(wish, Extend) and wish.plan.steps <= row.last:
        raise InputError(
            f"extend: trial {row.number} of {wish.stage} has come to step {row.last} already; expected a later end, got"
            f" {wish.plan.steps}"
        )
    return fingerprint


def _rows(name: str, stage: str) -> sa.Select:
    both = sa.and_(OPTUNA_TRIALS.c.trial_id == TRIALS.c.trial_id, OPTUNA_TRIALS.c.study_id == TRIALS.c.study_id)
    study = sa.and_(OPTUNA_STUDIES.c.study_id == TRIALS.c.study_id, OPTUNA_STUDIES.c.study_name == f"{name}/{stage}")
    return sa.select(TRIALS.c.state, TRIALS.c.last, OPTUNA_TRIALS.c.number).join(OPTUNA_TRIALS, both).join(OPTUNA_STUDIES, study)


def _there(connection: sa.Connection, name: str) -> str:
    stages = connection.scalars(sa.select(STAGES.c.stage).where(STAGES.c.study == name).order_by(STAGES.c.id)).all()
    return f"there are: {', '.join(stages)}" if stages else "none has been begun yet"
