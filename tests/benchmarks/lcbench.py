"""Do stages 1 and 2 find better configurations than the peers, for the same epochs?

Compared on the LCBench tables, by the epochs spent: stages 1 and 2 with the pipeline's own settings (rates inside of the
table); Optuna's multivariate TPE with Hyperband; Ray Tune's ASHA. The peers search rate, batch size and momentum over the
whole table (rates log-uniform), get exactly the epochs that ours took, and report after every one. What each would hand on is
trained to the table's end: 52 epochs; a peer hands on the best value that it has seen, ours what stage 2 decided. ASHA is
Ray Tune's own scheduler object (AsyncHyperBandScheduler), asked by four workers in step, an epoch taking as long as any
other; there is no Ray around it, which would only cost time. Both peers have the settings of their papers: rungs from one
epoch on, reduction factor 3. Ours is the same whatever the seed, and the tables have one; the peers have one seed a run.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from studies.plan import Plan, constant
from tests.benchmarks.bed import MemoryStudy, curves, prepared, serial
from tests.benchmarks.table import Figure, Result
from trainables.replay import Replay
from tuner.stages.stage import run_stage

EPOCHS = 52
WORKERS = 4
REDUCTION = 3


@dataclass
class Bench:
    """A table that is asked for the accuracy after whole epochs, and counts them. budget: epochs that may be spent."""

    replay: Replay
    budget: int
    spent: int = 0
    best: tuple[float, Plan] | None = None

    def rates(self) -> tuple[float, float]:
        [first, *_] = self.replay._runs.values()
        return min(first), max(first)

    def plan(self, lr: float, batch_size: int, momentum: float) -> Plan:
        base = Plan(batch_size=batch_size, momentum=momentum, seed=self.replay.holds["seed"][0])
        return constant(base, lr, self.end(batch_size))

    def end(self, batch_size: int) -> int:
        return self.replay.max_steps(batch_size)

    def final(self, plan: Plan) -> float:
        """The accuracy where the table ends."""
        return self._at(plan, EPOCHS)

    def epoch(self, plan: Plan, number: int) -> float:
        """The accuracy after so many epochs; the last of them is paid for now."""
        self.spent += 1
        value = self._at(plan, number)
        if self.best is None or value > self.best[0]:
            self.best = value, plan
        return value

    @property
    def over(self) -> bool:
        return self.spent >= self.budget

    def _at(self, plan: Plan, epoch: int) -> float:
        trainable = self.replay.trainable(plan)
        trainable.train(max(1, round(self.end(plan.batch_size) * epoch / EPOCHS)), plan.lr)
        return trainable.evaluate()["val_accuracy"]


def measure(runs: int = 5, small: bool = False, tables: Sequence[Path] = ()) -> Result:
    """runs: seeds of the peers. tables: in place of LCBench's."""
    tables = tables or curves("lcbench_*.parquet")[: 1 if small else None]
    ours, peers = [], {"TPE + Hyperband": [], "ASHA": []}
    told = []
    for path in tables:
        mine, spent, replay = _ours(path)
        ours.append(mine)
        for name, search in (("TPE + Hyperband", _tpe), ("ASHA", _asha)):
            peers[name].append(median(_peer(replay, spent, search, seed) for seed in range(runs)))
        finals = ", ".join(f"{value:.4f}" for value in (mine, *(values[-1] for values in peers.values())))
        told.append(f"{path.stem} {spent} epochs: {finals}")
    note = f"ours, {', '.join(peers)}: {'; '.join(told)}"
    return Result(
        (
            _against("LCBench, stages 1 + 2, final accuracy, TPE + Hyperband", ours, peers["TPE + Hyperband"], note),
            _against("the same, ASHA", ours, peers["ASHA"]),
        )
    )


def _against(what: str, ours: list[float], peer: list[float], note: str = "") -> Figure:
    """By how much ours is better, table by table (the peer's median over its seeds); the goal is a median above 0."""
    return Figure(what, ours, peer, [mine - theirs for mine, theirs in zip(ours, peer)], 1e-9, scale=" more", note=note)


def _ours(path: Path) -> tuple[float, int, Replay]:
    """(final accuracy of what stage 2 decides, epochs spent, the table)."""
    task = f"replay:{path}"
    settings, replay = prepared(task, stages=("stage1", "stage2"))
    plan, spent = settings.start, 0.0
    with serial(task, settings, replay) as runner:
        for name in settings.stages:
            study = MemoryStudy()
            plan = run_stage(settings.stage(name, replay), plan, study, runner).winner
            spent += sum((t.last - max(t.begun, 0)) * EPOCHS / replay.max_steps(t.plan.batch_size) for t in study.trials())
    bench = Bench(replay, 0)
    return bench.final(bench.plan(plan.lr, plan.batch_size, plan.momentum)), math.ceil(spent), replay


def _peer(replay: Replay, budget: int, search: Callable[[Bench, int], None], seed: int) -> float:
    bench = Bench(replay, budget)
    search(bench, seed)
    return bench.final(bench.best[1])


def _tpe(bench: Bench, seed: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    low, high = bench.rates()

    def objective(trial: optuna.Trial) -> float:
        plan = bench.plan(
            trial.suggest_float("lr", low, high, log=True),
            trial.suggest_categorical("batch_size", bench.replay.holds["batch_size"]),
            trial.suggest_categorical("momentum", bench.replay.holds["momentum"]),
        )
        for number in range(1, EPOCHS + 1):
            value = bench.epoch(plan, number)
            trial.report(value, number)
            if bench.over:
                trial.study.stop()
                break
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study = optuna.create_study(
        study_name=str(seed),  # Hyperband draws its brackets from it
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=REDUCTION),
    )
    study.optimize(objective)


@dataclass
class Worker:
    """One place where a trial runs, for ASHA. id: of the trial; epoch: how far it is."""

    trial: SimpleNamespace
    plan: Plan
    epoch: int = field(default=0)


def _asha(bench: Bench, seed: int) -> None:
    import numpy as np
    from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

    np.random.seed(seed)
    draw, count = random.Random(seed), 0
    low, high = map(math.log, bench.rates())
    scheduler = AsyncHyperBandScheduler("epoch", "accuracy", "max", EPOCHS, grace_period=1, reduction_factor=REDUCTION)

    def fresh() -> Worker:
        nonlocal count
        count += 1
        holds = bench.replay.holds
        plan = bench.plan(math.exp(draw.uniform(low, high)), draw.choice(holds["batch_size"]), draw.choice(holds["momentum"]))
        worker = Worker(SimpleNamespace(trial_id=str(count)), plan)
        scheduler.on_trial_add(None, worker.trial)
        return worker

    workers = [fresh() for _ in range(WORKERS)]
    while not bench.over:
        for place, worker in enumerate(workers):
            worker.epoch += 1
            result = {"epoch": worker.epoch, "accuracy": bench.epoch(worker.plan, worker.epoch)}
            if scheduler.on_trial_result(None, worker.trial, result) == TrialScheduler.STOP:
                workers[place] = fresh()
            if bench.over:
                return
