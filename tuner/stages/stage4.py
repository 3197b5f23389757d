"""Stage 4: which tricks of the bag help, and by how much?

Regularisation is off while stages 1 to 3 look for the optimum of the loss (method/004); here it is tuned, as the table of
method/002 does (He et al. 2018, arXiv:1812.01187): each trick by itself, on and off, over shared seeds; then those that help are
stacked, the best first, as long as each still helps on top of the others. Finished trainings only: what regularises is slower at
first, so a race would leave it behind.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.plan import Plan
from studies.recipe import Dropout, Recipe
from studies.trial import Metric, Trial
from studies.words import recipe as in_words
from tuner.stages.evidence import Gain, candidate, decision, gain, over_seeds, reason, sample, show, sound, verdict, with_seeds
from tuner.stages.stage import Elected, Results, Search, own

BAG: Mapping[str, Any] = {
    "weight_decay": 1e-4,
    "dropout": 0.5,
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "sample_pairing": 0.5,
    "flip": 0.5,
    "color_jitter": True,
    "randaugment": True,
}
"""What is tried where nothing is named, as far as the task can take it; with the values that texts and papers begin with."""

PATIENT = ("mixup", "cutmix")
"""They make every example harder, and so want more steps than others (method/002 has 300 epochs for 120)."""

PIXELS = {"crop": 1 / 8, "cutout": 1 / 4}
"""Of an image's side; in the papers' images of 32 x 32, 4 and 8 pixels."""


def bag(side: int) -> Mapping[str, Any]:
    """BAG, and the parts that are measured in pixels, for images of so many a side."""
    return {**BAG, **{name: max(1, round(share * side)) for name, share in PIXELS.items()}}


@dataclass(frozen=True)
class Stage4(Search):
    """The bag of tricks, from stage 3's winner.

    tricks: recipes of one part each. One that the start has on already, so, is tried off. repeats: seeds.
    """

    metric: Metric
    tricks: tuple[Recipe, ...]
    repeats: int = 3
    name: str = "stage4"

    def conclude(self, start: Plan, results: Results) -> Decision:
        base, *alone = results.see_each(with_seeds(plan, self.repeats) for plan in (start, *self._alone(start)))
        if broken := next((trial for trial in base if trial.broken), None):
            raise StageError(f"stage4: what it starts from {reason(broken)}; tune stage 3 again")
        gains = [gain(self.metric, trials, base) for trials in alone]
        best, stacks = base, list[list[Trial]]()
        for place in sorted(range(len(alone)), key=lambda place: -gains[place].mean):
            if gains[place].mean <= 0:
                break
            stacked = _toggled(best[0].plan, self.tricks[place])
            [higher] = results.see_each([with_seeds(stacked, self.repeats)])
            if higher not in alone:  # the first is no stack, nor is another value in its place
                stacks.append(higher)
            if verdict(self.metric, [best, higher], cheap=_parts).place == 1:
                best = higher
        return self._decision(results, base, alone, gains, stacks, best)

    def most(self, start: Plan) -> list[Plan]:
        alone, stack = self._alone(start), [start]
        for trick in self.tricks:
            stack.append(_toggled(stack[-1], trick))
        return [seeded for plan in (start, *alone, *stack[2:]) for seeded in with_seeds(plan, self.repeats)]

    def elect(self, start: Plan, results: Results, plan: Plan) -> Elected:
        """As it is, repeated with the other seeds."""
        plan = own(start, results, plan).to(start.steps)
        return Elected(self._label(start, plan), results.see(with_seeds(plan, self.repeats)), {})

    def _alone(self, start: Plan) -> list[Plan]:
        return [_toggled(start, trick) for trick in self.tricks]

    def _decision(
        self,
        results: Results,
        base: list[Trial],
        alone: list[list[Trial]],
        gains: list[Gain],
        stacks: list[list[Trial]],
        best: list[Trial],
    ) -> Decision:
        metric, start, won = self.metric, base[0].plan, best[0].plan
        total = gain(metric, best, base)
        beyond = verdict(metric, [base, best], cheap=_parts) if best is not base else None
        rest = [trials for trials in (*alone, *stacks) if trials != best and sound(metric, trials)]
        others = (base, *rest) if best is not base else rest
        second = max(others, key=lambda trials: gain(metric, trials, base).mean, default=None)
        margin = total.mean - gain(metric, second, base).mean if second else None
        told = "Nothing in the bag helps: the training stays as it is."
        if best is not base:
            without, having = (show(sample(metric, trials).mean) for trials in (base, best))
            told = f"{self._label(start, won)} helps: {metric.name} {without} without, {having} with it."
        return decision(
            self.name,
            metric,
            best,
            results,
            rule=f"finished trainings {over_seeds(self.repeats)}; what gains more than a standard error is stacked",
            runner_up=second[0].plan if second else None,
            margin=margin,
            tie=bool(beyond and beyond.tie) or (margin or 0.0) < 0,  # better, but by less than a standard error
            warnings=tuple(self._warnings(start, alone)),
            words=(
                told,
                *(["Seeds alone could make that difference: a tie, so do not count on it."] if beyond and beyond.tie else []),
                f"{len(alone)} tricks were tried by themselves, and {len(stacks)} stacks of them.",
                *self._impatient(won),
                *([f"Together they take {total.slower:.2f} times the time a step."] if best is not base else []),
            ),
            evidence=tuple(self._evidence(base, alone, gains, stacks, best)),
            marks={self._label(start, trials[0].plan): one.mean for trials, one in zip(alone, gains) if math.isfinite(one.mean)},
        )

    def _impatient(self, won: Plan) -> Iterable[str]:
        out = {name for trick in self.tricks for name, _ in trick.parts() if not getattr(won.recipe, name)}
        if short := " and ".join(name for name in PATIENT if name in out):
            yield f"With no more steps than the rest, {short} may be worth more than it seems."

    def _evidence(
        self, base: list[Trial], alone: list[list[Trial]], gains: list[Gain], stacks: list[list[Trial]], best: list[Trial]
    ) -> Iterable[Candidate]:
        start = base[0].plan
        by_gain = sorted(zip(alone, gains), key=lambda pair: -pair[1].mean)
        rows = [(trials, _told(one)) for trials, one in by_gain]
        rows += [(trials, f"stacked, {_told(gain(self.metric, trials, base))}") for trials in stacks]
        if best is base:
            yield candidate(self.metric, "as it is", base, "winner")
        for trials, outcome in sorted(rows, key=lambda row: row[0][0].plan != best[0].plan):
            won = trials[0].plan == best[0].plan
            yield candidate(self.metric, self._label(start, trials[0].plan), trials, f"winner, {outcome}" if won else outcome)
        if best is not base:
            yield candidate(self.metric, "as it is", base, "what it is held against")

    def _warnings(self, start: Plan, alone: Sequence[Sequence[Trial]]) -> Iterable[str]:
        for trials in alone:
            if broken := next((trial for trial in trials if trial.broken), None):
                yield f"{self._label(start, broken.plan)} {reason(broken)}"

    def _label(self, start: Plan, plan: Plan) -> str:
        """What is on that was not, and off that was: "+ mixup, - dropout"; with its value, if it is tried with several."""
        before, after = dict(start.recipe.parts()), dict(plan.recipe.parts())
        tried = [name for trick in self.tricks for name, _ in trick.parts()]
        told = {name: words if tried.count(name) > 1 else name for name, words in zip(after, in_words(plan))}
        added = [f"+ {told[name]}" for name, part in after.items() if before.get(name) != part]
        return ", ".join([*added, *(f"- {name}" for name in before if name not in after)]) or "as it is"


def _toggled(plan: Plan, trick: Recipe) -> Plan:
    """The plan with the trick's part on; off, if it is what the plan has."""
    [(name, part)] = trick.parts()
    return plan.but(recipe=plan.recipe.model_copy(update={name: None if getattr(plan.recipe, name) == part else part}))


def _parts(trials: Sequence[Trial]) -> int:
    """How much is on: of equals, what does with less. (A dropout of 0 switches the model's own off.)"""
    return sum(part != Dropout(p=0.0) for _, part in trials[0].plan.recipe.parts())


def _told(one: Gain) -> str:
    return f"{one.words}, {one.slower:.2f} times the time"
