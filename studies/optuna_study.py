"""How is a stage kept in Optuna? One study a stage, one row a trial, and what Optuna has no room for beside it.

A row is created in one write, stays RUNNING while its plan may still be prolonged, and is closed by the stage's decision.
Params are what never changes in a row; its end, which does, is among the user attributes as `step_nums`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from pydantic_core import from_json, to_json

from studies import wishlist
from studies.database import (
    DECISIONS,
    OPTUNA_ATTRIBUTES,
    OPTUNA_PARAMS,
    OPTUNA_STUDIES,
    OPTUNA_TRIALS,
    POINTS,
    STAGES,
    TRIALS,
    Database,
    add_new,
    clock,
    storable,
    through,
)
from studies.decision import Decision
from studies.errors import InputError
from studies.failpoints import failpoint
from studies.lease import Lease
from studies.plan import Plan
from studies.schedule import Constant, Warmup
from studies.trial import Metric, Point, Progress, State, Trial
from studies.value import RATES
from studies.wish import Extend, in_force

optuna.logging.set_verbosity(optuna.logging.WARNING)

# Constant and wide, so that all trials of all studies are in one search space; Optuna lets choices never change.
DISTRIBUTIONS: Mapping[str, FloatDistribution | IntDistribution | CategoricalDistribution] = {
    "lr": FloatDistribution(*RATES, log=True),
    "batch_size": IntDistribution(1, 2**24, log=True),
    "momentum": FloatDistribution(0.0, 1.0),
    "optimizer": CategoricalDistribution(
        ("sgd", "nesterov", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "lars", "lamb", "lion")
    ),
    "seed": IntDistribution(0, 2**53),
    "schedule": CategoricalDistribution(("linear", "exponential", "cosine", "sqrt")),
    "start": IntDistribution(0, 2**40),
    "factor": FloatDistribution(0.0, 1.0),
    "interval": IntDistribution(1, 2**40, log=True),
}

_OPTUNA_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.DIVERGED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}
_ERROR_LENGTH = 20_000  # characters of a traceback that Optuna's attribute keeps: its end, where the error is


def params(plan: Plan) -> dict[str, Any]:
    """The plan as Optuna's params; what lies outside of its distribution (an optimizer unknown here, say) is left out."""
    content: dict[str, Any] = {name: getattr(plan, name) for name in ("lr", "batch_size", "momentum", "optimizer", "seed")}
    rate = plan.segments[-1].rate if plan.segments else None
    if rate is not None and not isinstance(rate, Constant | Warmup):
        start = plan.steps - plan.segments[-1].steps
        content |= {"schedule": rate.shape, "start": start, "factor": getattr(rate, "factor", None), "interval": rate.interval}
    return {name: value for name, value in content.items() if _within(DISTRIBUTIONS[name], value)}


