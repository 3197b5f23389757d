"""Carry plans out as Ray Tune trials, for people whose cluster tooling, callbacks and loggers hang on Tune."""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from ray import cloudpickle, tune
from ray.exceptions import RayActorError
from ray.tune.result import DONE, RESULT_DUPLICATE
from ray.tune.search import Searcher

from studies.errors import Interrupted, StorageError, TuneError
from studies.plan import Plan
from studies.trial import Progress, State
from tuner.runners import cluster
from tuner.runners.bench import Bench, check_whole, mortal, settle_in
from tuner.runners.job import Agenda, Errand, Job
from tuner.runners.probe import Probe, Probes, out_of_memory
from tuner.runners.runner import TRIES, Stoppable, given_up

log = logging.getLogger("tuner")

ERRAND = "errand"  # key of a config
PROGRESS, RAISED, FOUND = "progress", "raised", "found"  # keys of a result


class TuneRunner(Stoppable):
    """A `Runner` by way of ray.tune.Tuner: a trial per plan, reused actors, resources from what a plan takes.

    The options are those of `RayRunner`. All runs of one runner are one experiment, in a folder of its own in ray_tune,
    beside the checkpoints. Its trials' configs are the plans and its results the points, so that Tune's loggers, and the
    callbacks that the variable RAY_TUNE_CALLBACKS names, see what they are used to. Where a training goes on is known to our
    checkpoints alone: a trial whose worker died is tried again by Tune, and `Tuner.restore` is never needed.
    """

    def __init__(self, job: Job, address: str | None = None, workers: int | None = None, gpus_per_trial: float | None = None):
        self._job, self._workers, self._gpus = replace(job, fuse=False), workers, gpus_per_trial
        self._closed = False
        cluster.start(address, workers and workers * job.cpus)
        self._experiment: _Experiment | None = None

    def run(self, plans: Sequence[Plan], record: Callable[[Progress], None], company: Sequence[Plan] = ()) -> None:
        if plans and not self._stopped:
            if self._experiment is None or self._experiment.broken:
                self._experiment = _Experiment(self._job, self._workers, self._gpus)
                self._experiment.start()
            wave = _Wave(Agenda(plans), lambda: self._stopped)
            self._experiment.carry_out(wave)
            try:
                for progress in wave.reports():
                    record(progress)
            finally:
                wave.stopped = lambda: True  # if record has raised, those at work save and stop, unheard
        self._answer()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._experiment:
                self._experiment.end()
            cluster.stop()


@dataclass
class _Wave:
    """The plans of one run. said: what there is to report; a wave ends with None, or with what went wrong."""

    agenda: Agenda
    stopped: Callable[[], bool]
    said: SimpleQueue[Progress | BaseException | None] = field(default_factory=SimpleQueue)

    def reports(self) -> Iterator[Progress]:
        for said in iter(self.said.get, None):
            if isinstance(said, BaseException):
                raise said
            yield said


