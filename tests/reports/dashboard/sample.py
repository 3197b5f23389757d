"""Real studies for the pages: written through the store's own driver, with curves as a training has them."""

import math
import random

from studies.decision import Candidate, Cost, Decision
from studies.ledger import Driver, Store
from studies.plan import Plan, Segment, constant
from studies.schedule import Linear
from studies.trial import Metric, Point, Progress, State

METRIC = Metric(name="accuracy", mode="max")
SETTINGS = {"task": "digits", "runner": "serial", "lrs": [1.0, 0.1, 0.01, 0.001]}
HOSTILE = "<script>document.title='owned'</script>&\"'"


def points(plan: Plan, upto: int, every: int = 20) -> tuple[Point, ...]:
    """A curve whose speed grows with the rate."""
    noise = random.Random(plan.id)
    found = []
    for step in range(every, upto + 1, every):
        loss = 0.05 + 2.2 * math.exp(-step * min(plan.lr, 0.3) / 8) + noise.gauss(0, 0.01)
        values = {"train_loss": loss, "val_loss": loss * 1.1, "accuracy": 1 - loss / 2.5}
        values |= {"lr": plan.at(step - 1), "update_ratio": plan.lr / 50}
        found.append(Point(step, values, seconds=step / 100))
    return tuple(found)


def train(study, plan: Plan, upto: int | None = None, begun: int = 0) -> None:
    study.plan([plan])
    upto = upto or plan.steps
    study.record(Progress(plan, points(plan, upto), begun=begun, ended=State.COMPLETE if upto == plan.steps else None))


def sweep(driver: Driver, decided: bool = True) -> Plan:
    """Stage 1: four rates; the highest diverges, one is raised by the task."""
    study = driver.stage("stage1", METRIC)
    winner, second = constant(Plan(), 0.1, 400), constant(Plan(), 0.01, 400)
    for rate in (0.1, 0.01, 0.001):
        train(study, constant(Plan(), rate, 400), upto=400 if decided or rate > 0.01 else 240)
    wild, broken = constant(Plan(), 1.0, 400), constant(Plan(), 10.0, 400)
    study.plan([wild, broken])
    study.record(Progress(wild, points(wild, 40), ended=State.DIVERGED, error="train_loss is NaN at step 60"))
    trace = f'Traceback (most recent call last):\n  File "task.py", line 7, in loss\nValueError: {HOSTILE}'
    study.record(Progress(broken, ended=State.FAILED, error=trace))
    if decided:
        study.decide(
            Decision(
                stage="stage1",
                question="Which learning rate, and how many steps?",
                metric=METRIC,
                winner=winner,
                value=0.9806,
                interval=(0.9761, 0.9851),
                rule="The curve that falls fast and deep by its smoothed training loss; validation decides among those.",
                runner_up=second,
                margin=0.0112,
                warnings=("The best rate lies next to one that diverged.",),
                words=(
                    "A rate of 0.1 falls fastest and deepest, and validates best: accuracy 0.9806.",
                    "Its curve has converged at step 260; with a margin of one half that makes 400 steps.",
                ),
                evidence=(
                    Candidate(label="lr 0.1", plan=winner, trials=(0,), value=0.9806, outcome="winner"),
                    Candidate(label="lr 0.01", plan=second, trials=(1,), value=0.9694, outcome="0.0112 behind"),
                ),
                marks={"converged": 260},
                cost=Cost(trials=5, steps_trained=1240, steps_saved=760, examples_trained=79360, seconds=83.5),
            )
        )
    return winner


def decays(driver: Driver, winner: Plan) -> None:
    """Stage 3, under way: a trunk that is shared, one lazy decay half-way."""
    study = driver.stage("stage3", METRIC)
    train(study, winner)
    train(study, winner.upto(200).then(Segment(steps=200, rate=Linear(lr=0.1, over=200))), upto=300, begun=200)


def study(store: Store, name: str, *, workdir=None, done: bool = False, decided: bool = True) -> None:
    with store.drive(name, SETTINGS | ({"workdir": str(workdir)} if workdir else {})) as driver:
        winner = sweep(driver, decided)
        if decided:
            decays(driver, winner)
        if done:
            driver.done()
