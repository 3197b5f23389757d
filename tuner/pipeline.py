"""How does a tuning run go? The stages in order, each resting on the last one's answer, and everything written down."""

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from reports.export import COUNT_IN_EPOCHS, decided, export_study, write_for
from reports.progress import ProgressView
from reports.reporter import Reporter
from reports.tensorboard import TensorboardLog
from studies.decision import QUESTIONS, RUN, Decision
from studies.errors import InputError, Interrupted, StageError, TaskError
from studies.failpoints import failpoint
from studies.files import sweep
from studies.ledger import Driver, Store
from studies.plan import Plan, distinct_steps
from studies.study import Study
from studies.trial import Metric, Progress, State, Trial
from studies.wish import WishRecord
from studies.words import last_line
from studies.workspace import Workspace
from trainables.checkpoints import Checkpoints
from trainables.parallel import load_spread
from trainables.task import blamed, load_task
from trainables.trainable import Workload
from tuner.runners import check_options, make_runner, prepare
from tuner.runners.job import Job
from tuner.runners.runner import Runner
from tuner.settings import Settings, rests_on, start_of
from tuner.stages.asked import heed
from tuner.stages.rules import better
from tuner.stages.stage import run_stage

log = logging.getLogger("tuner")

LEADERS = 3
"""Of the last decision, in an ensemble."""


@dataclass(frozen=True)
class Watch:
    """Who is told what happens, besides the store: the person at the terminal, TensorBoard, and the reporter.

    warnings: of every decision: what of the plans is carried out only nearly, or rests on what was before. early: of those
    that look for the optimum of the loss.
    """

    driver: Driver
    fingerprint: str
    view: ProgressView
    tensorboard: TensorboardLog
    reporter: Reporter
    warnings: tuple[str, ...] = ()
    early: tuple[str, ...] = ()

    def stage(self, name: str, metric: Metric, most: int) -> "Watched":
        """A stage that begins, or goes on, of so many steps at most."""
        self.view.stage(name, QUESTIONS[name])
        log.info("%s: at most %s steps", name, f"{most:,}")
        watched = Watched(self, self.driver.stage(name, metric, self.fingerprint), name, metric.name)
        for trial in watched.trials():  # a driver that was killed may not have come to it
            self.tensorboard.record(name, trial.plan, trial.points)
        return watched


@dataclass(frozen=True)
class Watched:
    """A stage's trials and decision, as they are stored and told of. See studies.study.Study."""

    by: Watch
    study: Study
    stage: str
    metric: str

    def plan(self, plans: Sequence[Plan]) -> None:
        self.study.plan(plans)
        self.by.view.planned(plans)

    def record(self, progress: Progress) -> None:
        if progress.points and self.metric not in progress.points[-1].values and progress.ended is not State.DIVERGED:
            there = ", ".join(sorted(progress.points[-1].values))
            raise InputError(f"--metric: expected one of {there}; got {self.metric!r}")
        self.study.record(progress)
        self.by.view.record(progress)
        self.by.tensorboard.record(self.stage, progress.plan, progress.points)

    def trials(self) -> Sequence[Trial]:
        return self.study.trials()

    def decide(self, decision: Decision) -> None:
        """With the warnings that hold for all of them, or for all of its kind."""
        early = self.by.early if self.stage in RUN else ()
        decision = decision.model_copy(update={"warnings": (*decision.warnings, *self.by.warnings, *early)})
        self.study.decide(decision)
        self.by.view.decided(decision)


def tune(settings: Settings, store: Store, workspace: Workspace, view: ProgressView) -> None:
    """Run the stages that the settings name, from where the study stands; write report and export.

    Raises: TuneError of every kind; what was reported before it is kept, and the same call goes on from there.
    """
    check_options(settings.runner, settings.processes, fuse=settings.fuse, **_runner_options(settings))
    prepare(settings.runner, settings.address, settings.workers, settings.threads, settings.processes)
    workload = load_spread(settings.task, settings.data, settings.processes, settings.device)
    asked, settings = settings, settings.resolve(workload)
    approximations, regularisation = try_out(workload, settings.start, settings.task)
    if settings.recipe.early_stopping and settings.metric not in (None, workload.target.name):
        approximations += (f"early stopping goes by the task's own {workload.target.name}, not by {settings.metric}",)
    checkpoints = Checkpoints(workspace.checkpoints(settings.checkpoints), workload.fingerprint)
    if settings.checkpoints:
        checkpoints.check()
    heeded = store.heeded(workspace.study)  # a study that is driven no longer says
    with closing(Reporter(store, workspace.study, workspace.report)) as reporter:
        with store.drive(workspace.study, asked.model_dump(mode="json")) as driver, view:
            checkpoints.sweep()  # nobody else is at work on this study now
            sweep(workspace.folder)
            told = (approximations, tuple(_premises(regularisation)))
            watch = Watch(driver, workload.fingerprint, view, TensorboardLog(workspace.tensorboard), reporter, *told)
            with _runner(settings, workload, workspace) as runner:
                driver.on_stop(runner.stop)
                followed = None
                while (wishes := driver.wishes()) != followed:  # at first, and again where more was asked of what was over
                    stages = _stages(settings, [one for one in wishes if one.number > heeded], store.stages(workspace.study))
                    _run_stages(settings.model_copy(update={"stages": stages}), workload, store, workspace.study, runner, watch)
                    followed, heeded = wishes, max((one.number for one in wishes), default=0)
            checkpoints.sweep()  # what workers that were killed have left
            driver.done(followed)
        failpoint("run.done")
        reporter.finish()
    failpoint("run.reported")
    export_study(store, workspace.study, workspace.export)
    failpoint("run.exported")


