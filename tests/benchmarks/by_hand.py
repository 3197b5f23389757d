"""What does a competent user write? The three stages on digits by hand, on Ray Tune.

`python -m tests.benchmarks.by_hand` prints one line of JSON: the winner, as a cell of its grid, and what it took; with --cell,
that cell's accuracies under some seeds. Tune at its best: FIFO, actors reused, data in place, no loggers, no checkpoints, one
thread and one CPU a trial. The training is ordinary PyTorch. Curves are read with the product's rules in place of a person's
eye: which rate, how many steps, whether decay helps. The constant rate that decays are compared with is read off stage 2's
curves, for nothing.
"""

import argparse
import json
import logging
import math
import os

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}

import ray  # noqa: E402
import torch  # noqa: E402
from ray import tune  # noqa: E402

from studies.plan import Plan, constant  # noqa: E402
from studies.trial import Metric, Point, Trial  # noqa: E402
from trainables.tasks.digits import Digits  # noqa: E402
from tuner.stages import rules, stage2, stage3  # noqa: E402
from tuner.stages.evidence import verdict  # noqa: E402

METRIC = Metric(name="accuracy", mode="max")
LRS = (1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001)
REPEATS = 3
PLAIN = {"growth": 1.0, "decay": ("constant", 0, 1.0, 1)}


def rate(cell: dict, step: int) -> float:
    """The rate of a step. growth: warmed up to, in the first eighteenth, if above 2. decay: (shape, start, factor, interval)."""
    lr, steps, growth = cell["lr"], cell["steps"], cell["growth"]
    warm = max(1, round(stage2.WARMUP_SHARE * steps)) if growth > stage2.GROWTH else 0
    if step < warm:
        return lr / growth + (lr - lr / growth) * (step + 1) / warm
    shape, start, factor, interval = cell["decay"]
    if shape == "constant" or step < start:
        return lr
    drops = (step - start) // interval
    done = drops * interval / (steps - start)
    if shape == "exponential":
        return lr * factor ** (drops + 1)
    return lr * {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "sqrt": 1 - math.sqrt(done)}[shape]