class OptunaStudy:
    """A stage's `Study`, as the Optuna study "NAME/STAGE"; see studies.study for what its methods promise."""

    def __init__(
        self, database: Database, storage: RDBStorage, lease: Lease, stage: str, metric: Metric, task: str, fingerprint: str
    ):
        """Begin the stage, or go on with it; anew, if the task is no longer the one it was begun with.

        Raises: InputError if it was begun with another metric; BusyError, StorageError.
        """
        self.name, self.stage, self.metric, self._fingerprint = lease.name, stage, metric, fingerprint
        self._database, self._storage, self._lease = database, storage, lease
        self._beginning: dict[str, int] = {}
        self._study_id = lease.write(lambda connection: self._begin(connection, task))
        failpoint("study.begun")

    def plan(self, plans: Sequence[Plan]) -> None:
        longest: dict[str, Plan] = {}
        for plan in plans:
            if plan.line not in longest or longest[plan.line].steps < plan.steps:
                longest[plan.line] = plan
        if longest:
            self._lease.write(lambda connection: self._plan(connection, longest.values()))
            failpoint("study.planned")

    def record(self, progress: Progress) -> None:
        """Where a trial has begun is written down with what is heard of it next: half of a short one's transactions."""
        line = progress.plan.line
        if not (progress.points or progress.ended or line in self._beginning):
            self._beginning[line] = progress.begun
        else:
            told = replace(progress, begun=self._beginning.pop(line, progress.begun))
            self._lease.write(lambda connection: self._record(connection, told))
        failpoint("study.recorded")

    def trials(self) -> list[Trial]:
        return self._lease.patiently(lambda: read_trials(self._database, self.name, self.stage))

    def decide(self, decision: Decision) -> None:
        self._lease.write(lambda connection: self._decide(connection, decision))
        failpoint("study.decided")

    def _begin(self, connection: sa.Connection, task: str) -> int:
        storage, name = through(self._storage, connection), f"{self.name}/{self.stage}"
        found = sa.select(OPTUNA_STUDIES.c.study_id).where(OPTUNA_STUDIES.c.study_name == name)
        here = sa.and_(STAGES.c.study == self.name, STAGES.c.stage == self.stage)
        study_id = connection.execute(found).scalar()
        direction = optuna.study.StudyDirection.MAXIMIZE if self.metric.mode == "max" else optuna.study.StudyDirection.MINIMIZE
        begun = connection.execute(sa.select(STAGES.c.metric, STAGES.c.fingerprint).where(here)).one_or_none()
        known = begun and Metric.model_validate_json(begun.metric)
        other = study_id and (known not in (None, self.metric) or storage.get_study_directions(study_id) != [direction])
        if other and connection.execute(_measured(study_id)).first():
            was = f"{known.name} ({known.mode})" if known else "another direction"
            raise InputError(
                f"--metric: {self.stage} of study {self.name!r} was begun with {was}, got {self.metric.name}"
                f" ({self.metric.mode}); keep to it, or take another --study"
            )
        if other:  # a metric that nothing has been measured by, mistyped perhaps
            connection.execute(sa.delete(TRIALS).where(TRIALS.c.study_id == study_id))
            storage.delete_study(study_id)
        if other or study_id is None:
            study_id, known = storage.create_new_study([direction], name), None
            connection.execute(sa.delete(STAGES).where(here))
        if known is None:
            values = {"study": self.name, "stage": self.stage, "metric": self.metric.model_dump_json()}
            connection.execute(sa.insert(STAGES).values(**values, fingerprint=self._fingerprint))
            for key, value in {"task": task, "metric": self.metric.name}.items():
                storage.set_study_user_attr(study_id, key, value)
        elif begun.fingerprint != self._fingerprint:
            self._begin_anew(connection, study_id, here)
        else:
            self._try_again(connection, study_id)
        failpoint("study.beginning")
        return study_id

    def _begin_anew(self, connection: sa.Connection, study_id: int, here: sa.ColumnElement) -> None:
        """The task was edited: what is known of the old one is history, which nothing rests on any more."""
        self._study_id = study_id
        for row in connection.execute(_rows(study_id).where(TRIALS.c.state == State.RUNNING)).all():
            self._close(connection, row, State.PRUNED, "the task was edited")
        connection.execute(sa.update(STAGES).where(here).values(fingerprint=self._fingerprint))
        mine = sa.and_(DECISIONS.c.study == self.name, DECISIONS.c.stage == self.stage)
        connection.execute(sa.update(DECISIONS).where(mine).values(superseded=True))

    def _try_again(self, connection: sa.Connection, study_id: int) -> None:
        """What FAILED and is not decided upon, or is to be followed further: its cause (a full disk, a network, a library) may be
        gone. Once a driver; what DIVERGED will do so again."""
        self._study_id = study_id
        wishes = in_force(wishlist.read(connection, self.name), self.stage)
        asked = {record.wish.plan.line: record.wish.plan for record in wishes if isinstance(record.wish, Extend)}
        mine = sa.and_(DECISIONS.c.study == self.name, DECISIONS.c.stage == self.stage, ~DECISIONS.c.superseded)
        decided = connection.execute(sa.select(DECISIONS.c.id).where(mine)).first() is not None
        latest = {row.line: row for row in self._rows(connection)}.values()
        again = [row for row in latest if row.state == State.FAILED and (row.line in asked or not decided)]
        self._plan(connection, [asked.get(row.line) or _read_plan(row.plan) for row in again])

    def _plan(self, connection: sa.Connection, plans: Iterable[Plan]) -> None:
        storage = through(self._storage, connection)
        latest, fresh = {row.line: row for row in self._rows(connection)}, []
        for plan in plans:
            row = latest.get(plan.line)
            if row is None:
                fresh.append((plan, None))
            elif row.state == State.RUNNING and plan.steps > row.steps:
                _update(connection, row, plan=plan.model_dump_json(), steps=plan.steps)
                for key, value in _attributes(plan).items():
                    storage.set_trial_user_attr(row.trial_id, key, value)
            elif row.state == State.FAILED or (row.state in (State.COMPLETE, State.PRUNED) and plan.steps > row.last):
                fresh.append((plan, row))
        if fresh:
            self._open(connection, storage, fresh)
        failpoint("study.planning")

    def _open(self, connection: sa.Connection, storage: RDBStorage, fresh: Sequence[tuple[Plan, sa.Row | None]]) -> None:
        """New rows, each going on from where a closed one of the same line ended, if there is one."""
        blank = optuna.trial.create_trial(state=TrialState.RUNNING)
        numbered = [(storage.create_new_trial(self._study_id, blank), plan, old) for plan, old in fresh]
        _describe(
            connection,
            {
                trial_id: (params(plan), {"stage": self.stage, **_attributes(plan), **({"continues": old.number} if old else {})})
                for trial_id, plan, old in numbered
            },
        )
        for table in (TRIALS, POINTS):  # SQLite gives the numbers of deleted rows again
            again = sa.delete(table).where(table.c.trial_id == sa.bindparam("taken"))
            connection.execute(again, [{"taken": trial_id} for trial_id, _, _ in numbered])
        rows = [
            {
                "trial_id": trial_id,
                "study_id": self._study_id,
                "fingerprint": self._fingerprint,
                "line": plan.line,
                "plan": plan.model_dump_json(),
                "steps": plan.steps,
                "state": State.RUNNING,
                "last": old.last if old else 0,
            }
            for trial_id, plan, old in numbered
        ]
        connection.execute(sa.insert(TRIALS), rows)
        columns = ["trial_id", "step", "seconds", "measured"]
        for trial_id, old in ((trial_id, old) for trial_id, _, old in numbered if old):
            copied = sa.select(sa.literal(trial_id), POINTS.c.step, POINTS.c.seconds, POINTS.c.measured)
            connection.execute(sa.insert(POINTS).from_select(columns, copied.where(POINTS.c.trial_id == old.trial_id)))

    def _record(self, connection: sa.Connection, progress: Progress) -> None:
        rows = self._rows(connection, TRIALS.c.line == progress.plan.line)
        if not rows:
            raise ValueError(f"{self.name}/{self.stage} has no row for the plan {progress.plan.id}: it was not planned")
        row = rows[-1]
        if progress.points:
            rows = [(row.trial_id, point.step, float(point.seconds), _json(point)) for point in progress.points]
            add_new(connection, POINTS, rows)
        last = max([row.last, *(point.step for point in progress.points)])
        begun = progress.begun if row.begun is None else row.begun
        _update(connection, row, last=last, begun=begun)
        if row.state == State.RUNNING and progress.ended in (State.DIVERGED, State.FAILED):
            self._close(connection, row, progress.ended, progress.error or f"{progress.ended} at step {last}")
        failpoint("study.recording")

    def _decide(self, connection: sa.Connection, decision: Decision) -> None:
        self._write(connection, decision)
        through(self._storage, connection).set_study_user_attr(self._study_id, "decision", decision.summary())
        candidates = {number: candidate for candidate in decision.evidence for number in candidate.trials}
        for row in self._rows(connection, TRIALS.c.state == State.RUNNING):
            candidate = candidates.get(row.number)
            if candidate is None or candidate.state is State.RUNNING:
                self._close(connection, row, State.COMPLETE if row.last >= row.steps else State.PRUNED, "")
            else:
                self._close(connection, row, candidate.state, candidate.outcome)
        failpoint("study.deciding")

    def _write(self, connection: sa.Connection, decision: Decision) -> None:
        """Put the decision in force. With another winner than before, the later stages' no longer are: they rested on it."""
        mine = sa.and_(DECISIONS.c.study == self.name, DECISIONS.c.stage == self.stage, ~DECISIONS.c.superseded)
        latest = sa.select(DECISIONS.c.decision).where(mine).order_by(DECISIONS.c.id.desc()).limit(1)
        before, written = connection.execute(latest).scalar(), decision.model_dump_json()
        if before == written:
            return
        values = {"study": self.name, "stage": self.stage, "written": clock(connection), "decision": written}
        connection.execute(sa.insert(DECISIONS).values(**values))
        if before is None or Decision.model_validate_json(before).winner != decision.winner:
            here = sa.select(STAGES.c.id).where(STAGES.c.study == self.name, STAGES.c.stage == self.stage).scalar_subquery()
            later = sa.select(STAGES.c.stage).where(STAGES.c.study == self.name, STAGES.c.id > here)
            theirs = sa.and_(DECISIONS.c.study == self.name, DECISIONS.c.stage.in_(later))
            connection.execute(sa.update(DECISIONS).where(theirs).values(superseded=True))

    def _close(self, connection: sa.Connection, row: sa.Row, state: State, why: str) -> None:
        """Close the row, here and in Optuna; why: its outcome, or what broke it. Without a finite metric at its end it is not
        COMPLETE."""
        broken = state in (State.DIVERGED, State.FAILED)
        value = None if broken else self._value(connection, row)
        if state is State.COMPLETE and value is None:
            state = State.PRUNED
        error = storable(why) if broken else ""
        _update(connection, row, state=state, error=error)
        if row.optuna_state != TrialState.RUNNING.name:  # closed by somebody else's tool; Optuna does not let it be changed
            return
        storage = through(self._storage, connection)
        attributes = {"outcome": str(state) if broken else storable(why) or str(state)}
        if broken:
            attributes["reason" if state is State.DIVERGED else "error"] = error[-_ERROR_LENGTH:]
        for key, text in attributes.items():
            storage.set_trial_user_attr(row.trial_id, key, text)
        storage.set_trial_state_values(row.trial_id, _OPTUNA_STATES[state], None if value is None else [value])

    def _value(self, connection: sa.Connection, row: sa.Row) -> float | None:
        """The metric at the row's last point, if it is finite."""
        at_end = sa.select(POINTS.c.measured).where(POINTS.c.trial_id == row.trial_id, POINTS.c.step == row.last)
        measured = connection.execute(at_end).scalar()
        value = json.loads(measured).get(self.metric.name) if measured else None
        return value if value is not None and math.isfinite(value) else None

    def _rows(self, connection: sa.Connection, *where: Any) -> Sequence[sa.Row]:
        """The rows of this stage, of the task as it is now, oldest first, without their curves."""
        return connection.execute(_rows(self._study_id).where(TRIALS.c.fingerprint == self._fingerprint, *where)).all()


