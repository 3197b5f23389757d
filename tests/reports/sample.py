"""What do the tests of reports look at? A small study, built by hand: three stages with decisions, and broken trials."""

import math
import random
from dataclasses import replace

from reports.stages import StageResults
from studies.decision import Candidate, Cost, Decision
from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe
from studies.schedule import Cosine, Exponential, Linear, Schedule
from studies.study import StudyRecord, StudyState
from studies.trial import Metric, Point, State, Trial

METRIC = Metric(name="accuracy", mode="max")
HOSTILE = "<script>document.title='owned'</script>&\"'"
TRACE = f'Traceback (most recent call last):\n  File "task.py", line 7, in loss\nValueError: {HOSTILE}\n'
SETTINGS = {"task": "digits", "workdir": "tune-runs", "lrs": [1.0, 0.1, 0.01], "data": None}
RECORD = StudyRecord("digits", SETTINGS, StudyState.DONE, "", "laptop:4242", 1_760_000_000.0, 1_760_000_431.0)
STEPS, EVERY = 6000, 100


def points(plan: Plan, upto: int | None = None, every: int = EVERY) -> tuple[Point, ...]:
    """Curves as a training has them: they fall with what the rates add up to, and jitter with the rate of the moment."""
    noise, moved, found = random.Random(plan.id), 0.0, []
    scale = 64 / plan.batch_size / (1 - plan.momentum) / 10
    apart = 0.004 * abs(math.log2(plan.batch_size / 32)) + 0.03 * abs(plan.momentum - 0.9)
    for step in range(every, (upto or plan.steps) + 1, every):
        lr = plan.at(step - 1)
        moved += lr * every / (1 - plan.momentum) / 10
        loss = 1.5 * math.exp(-moved / 15) + 0.8 * math.exp(-moved / 100)
        loss += (0.02 + 0.3 * lr * scale) * math.exp(noise.gauss(0, 0.15)) + apart
        late = 3e-6 * max(0, step - 3000) * (lr * scale > 0.08)
        accuracy = 0.99 - 0.4 * loss / 2.4 - 0.05 * lr * scale * abs(noise.gauss(0, 1)) - late - apart
        ratio = min(0.3, lr * (0.012 + 0.02 * math.exp(-step / 900)) * math.exp(noise.gauss(0, 0.1)))
        values = {"train_loss": loss, "val_loss": loss * 1.1 + late, "accuracy": accuracy, "lr": lr, "update_ratio": ratio}
        found.append(Point(step, values, step / 120))
    return tuple(found)


def trial(
    number: int, plan: Plan, state: State = State.COMPLETE, upto: int | None = None, begun: int = 0, error: str = ""
) -> Trial:
    return Trial(number, plan, state, points(plan, upto), begun, error)


def value(one: Trial) -> float:
    return one.curve("accuracy")[-1][1]


def candidate(label: str, trials: list[Trial], outcome: str) -> Candidate:
    values = [value(one) for one in trials if one.points and math.isfinite(value(one))]
    mean = sum(values) / len(values) if values else None
    spread = 2 * max(abs(one - mean) for one in values) if len(values) > 1 else None
    return Candidate(
        label=label,
        plan=trials[0].plan,
        trials=tuple(one.number for one in trials),
        value=mean,
        interval=(mean - spread, mean + spread) if spread else None,
        state=trials[0].state,
        outcome=outcome,
    )