class Training(tune.Trainable):
    """One Tune step goes from one evaluation to the next."""

    def setup(self, config):
        torch.set_num_threads(1)
        self.data = Digits().data()
        self.reset_config(config)

    def reset_config(self, new_config):
        self.cell = cell = new_config["cell"]
        torch.manual_seed(cell["seed"])
        self.model = Digits().model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=cell["lr"], momentum=cell["momentum"])
        self.at, self.order = 0, torch.empty(0, dtype=torch.int64)
        return True

    def step(self):
        inputs, targets = self.data[0]
        size, goal = self.cell["batch_size"], self.goal()
        total, count = 0.0, goal - self.at
        self.model.train()
        while self.at < goal:
            if len(self.order) < size:
                self.order = torch.cat([self.order, torch.randperm(len(inputs))])
            batch, self.order = self.order[:size], self.order[size:]
            self.optimizer.param_groups[0]["lr"] = rate(self.cell, self.at)
            loss = torch.nn.functional.cross_entropy(self.model(inputs[batch]), targets[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total, self.at = total + loss.detach(), self.at + 1
        loss = float(total) / count
        over = self.at == self.cell["steps"] or not math.isfinite(loss)
        return {"train_loss": loss, "accuracy": self.accuracy(), "at": self.at, "done": over}

    def goal(self) -> int:
        """The step of the next evaluation."""
        early = [step for step in self.cell["early"] if step > self.at]
        return min((self.at // self.cell["every"] + 1) * self.cell["every"], self.cell["steps"], *early)

    def accuracy(self) -> float:
        inputs, targets = self.data[1]
        self.model.eval()
        with torch.no_grad():
            return (self.model(inputs).argmax(1) == targets).float().mean().item()


class Curves(tune.Callback):
    """What is reported, by the number of the trial in its grid."""

    def __init__(self):
        self.of: dict[int, list[Point]] = {}

    def on_trial_result(self, iteration, trials, trial, result, **info):
        point = Point(result["at"], {name: result[name] for name in ("train_loss", "accuracy")})
        self.of.setdefault(trial.config["cell"]["number"], []).append(point)


class Hand:
    """Runs grids, and counts the examples that they train."""

    def __init__(self, eval_examples: int, early_looks: int, seed: int):
        self.eval_examples, self.early_looks, self.seed, self.examples = eval_examples, early_looks, seed, 0

    def run(self, cells: list[dict]) -> list[Trial]:
        """The curves of the cells, in their order."""
        numbered = [{"seed": self.seed} | cell | self.looks(cell["batch_size"], i) for i, cell in enumerate(cells)]
        curves = Curves()
        tune.Tuner(
            tune.with_resources(Training, {"cpu": 1}),
            param_space={"cell": tune.grid_search(numbered)},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(verbose=0, callbacks=[curves]),
        ).fit()
        trials = []
        for i, cell in enumerate(numbered):
            base = Plan(batch_size=cell["batch_size"], momentum=cell["momentum"], seed=cell["seed"])
            trials.append(Trial(i, constant(base, cell["lr"], cell["steps"]), points=tuple(curves.of[i])))
            self.examples += trials[-1].last * cell["batch_size"]
        return trials

    def looks(self, batch_size: int, number: int) -> dict:
        """When to evaluate the trial of this number: at the product's own steps."""
        plan = Plan(batch_size=batch_size)
        early = plan.early(self.eval_examples, self.early_looks)
        return {"number": number, "every": plan.every(self.eval_examples), "early": early}

    def every(self, batch_size: int) -> int:
        return Plan(batch_size=batch_size).every(self.eval_examples)

    def step_nums(self, trial: Trial) -> int:
        return min(trial.plan.steps, rules.with_margin(rules.convergence(METRIC, trial), self.every(trial.plan.batch_size)))

    def seeded(self, cells: list[dict], first: list[Trial]) -> list[list[Trial]]:
        """The cells with all seeds; the first seed's trials are there."""
        more = self.run([cell | {"seed": seed} for cell in cells for seed in range(self.seed + 1, self.seed + REPEATS)])
        each = REPEATS - 1
        return [[trial, *more[i * each : (i + 1) * each]] for i, trial in enumerate(first)]


def by_hand(hand: Hand, max_steps: int, small: bool) -> dict:
    """The three stages; the winner."""
    sweep = hand.run([{**PLAIN, "lr": lr, "batch_size": 64, "momentum": 0.9, "steps": max_steps} for lr in LRS])
    sound = [trial for trial in sweep if math.isfinite(trial.points[-1].values["train_loss"])]
    best = rules.deep(METRIC, sound)[0].plan
    steps = hand.step_nums(rules.deep(METRIC, sound)[0])

    cells = []
    for batch in stage2.BATCH_SIZES[:: 3 if small else 1]:
        for momentum in stage2.MOMENTA[:: 3 if small else 1]:
            growth = batch / 64 * (1 - momentum) / (1 - 0.9)
            lr = best.lr * growth
            long = math.ceil(steps * 64 / batch / hand.every(batch)) * hand.every(batch)
            cells.append({**PLAIN, "lr": lr, "batch_size": batch, "momentum": momentum, "steps": long, "growth": growth})
    grid = hand.run(cells)
    sound = [trial for trial in grid if math.isfinite(trial.points[-1].values["train_loss"])]
    leaders = rules.deep(METRIC, sound)[:3]
    repeated = hand.seeded([cells[trial.number] for trial in leaders], leaders)
    place = verdict(METRIC, repeated, cheap=lambda trials: trials[0].plan.steps).place
    cell, steps = cells[leaders[place].number], hand.step_nums(repeated[place][0])
    cell = cell | {"steps": steps}
    control = [cut(trial, steps) for trial in repeated[place]]

    def linear(start: int) -> tuple:
        return ("linear", start, 1.0, min(100, max(1, (steps - start) // 10)))

    [first] = hand.run([cell | {"decay": linear(0)}])
    [lazy] = hand.seeded([cell | {"decay": linear(0)}], [first])
    helps = verdict(METRIC, [control, lazy], cheap=lambda trials: trials is lazy)
    if helps.tie or helps.place == 0:
        return cell
    every = hand.every(cell["batch_size"])
    start = max(every, int(stage3.BEFORE * rules.peak(METRIC, control)) // every * every)
    drops = (max(1, (steps - start) // 8), max(1, (steps - start) // 4))
    decays = [("exponential", start, factor, drop) for factor in stage3.FACTORS for drop in drops]
    decays += [linear(start), ("cosine", *linear(start)[1:]), ("sqrt", *linear(start)[1:])]
    tails = hand.run([cell | {"decay": decay} for decay in decays])
    top = sorted(tails, key=lambda trial: -trial.latest(METRIC.name))[:2]
    chosen = [cell | {"decay": decays[trial.number]} for trial in top]
    finals = [lazy, *hand.seeded(chosen, top)]
    place = verdict(METRIC, finals, cheap=lambda trials: trials is not lazy).place
    return [cell | {"decay": linear(0)}, *chosen][place]


def cut(trial: Trial, steps: int) -> Trial:
    """The trial as it stood after so many steps."""
    return Trial(trial.number, trial.plan.upto(steps), points=tuple(point for point in trial.points if point.step <= steps))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, required=True)
    parser.add_argument("--eval-examples", type=int, required=True)
    parser.add_argument("--early-looks", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--cell", type=json.loads)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    hand = Hand(given.eval_examples, given.early_looks, given.seed)
    if given.cell:
        again = hand.run([given.cell | {"seed": given.seed + i} for i in range(given.seeds)])
        print(json.dumps([trial.latest(METRIC.name) for trial in again]))
        return
    cell = by_hand(hand, given.max_steps, given.small)
    print(json.dumps({"cell": cell, "examples": hand.examples}))


if __name__ == "__main__":
    main()