def read_trials(database: Database, name: str, stage: str, points: int | None = None, number: int | None = None) -> list[Trial]:
    """The trials of a stage, of the task as it is now, in the order of their numbers, or the one of this number; each curve
    thinned to about so many points, the first and the last among them (1: the last alone). Empty if there are none."""
    named = sa.select(OPTUNA_STUDIES.c.study_id).where(OPTUNA_STUDIES.c.study_name == f"{name}/{stage}")
    latest = sa.select(STAGES.c.fingerprint).where(STAGES.c.study == name, STAGES.c.stage == stage).scalar_subquery()
    with database.read() as connection:
        asked = _rows(connection.execute(named).scalar()).where(TRIALS.c.fingerprint == latest)
        rows = connection.execute(asked if number is None else asked.where(OPTUNA_TRIALS.c.number == number)).all()
        if not rows:
            return []
        mine = TRIALS.c.study_id == rows[0].study_id if number is None else TRIALS.c.trial_id == rows[0].trial_id
        curves = connection.execute(_curves(mine, points)).all()
    found = {trial_id: _points(group) for trial_id, group in groupby(curves, key=itemgetter(0))}
    return [
        Trial(
            number=row.number,
            plan=_read_plan(row.plan),
            state=State(row.state),
            points=found.get(row.trial_id, ()),
            begun=row.last if row.begun is None else row.begun,
            error=row.error,
        )
        for row in rows
    ]


