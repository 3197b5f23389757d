"""What can a person set, and what holds where they set nothing?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import from_json

from studies.decision import RUN, Decision
from studies.errors import InputError
from studies.plan import Plan
from studies.recipe import Recipe, kinds
from studies.trial import Metric
from studies.value import Count, LearningRate, Natural, Positive, Value, problem
from studies.workspace import WORKDIR
from trainables.trainable import Workload
from tuner.stages import stage1, stage2, stage3, stage4, stage5
from tuner.stages.stage import Stage

EVALUATIONS = 100
"""Evaluations on the longest path of stage 1, where they are cheap: enough to judge a rate within percents of the budget."""

EVALUATION_SHARE = 0.035
"""Evaluating may cost this share of the training: with the saving of states, less than a twentieth. A forward pass is about a
third of a training step."""

EARLY_LOOKS = 3
"""Evaluations before the first regular one, at an eighth, a quarter and a half of the way to it: a bad rate shows early, and
can be left where a curve of regular evaluations would only begin. A recorded table has no points there."""

EPOCHS, FEWEST_STEPS, MOST_STEPS = 40, 1_000, 50_000
"""Of the longest path of stage 1, where --max-steps is not given."""

FALLING = ("loss", "error", "perplexity", "mse", "mae", "mape", "nll")
"""Parts of the names of metrics that are better when they are lower."""

Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Several = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Momentum = Annotated[float, Field(strict=True, ge=0, lt=1)]


class Settings(Value):
    """One tuning run: recorded with its study, so that resuming needs no option.

    Counts of steps are optimizer updates, of examples training examples. None: derived from the task (see `resolve`).
    """

    task: str = "digits"
    data: str | None = None
    stages: Annotated[tuple[Literal["stage1", "stage2", "stage3", "stage4", "stage5"], ...], Field(min_length=1)] = RUN
    workdir: str = WORKDIR
    cwd: str = "."
    checkpoints: str | None = None

    runner: str = "ray"
    address: str | None = None
    workers: Several | None = None
    gpus_per_trial: Positive | None = None
    trial_timeout: Positive | None = None
    threads: Several = 1
    processes: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    readers: Annotated[int, Field(strict=True, ge=0, le=64)] | None = None
    fuse: bool | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    seed: Natural = 0
    repeats: Count = 3
    metric: str | None = None
    mode: Literal["min", "max"] | None = None
    optimizer: str | None = None
    batch_size: Count | None = None
    momentum: Momentum | None = None
    eval_examples: Count | None = None
    early_looks: Natural | None = None
    exhaustive: bool = False
    recipe: Recipe | None = None

    lrs: Annotated[tuple[LearningRate, ...], Field(min_length=1)] = stage1.GRID
    max_steps: Count | None = None
    refine: bool = False

    batch_sizes: tuple[Count, ...] | None = None
    momenta: tuple[Momentum, ...] | None = None
    search: Literal["grid", "random"] = "grid"
    trials: Count = 12
    lr_scaling: Literal["linear", "sqrt", "none"] = "linear"
    warmup: bool = True
    warmup_shape: Literal["gradual", "constant"] = "gradual"

    starts: tuple[Natural, ...] = ()
    factors: Annotated[tuple[Share, ...], Field(min_length=1)] = stage3.FACTORS
    intervals: tuple[Count, ...] = ()
    lazy_interval: Count = 100

    tricks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    folds: Annotated[int, Field(strict=True, ge=2, le=100)] = stage5.FOLDS
    prune: Share = stage5.PRUNED
    skip: tuple[Literal[stage5.WAYS], ...] = ()

    @field_validator("lrs", "batch_sizes", "momenta", "starts", "factors", "intervals", "tricks")
    @classmethod
    def _distinct(cls, values: tuple | None) -> tuple | None:
        return values if values is None else tuple(dict.fromkeys(values))

    @field_validator("tricks")
    @classmethod
    def _known(cls, tricks: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for text in tricks or ():
            _trick(text, stage4.bag(1))
        return tricks

    @field_validator("mode")
    @classmethod
    def _paired(cls, mode: str | None, others: ValidationInfo) -> str | None:
        if mode and not others.data.get("metric"):
            raise ValueError("expected --metric beside it")
        return mode

    @classmethod
    def of(cls, recorded: dict[str, Any], given: dict[str, Any]) -> "Settings":
        """The recorded settings, with what was given on the command line in their place.

        Raises: InputError naming the option, what was expected and what came.
        """
        try:
            return cls(**{**recorded, **given})
        except ValidationError as error:
            key, _, rest = problem(error).partition(":")
            name = key.partition(".")[0]
            if name in recorded and name not in given:
                another = "use the version of staged-tuner that recorded it, or take another --study"
                raise InputError(f"the study's recorded setting {name}:{rest}; {another}") from None
            raise InputError(f"--{name.replace('_', '-')}:{rest}") from None

    def resolve(self, workload: Workload) -> "Settings":
        """Fill in what follows from the task: lengths from its size, choices from what a recorded table holds (one seed
        a run, and constant rates: no warm-up, no stage 3).

        Raises: InputError if the task has no answer to what is set.
        """
        holds, stages = self._holds(workload), self.reachable
        if "stage5" in stages and not hasattr(workload, "has_student"):
            raise InputError(f"finish: expected a Task, whose data and model it needs; {workload.name} trains in its own way")
        batch_size = self.batch_size or _nearest(64, holds.get("batch_size"))
        epoch = workload.train_examples or 1_000 * batch_size
        steps = min(MOST_STEPS, max(FEWEST_STEPS, math.ceil(EPOCHS * epoch / batch_size)))
        end = workload.max_steps(batch_size) if holds else None
        if end and self.max_steps and self.max_steps > end:
            raise InputError(f"--max-steps: expected at most {end}, where the table ends; got {self.max_steps}")
        max_steps = self.max_steps or end or steps
        apart = workload.point_examples if holds else workload.valid_examples / 3 / EVALUATION_SHARE
        often = max(max_steps * batch_size / EVALUATIONS, apart)
        eval_examples = self.eval_examples or max(1, min(round(often), max_steps * batch_size // 8))
        every = max(1, round(eval_examples / batch_size))
        if every > max_steps:
            longest = f"{max_steps * batch_size}, which the longest path of stage 1 takes (--max-steps {max_steps})"
            raise InputError(f"--eval-examples: expected at most {longest}; got {eval_examples}")
        return self.model_copy(
            update={
                "batch_size": batch_size,
                "optimizer": self.optimizer or _first("sgd", holds.get("optimizer")),
                "momentum": _nearest(0.9, holds.get("momentum")) if self.momentum is None else self.momentum,
                "max_steps": max(1, max_steps // every) * every,
                "eval_examples": eval_examples,
                "early_looks": 0 if holds else EARLY_LOOKS if self.early_looks is None else self.early_looks,
                "seed": _first(self.seed, holds.get("seed")),
                "repeats": 1 if holds else self.repeats,
                "warmup": self.warmup and not holds,
                "recipe": workload.recipe if self.recipe is None else self.recipe,
                "stages": stages,
            }
        )

    @property
    def reachable(self) -> tuple[str, ...]:
        """The stages without those that recorded curves cannot answer.

        Raises: InputError if none is left.
        """
        if not self.task.startswith("replay:"):
            return self.stages
        if left := tuple(name for name in self.stages if name in ("stage1", "stage2")):
            return left
        recorded = "recorded curves have constant rates only, which stage1 and stage2 ask for"
        raise InputError(f"{self.stages[0].replace('stage5', 'finish')}: expected a task that trains; {recorded}")

    def _holds(self, workload: Workload) -> dict[str, Any]:
        """What a recorded table holds of the optimizer in question, by name of the choice; nothing for what really trains."""
        if not hasattr(workload, "holds"):
            return {}
        return workload.holding(optimizer=self.optimizer or _first("sgd", workload.holds["optimizer"]))

    @property
    def start(self) -> Plan:
        """Where stage 1 starts from; of resolved settings."""
        names = ("batch_size", "momentum", "optimizer", "recipe", "seed")
        return Plan(**{name: getattr(self, name) for name in names})

    def target(self, workload: Workload) -> Metric:
        """What decides: --metric, whose direction is --mode or follows from its name; else what the task says."""
        if self.metric is None:
            return workload.target
        if self.metric == workload.target.name and self.mode is None:
            return workload.target
        falls = any(word in self.metric.lower() for word in FALLING)
        return Metric(name=self.metric, mode=self.mode or ("min" if falls else "max"))

    def stage(self, name: str, workload: Workload, leaders: tuple[Plan, ...] = ()) -> Stage:
        """A stage as these (resolved) settings want it. leaders: the best of what was decided last, for the finish."""
        metric, holds = self.target(workload), self._holds(workload)
        within = workload.nearest if holds else self._shared
        match name:
            case "stage1":
                return self._as_set(stage1.Stage1, metric=metric, within=within)
            case "stage2":
                momenta = stage2.MOMENTA if self.optimizer in stage2.SUMMING else (self.momentum,)
                return self._as_set(
                    stage2.Stage2,
                    metric=metric,
                    batch_sizes=self.batch_sizes or tuple(holds.get("batch_size", stage2.BATCH_SIZES)),
                    momenta=self.momenta or tuple(holds.get("momentum", momenta)),
                    samples=self.trials,
                    within=within,
                )
            case "stage3":
                return self._as_set(stage3.Stage3, metric=metric)
            case "stage4":
                return self._as_set(stage4.Stage4, metric=metric, tricks=tuple(dict.fromkeys(self._tricks(workload))))
            case "stage5":
                student = getattr(workload, "has_student", False)
                return self._as_set(stage5.Stage5, metric=metric, leaders=leaders, pruned=self.prune, student=student)

    def _as_set(self, stage: type[Stage], **derived: Any) -> Stage:
        """A stage with what follows from elsewhere, and the rest of its fields as they are set here, by their names."""
        set_here = {field.name: getattr(self, field.name) for field in fields(stage) if field.name in type(self).model_fields}
        return stage(**set_here | derived)

    def _shared(self, plan: Plan) -> Plan | None:
        """The plan, if each of the processes gets a part of its batches."""
        return plan if plan.batch_size >= self.processes else None

    def _tricks(self, workload: Workload) -> Iterator[Recipe]:
        """Those that are asked for; else those of the bag that the task can take.

        Raises: InputError if one that is asked for makes no sense here.
        """
        bag = stage4.bag(getattr(workload, "image_side", 0))
        for text in self.tricks or bag:
            trick = _trick(text, bag)
            try:
                workload.trainable(self.start.but(recipe=trick), "cpu")
            except InputError:
                if self.tricks:
                    raise
                continue
            yield trick


def rests_on(settings: Settings, decisions: Sequence[Decision], study: str) -> Decision | None:
    """The decision that the first of the stages rests on; None if it is the first of all.

    Raises: InputError if that has not been decided, never can be, or leaves no step for any of the starts.
    """
    first, decided = settings.reachable[0], {decision.stage: decision for decision in decisions}
    if first == "stage1":
        return None
    # The bag of tricks need not have been opened; its winner keeps what it found there.
    before = ("stage4", "stage3") if first == "stage5" else (f"stage{int(first[-1]) - 1}",)
    for name in before:
        if name in decided:
            begins, left_out = stage3.placed(settings.starts, decided[name].winner)
            if first == "stage3" and left_out and not begins:
                raise InputError(left_out)
            return decided[name]
    told = f"it starts from the decision of {before[-1]}, which study {study!r} lacks: tune {before[-1]} first"
    raise InputError(f"{first}: {told}")


def start_of(settings: Settings, decisions: Sequence[Decision], study: str) -> Plan:
    """The plan that the first of the (resolved) settings' stages starts from: the last winner, under the recipe that holds now.

    Raises: InputError if it rests on a stage that has not been decided.
    """
    last = rests_on(settings, decisions, study)
    if last is None:
        return settings.start
    return last.winner if settings.stages[0] == "stage5" else last.winner.but(recipe=settings.recipe)


def _trick(text: str, bag: Mapping[str, Any]) -> Recipe:
    """Raises: ValueError if it is no part of a recipe, or not with this value. bag: values of those that are named alone."""
    name, _, value = text.partition("=")
    if name not in kinds():
        raise ValueError(f"expected some of {', '.join(kinds())}, each alone or as NAME=VALUE; got {text!r}")
    try:
        trick = Recipe(**{name: _value(value) if value else bag.get(name, True)})
    except ValidationError as error:
        raise ValueError(problem(error)) from None
    if not trick:
        raise ValueError(f"{name}: expected a value with which it is on: what is on already is tried off; got {text!r}")
    return trick


def _value(text: str) -> Any:
    """Of JSON; what is none is text (autoaugment=cifar10)."""
    try:
        return from_json(text)
    except ValueError:
        return text


def _nearest(value: float, choices: Any) -> Any:
    return min(choices, key=lambda choice: abs(choice - value)) if choices else value


def _first(value: Any, choices: Any) -> Any:
    return value if not choices or value in choices else choices[0]