class _Experiment(threading.Thread):
    """A Tuner that carries out wave after wave, in a thread of its own: in the main one Tune would take the signals.

    Whatever Tune calls runs in that thread. broken: it has ended in an error, which it has given to a wave.
    """

    def __init__(self, job: Job, workers: int | None, gpus: float | None):
        super().__init__(name="tune", daemon=True)
        self._job, self._workers, self._gpus = job, workers, gpus
        self._home = job.folder.absolute() / "ray_tune"
        self._name = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:6]}"
        self._bells = (self._home / self._name / f"stop-{number}" for number in itertools.count())
        self._waves: SimpleQueue[_Wave | None] = SimpleQueue()
        self._wave: _Wave | None = None
        self._at_work: dict[str, Errand] = {}
        self._ending = self.broken = False

    def carry_out(self, wave: _Wave) -> None:
        """As soon as those before it are through."""
        self._waves.put(wave)

    def end(self) -> None:
        """Let the actors go, those at work included."""
        self._ending = True
        self._waves.put(None)
        self.join()

    def run(self) -> None:
        try:
            cluster.start().wait()
            self._slots = cluster.slots(cluster.machines(), self._job, self._gpus, self._workers)
            self._probes = Probes(self._job, self._slots.parts, self._gpus)
            self._tuner().fit()
        except BaseException as error:
            self.broken = True
            if isinstance(error, OSError):
                error = StorageError(f"{self._home}: {error.strerror or error}")
            if wave := self._wave or self._waves.get():
                wave.said.put(error)

    def _tuner(self) -> tune.Tuner:
        os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # or verbose=0 is not heard
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # the task may be a file where the driver stands
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is told in our own words
        given = {"job": self._job, "folder": Path.cwd(), "cpus": self._slots.cpus}
        return tune.Tuner(
            type("Plan", (_Trial,), given),
            tune_config=tune.TuneConfig(
                search_alg=_Errands(self),
                num_samples=-1,
                max_concurrent_trials=self._slots.workers,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name=self._name,
                storage_path=str(self._home),
                callbacks=[_Events(self)],
                failure_config=tune.FailureConfig(max_failures=TRIES - 1),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The config of the next trial; None if there is none for now. With nobody at work it waits for the next wave."""
        while not self._at_work and (self._wave is None or self._wave.stopped() or not self._wave.agenda):
            if self._wave:
                self._wave.said.put(None)
            self._wave, self._bell = self._waves.get(), next(self._bells)
            if self._wave is None:
                return Searcher.FINISHED
        if self._wave.stopped() or not (errand := self._wave.agenda.take()):
            return None
        measure = self._unknown(errand)
        if measure and any(self._unknown(other) for other in self._at_work.values()):
            self._wave.agenda.put_back(errand)
            return None
        self._at_work[trial_id] = errand
        gpus = self._slots.gpus and max(self._slots.gpus, self._probes.memory(errand.plan).gpu_share or 1.0)
        ours = {"keep": sorted(errand.keep), "gpus": gpus, "measure": measure, "bell": str(self._bell)}
        return {**errand.plan.describe(), ERRAND: ours}

    def _unknown(self, errand: Errand) -> bool:
        """Whether it is to be measured first. On what kind of GPU, the first one tells that is."""
        return self._slots.gpus > 0 and not self._probes.memory(errand.plan).gpu_share

    def look_up(self) -> None:
        """Several times a second: is there still reason to go on?"""
        if self._at_work and self._wave.stopped():
            self._bell.touch()
            if self._ending:
                raise Interrupted("closed")

    def heard(self, trial: Any, result: dict[str, Any]) -> None:
        """A result has come. What is only for us is taken out of it, and what loggers like is put in."""
        if error := result.pop(RAISED, None):
            self._wave.said.put(error)
        if found := result.pop(FOUND, None):
            self._learn(self._at_work[trial.trial_id], *found, result["hostname"])
        if progress := result.pop(PROGRESS, None):
            result["state"] = str(progress.ended or State.RUNNING)
            if progress.points:
                result.update(progress.points[-1].values, step=progress.points[-1].step)
            self._tell(trial, progress)

    def _learn(self, errand: Errand, card: str, found: Probe, machine: str) -> None:
        """What plans of this kind take, on this kind of GPU; the errand is the next to be carried out."""
        if not card:
            cluster.tell_no_cuda(machine)
            found = Probe(gpu_share=self._slots.gpus, failed=True)
        self._probes = self._probes.on(card)
        if self._unknown(errand):
            self._probes.keep(errand.plan, found)
        self._wave.agenda.put_back(errand)

    def _tell(self, trial: Any, progress: Progress) -> None:
        agenda, share = self._wave.agenda, trial.config[ERRAND]["gpus"]
        if out_of_memory(progress) and self._probes.crowded(progress.plan, share):
            agenda.put_back(self._at_work[trial.trial_id])  # once more with twice the room, at last alone
            return
        before = agenda.reached(progress.plan)
        agenda.note(progress)
        if agenda.reached(progress.plan) > before:
            trial.run_metadata.num_failures = 0  # Tune's own count of deaths knows no progress
        self._wave.said.put(progress)

    def over(self, trial: Any) -> None:
        self._at_work.pop(trial.trial_id, None)

    def failed(self, trial: Any) -> None:
        """Tune has given a trial up."""
        error, errand = _error(trial), self._at_work[trial.trial_id]
        if not isinstance(error, RayActorError):
            self._wave.said.put(error)
        elif trial.config[ERRAND]["measure"]:
            self._probes.keep(errand.plan, Probe(gpu_share=1.0, failed=True))
            self._wave.agenda.put_back(errand)
        else:
            self._tell(trial, given_up(errand.plan, error))
        self.over(trial)


def _error(trial: Any) -> BaseException:
    """Why Tune has given a trial up. Tune's own getters look where it may not have copied the file yet."""
    if trial.pickled_error_file:
        return cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return TuneError(f"Ray Tune gave a trial up: {trial.error_file and Path(trial.error_file).read_text()}")


class _Errands(Searcher):
    """The experiment as Tune's source of trials."""

    def __init__(self, experiment: _Experiment):
        super().__init__()
        self._experiment = experiment

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._experiment.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The callback hears of it as well, and of why."""

    def save(self, checkpoint_path: str) -> None:
        """There is nothing that Tune could restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Events(tune.Callback):
    """The experiment as a listener to Tune; the first one, so that the others hear of points, not of our own objects."""

    def __init__(self, experiment: _Experiment):
        self._experiment = experiment

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._experiment.look_up()

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        self._experiment.heard(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._experiment.over(trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        log.warning("a worker died (killed, out of memory, or crashed in native code); its plan goes on from its checkpoint")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._experiment.failed(trial)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Trial(tune.Trainable):
    """A plan in a process that Tune has started: its config says what to do, its results are its reports.

    job: what it takes besides. folder: where the driver stands. cpus: held by each.
    """

    job: Job
    folder: Path
    cpus: int

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([{"CPU": cls.cpus, "GPU": config[ERRAND]["gpus"]}])

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._ours = new_config[ERRAND]
        plan = Plan.read({key: value for key, value in new_config.items() if key != ERRAND})
        self._errand = Errand(plan, frozenset(self._ours["keep"]))
        self._reports: Iterator[Progress] | None = None
        return True

    def step(self) -> dict[str, Any]:
        try:
            with mortal():
                return self._next()
        except TuneError as error:
            return {RAISED: error, DONE: True}

    def _next(self) -> dict[str, Any]:
        if self._ours["measure"]:
            return {FOUND: (self._bench.card, self._bench.probe([self._errand.plan])), DONE: True}
        if self._reports is None:
            self._reports = self._bench.carry_out([self._errand], False, Path(self._ours["bell"]).exists)
        if progress := next(self._reports, None):
            check_whole(progress)
            return {PROGRESS: progress}
        return {RESULT_DUPLICATE: True}  # Tune's word for: it was the last one

    @cached_property
    def _bench(self) -> Bench:
        settle_in(self.folder, self.job.folder.absolute() / "workers" / f"{os.uname().nodename}-{os.getpid()}.log")
        return Bench(self.job)