def _measured(study_id: int) -> sa.Select:
    mine = sa.select(POINTS.c.trial_id).join(TRIALS, TRIALS.c.trial_id == POINTS.c.trial_id)
    return mine.where(TRIALS.c.study_id == study_id).limit(1)


def _rows(study_id: int | None) -> sa.Select:
    both = sa.and_(OPTUNA_TRIALS.c.trial_id == TRIALS.c.trial_id, OPTUNA_TRIALS.c.study_id == TRIALS.c.study_id)
    columns = sa.select(TRIALS, OPTUNA_TRIALS.c.number, OPTUNA_TRIALS.c.state.label("optuna_state"))
    return columns.join(OPTUNA_TRIALS, both).where(TRIALS.c.study_id == study_id).order_by(OPTUNA_TRIALS.c.number)


def _describe(connection: sa.Connection, trials: Mapping[int, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Fill in new trials, by id, with their params and attributes, as Optuna would itself, which makes four queries of each: 9
    ms a trial."""
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": DISTRIBUTIONS[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(DISTRIBUTIONS[name]),
        }
        for trial_id, (content, _) in trials.items()
        for name, value in content.items()
    ]
    connection.execute(sa.insert(OPTUNA_PARAMS), rows)
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for trial_id, (_, attributes) in trials.items()
        for key, value in attributes.items()
    ]
    connection.execute(sa.insert(OPTUNA_ATTRIBUTES), rows)


def _update(connection: sa.Connection, row: sa.Row, **changes: Any) -> None:
    connection.execute(sa.update(TRIALS).where(TRIALS.c.trial_id == row.trial_id).values(**changes))


def _curves(mine: sa.ColumnElement[bool], points: int | None) -> sa.Select:
    """The points of the trials for which `mine` holds: all of them; of so many stretches of equal length the first point of
    each, and the last of all; or the last alone."""
    columns = sa.select(POINTS.c.trial_id, POINTS.c.step, POINTS.c.seconds, POINTS.c.measured)
    whole = columns.join(TRIALS, TRIALS.c.trial_id == POINTS.c.trial_id).where(mine).order_by(POINTS.c.trial_id, POINTS.c.step)
    if points is None:
        return whole
    if points == 1:
        return whole.where(POINTS.c.step == TRIALS.c.last)
    firsts = sa.select(POINTS.c.trial_id, sa.func.min(POINTS.c.step).label("step")).join(
        TRIALS, TRIALS.c.trial_id == POINTS.c.trial_id
    )
    firsts = firsts.where(mine).group_by(POINTS.c.trial_id, POINTS.c.step * points // (TRIALS.c.last + 1))
    kept = sa.union(firsts, sa.select(TRIALS.c.trial_id, TRIALS.c.last).where(mine)).subquery()
    return whole.join(kept, sa.and_(kept.c.trial_id == POINTS.c.trial_id, kept.c.step == POINTS.c.step))


@lru_cache(maxsize=2**15)
def _read_plan(text: str) -> Plan:
    """Who watches a stage reads its plans again and again; each finds out its line once."""
    return Plan.model_validate_json(text)


def _points(rows: Iterable[Sequence[Any]]) -> tuple[Point, ...]:
    _, steps, seconds, measured = zip(*rows)
    return tuple(map(Point, steps, from_json(f"[{','.join(measured)}]"), seconds))  # one parse a curve: twice as fast


def _json(point: Point) -> str:
    return to_json({name: float(value) for name, value in point.values.items()}, inf_nan_mode="constants").decode()


def _attributes(plan: Plan) -> dict[str, Any]:
    return {"plan_id": plan.id, "step_nums": plan.steps}


def _within(distribution: FloatDistribution | IntDistribution | CategoricalDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return value is not None and distribution.low <= value <= distribution.high