def stage1(decided: bool = True) -> StageResults:
    """Seven rates: the highest diverges, one is raised by the task, three are left early."""
    plans = {lr: constant(Plan(), lr, STEPS) for lr in (0.3, 0.1, 0.03, 0.01, 0.001, 0.0001)}
    wild, broken = constant(Plan(), 1.0, STEPS), constant(Plan(), 10.0, STEPS)
    up = [point for point in points(wild, 400)][:3]
    up = tuple(replace(one, values={**one.values, "train_loss": 10.0 ** (4 * i)}) for i, one in enumerate(up))
    up += (Point(400, {"train_loss": math.nan, "val_loss": math.inf, "accuracy": 0.1, "lr": 1.0, "update_ratio": math.nan}, 3.0),)
    trials = [
        Trial(0, wild, State.DIVERGED, up, 0, "train_loss is NaN at step 400"),
        Trial(1, broken, State.FAILED, (), 0, TRACE),
        *(trial(i, plans[lr]) for i, lr in enumerate((0.3, 0.1, 0.03), 2)),
        trial(5, plans[0.01], State.PRUNED, 3000),
        trial(6, plans[0.001], State.PRUNED, 700),
        trial(7, plans[0.0001], State.PRUNED, 400),
    ]
    if not decided:
        return StageResults("stage1", METRIC, trials[:-1] + [replace(trials[-1], state=State.RUNNING)])
    told = {2: "fell as deep, no better in validation", 3: "winner", 4: "its training loss did not fall as deep"}
    order = [trials[i] for i in (3, 2, 4, 5, 6, 7, 0, 1)]
    decision = Decision(
        stage="stage1",
        question="Which learning rate, and how many steps?",
        metric=METRIC,
        winner=plans[0.1],
        value=value(trials[3]),
        rule="the training loss that falls fast and deep screens, validation decides",
        runner_up=plans[0.3],
        margin=0.0212,
        warnings=("lr 1 diverged: train_loss is NaN at step 400", f"lr 10 failed: ValueError: {HOSTILE}"),
        words=(
            "0.1 is the learning rate: of 8 rates 2 fell deep, and of these it validates best (accuracy 0.968).",
            "Its curve has converged at step 4000; with the safety margin: 6000 steps.",
        ),
        evidence=tuple(
            candidate(f"lr {one.plan.lr:g}", [one], told.get(one.number, f"left at step {one.last}" if one.points else "failed"))
            for one in order
        ),
        marks={"converged": 4000, "step_nums": 6000, "update_ratio": 0.0013},
        cost=Cost(trials=8, steps_trained=22500, steps_saved=13900, examples_trained=1_440_000, seconds=187.5),
    )
    return StageResults("stage1", METRIC, trials, decision)