def try_out(workload: Workload, plan: Plan, task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Build once, here, what a plan trains: what is wrong with it is told before anything is planned. What of it is carried out
    only nearly, and what of it keeps the model from learning by heart, in words.

    Raises: InputError, TaskError.
    """
    with blamed(f"--task {task}"):
        built = workload.trainable(plan, "cpu")
        return getattr(built, "approximations", ()), getattr(built, "regularisation", ())


def _premises(regularisation: Sequence[str]) -> Iterator[str]:
    """What is not as stages 1 to 3 want it: they look for the optimum of the loss (method/004)."""
    if regularisation:
        on = ", ".join(regularisation[:4]) + (f" and {len(regularisation) - 4} more" if len(regularisation) > 4 else "")
        yield f"regularisation is on ({on}), which bends the curves that decide: better off until stage 4, which tunes it"


def _stages(settings: Settings, unheeded: Sequence[WishRecord], begun: Sequence[str]) -> tuple[str, ...]:
    """The settings' stages, and those of which something else is asked by now, with all between them; not the bag of tricks,
    which is there on request, if nobody has opened it."""
    named = {*settings.stages, *(record.wish.stage for record in unheeded if not record.past)}
    between = (name for name in QUESTIONS if min(named) <= name <= max(named))
    return tuple(name for name in between if name != "stage4" or name in {*named, *begun})


def _leaders(decisions: Sequence[Decision]) -> tuple[Plan, ...]:
    """The plans that came out best, the best first, in the last decision that something was decided among."""
    last = next((decision for decision in reversed(decisions) if decision.stage != "stage5"), None)
    sound = [one for one in (last.evidence if last else ()) if one.state is State.COMPLETE and one.value is not None]
    return tuple(one.plan for one in sorted(sound, key=lambda one: better(last.metric, one.value))[:LEADERS])


def _run_stages(settings: Settings, workload: Workload, store: Store, study: str, runner: Runner, watch: Watch) -> None:
    plan, before = start_of(settings, store.decisions(study), study), rests_on(settings, store.decisions(study), study)
    if before and store.fingerprint(study, before.stage) != watch.fingerprint:
        again = store.record(study).command("run", "--study", study)
        edited = f"{settings.stages[0]} starts from {before.stage}'s winner of the task as it was before it was edited"
        watch = replace(watch, warnings=(*watch.warnings, f"{edited}; to tune it anew: {again}"))
        log.warning(watch.warnings[-1])
    for name in settings.stages:
        leaders = _leaders(store.decisions(study)) if name == "stage5" else ()
        stage = settings.stage(name, workload, leaders)
        watched = watch.stage(name, settings.target(workload), distinct_steps(stage.most(plan)))
        try:
            decision = run_stage(stage, plan, watched, runner, lambda stage: heed(stage, watch.driver.wishes()))
        except StageError as error:
            raise _blamed(error, watched.trials()) from None
        if settings.runner != "serial" and name != settings.stages[-1]:  # serial does everything in this process
            watch.reporter.start()
        watch.reporter.ask()
        plan = decision.winner


def _blamed(error: StageError, trials: Sequence[Trial]) -> StageError | TaskError:
    """A stage in which every trial failed by an exception has a broken task, not a wrong search."""
    if trials and all(trial.state is State.FAILED for trial in trials):
        last = trials[-1].error.strip()
        return TaskError(f"every trial failed: {last_line(last) or error}", last)
    return error


@contextmanager
def _runner(settings: Settings, workload: Workload, workspace: Workspace) -> Iterator[Runner]:
    """A runner for the time of a run."""
    job = Job(
        task=settings.task,
        data=settings.data,
        checkpoints=workspace.checkpoints(settings.checkpoints),
        fingerprint=workload.fingerprint,
        eval_examples=settings.eval_examples,
        early_looks=settings.early_looks,
        folder=workspace.folder,
        device=settings.device,
        threads=settings.threads,
        processes=settings.processes,
        readers=settings.readers,
        fuse=settings.fuse,
    )
    runner = make_runner(settings.runner, job, **_runner_options(settings))
    try:
        with interruptible(runner.stop):
            yield runner
    finally:
        runner.close()


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Within it the first SIGINT or SIGTERM asks for a stop, for which steps are finished and saved; the second ends at once.

    Raises: Interrupted by the second.
    """
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        log.warning("interrupted: finishing the steps under way and saving; once more to end at once")
        stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _runner_options(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("address", "workers", "gpus_per_trial", "trial_timeout")}


def export_for(trainer: str, store: Store, workspace: Workspace, path: Path) -> tuple[str, ...]:
    """Write the last winner down for a trainer of somebody else's; what is trained there otherwise than planned.

    Raises: InputError if nothing has been decided yet, or the trainer cannot say it.
    """
    last = decided(store, workspace.study)[-1]
    settings = store.record(workspace.study).settings
    examples = None
    if trainer in COUNT_IN_EPOCHS:
        examples = load_task(settings["task"], settings.get("data")).train_examples or None
    return write_for(trainer, path, last.winner, study=workspace.study, decision=last, examples=examples)