def stage2(batch_sizes=(16, 32, 64, 128), momenta=(0.0, 0.5, 0.9, 0.95)) -> StageResults:
    """A grid around (64, 0.9), whose winner is repeated with two more seeds; half of it is left early, one diverges."""
    cells = [(batch, momentum) for batch in batch_sizes for momentum in momenta]
    trials = []
    for batch, momentum in cells:
        steps = STEPS * 64 // batch // EVERY * EVERY
        plan = constant(Plan(batch_size=batch, momentum=momentum), 0.1 * batch / 64 * (1 - momentum) * 10, steps)
        left = momentum in (0.0, 0.5) and batch > 16
        trials.append(
            trial(len(trials), plan, State.PRUNED if left else State.COMPLETE, steps // 4 // EVERY * EVERY if left else None)
        )
    wild = trials[0]
    nan = Point(EVERY, {"train_loss": math.nan, "accuracy": math.nan}, 0.1)
    trials[0] = replace(wild, state=State.DIVERGED, points=(nan,), error="train_loss is NaN at step 100")
    whole = sorted((one for one in trials if one.state is State.COMPLETE), key=value, reverse=True)
    first, second = whole[0], whole[1] if len(whole) > 1 else None
    seeds = [trial(len(trials) + i, first.plan.but(seed=i + 1)) for i in range(2)]
    won = candidate("winner", [first, *seeds], "winner")
    rest = [*whole[1:], *(one for one in trials if one.state is not State.COMPLETE)]
    decision = Decision(
        stage="stage2",
        question="Which batch size and which momentum, jointly?",
        metric=METRIC,
        winner=first.plan,
        value=won.value,
        interval=won.interval,
        values=tuple(value(one) for one in (first, *seeds)),
        rule="the training loss screens, validation over 3 shared seeds decides; of equals the fewest steps",
        runner_up=second.plan if second else None,
        margin=0.0004,
        tie=True,
        words=(f"Batch size {first.plan.batch_size} with momentum {first.plan.momentum:g} wins.", "The leaders tie."),
        evidence=(
            won.model_copy(update={"label": f"batch {first.plan.batch_size}, momentum {first.plan.momentum:g}"}),
            *(
                candidate(f"batch {one.plan.batch_size}, momentum {one.plan.momentum:g}", [one], "its curve validates worse")
                for one in rest
            ),
        ),
        marks={"converged": first.plan.steps * 2 // 3, "step_nums": first.plan.steps},
        cost=Cost(trials=len(trials) + 2, steps_trained=61000, steps_shared=6000, steps_saved=30000, seconds=400.0),
    )
    return StageResults("stage2", METRIC, [*trials, *seeds], decision)


def stage3() -> StageResults:
    """The control, the lazy schedule and five decays from step 2,700, whose leaders have three seeds each."""
    start = constant(Plan(), 0.1, STEPS)

    def fork(begin: int, rate: Schedule) -> Plan:
        return start.upto(begin).then(Segment(steps=STEPS - begin, rate=rate))

    tail = STEPS - 2700
    decays = {
        "linear from the first step": fork(0, Linear(lr=0.1, over=STEPS, interval=100)),
        "x 0.5 every 400 from step 2700": fork(2700, Exponential(lr=0.1, factor=0.5, interval=400)),
        "x 0.1 every 800 from step 2700": fork(2700, Exponential(lr=0.1, factor=0.1, interval=800)),
        "linear from step 2700": fork(2700, Linear(lr=0.1, over=tail, interval=100)),
        "cosine from step 2700": fork(2700, Cosine(lr=0.1, over=tail, interval=100)),
    }
    trials, groups = [], {}
    for label, plan in {"constant": start, **decays}.items():
        seeds = 3 if label in list({"constant": start, **decays})[:3] else 1
        groups[label] = [trial(len(trials) + i, plan.but(seed=i), begun=2700 if "2700" in label else 0) for i in range(seeds)]
        trials += groups[label]
    won = "x 0.5 every 400 from step 2700"
    order = [won, *(label for label in groups if label not in (won, "constant")), "constant"]
    best, lazy, control = (candidate(label, groups[label], "") for label in (won, "linear from the first step", "constant"))
    decision = Decision(
        stage="stage3",
        question="Does decaying the learning rate help, and how?",
        metric=METRIC,
        winner=decays[won],
        value=best.value,
        interval=best.interval,
        values=tuple(value(one) for one in groups[won]),
        rule="finished decays only, over 3 shared seeds; of equals the lazy one",
        runner_up=decays["linear from the first step"],
        margin=best.value - lazy.value,
        words=(
            f"Decay helps: accuracy {control.value:.4g} at the constant rate, {best.value:.4g} with {won}.",
            "Every decay forks from one trunk: 28200 steps trained, 10800 found in checkpoints.",
        ),
        evidence=tuple(
            candidate(
                label, groups[label], "winner" if label == won else "the control" if label == "constant" else "worse at its end"
            )
            for label in order
        ),
        marks={"peak": 3000, "start": 2700, "lazy_gain": lazy.value - control.value},
        cost=Cost(trials=len(trials), steps_trained=28200, steps_shared=10800, examples_trained=1_804_800, seconds=235.1),
    )
    return StageResults("stage3", METRIC, trials, decision)


def stage4() -> StageResults:
    """The bag of tricks: the start and two tricks, three seeds each."""
    start = constant(Plan(), 0.1, STEPS)
    plans = {"+ flip": start.but(recipe=Recipe(flip=0.5)), "+ mixup": start.but(recipe=Recipe(mixup=0.2)), "as it is": start}
    groups = {label: [trial(3 * i + n, plan.but(seed=n)) for n in range(3)] for i, (label, plan) in enumerate(plans.items())}
    best = candidate("+ flip", groups["+ flip"], "winner, gains 0.01")
    decision = Decision(
        stage="stage4",
        question="Which tricks of the bag help, and by how much?",
        metric=METRIC,
        winner=plans["+ flip"],
        value=best.value,
        interval=best.interval,
        rule="finished trainings over 3 shared seeds; what gains more than a standard error is stacked",
        words=("+ flip helps: accuracy 0.9 without, 0.91 with it.",),
        evidence=(best, *(candidate(label, groups[label], "loses 0.01") for label in ("+ mixup", "as it is"))),
    )
    return StageResults("stage4", METRIC, [one for group in groups.values() for one in group], decision)


def study() -> list[StageResults]:
    return [stage1(), stage2(), stage3()]
