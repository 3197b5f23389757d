"""Stage 5, the finish: what do other folds, other views, several models and fewer weights make of the winner?

What the list of method/004 ends with. Nothing is decided here: each is held against the plain winner, in one table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.finish import Fold, Pruned, Views
from studies.plan import Distilled, Ensemble, Plan, Segment
from studies.schedule import Constant
from studies.trial import Metric, Trial
from tuner.stages.evidence import candidate, decision, gain, over_seeds, reason, sample, show, with_seeds
from tuner.stages.stage import Elected, Results, Search, own

FOLDS = 5
PRUNED = 0.5

TUNING_SHARE = 0.1
"""Of the path, and of its rate: what is pruned is trained a little on, gently (Han et al. 2015, arXiv:1506.02626, 3.3)."""

WAYS = ("folds", "mirror", "shift", "seeds", "leaders", "pruned", "student", "distilled")


@dataclass(frozen=True)
class Stage5(Search):
    """The finish of a winner.

    leaders: the winners of the earlier stages and their best rivals, for an ensemble of different trainings. folds: of the
    cross-validation. pruned: the share of the weights that go. student: the task has a smaller model. skip: of WAYS. repeats:
    seeds.
    """

    metric: Metric
    leaders: tuple[Plan, ...] = ()
    folds: int = FOLDS
    pruned: float = PRUNED
    student: bool = False
    skip: tuple[str, ...] = ()
    repeats: int = 3
    name: str = "stage5"

    def conclude(self, start: Plan, results: Results) -> Decision:
        ways = self.ways(start)
        base, _ = results.see_each([with_seeds(start, self.repeats), _members(ways)])
        if broken := next((trial for trial in base if trial.broken), None):
            raise StageError(f"stage5: the winner itself {reason(broken)}; tune it again")
        found = dict(zip(ways, results.see_each(ways.values())))
        return self._decision(results, base, found)

    def ways(self, start: Plan) -> Mapping[str, list[Plan]]:
        """The plans of each way that is not skipped: one a fold, one a seed for the others, each ensemble of seeds of its own."""
        seeds = tuple(with_seeds(start, self.repeats))
        last = start.segments[-1].rate
        gentle = Segment(steps=max(1, int(TUNING_SHARE * start.steps)), rate=Constant(lr=TUNING_SHARE * last.lr))
        cut = start.then(gentle).but(finish=Pruned(share=self.pruned, at=start.steps))
        different = dict.fromkeys(_under([start, *self.leaders], start.seed))
        apart = [self._apart(start, place) for place in range(self.repeats)]
        rivals = [_under(different, plan.seed) for plan in seeds]
        ways = {
            "folds": [start.but(finish=Fold(index=index, of=self.folds)) for index in range(self.folds)],
            "mirror": [plan.but(finish=Views(mirror=True)) for plan in seeds],
            "shift": [plan.but(finish=Views(shift=1)) for plan in seeds],
            **({"seeds": _ensembles(seeds, apart)} if len(seeds) > 1 else {}),
            **({"leaders": _ensembles(seeds, rivals)} if len(different) > 1 else {}),
            "pruned": with_seeds(cut, self.repeats),
            **({"student": [plan.but(finish=Distilled()) for plan in seeds]} if self.student else {}),
            **({"distilled": [plan.but(finish=Distilled(teachers=seeds)) for plan in seeds]} if self.student else {}),
        }
        return {way: plans for way, plans in ways.items() if way not in self.skip}

    def _apart(self, start: Plan, place: int) -> tuple[Plan, ...]:
        """The start under as many seeds as are repeated, which no other place has."""
        return tuple(with_seeds(start.but(seed=start.seed + place * self.repeats), self.repeats))

    def most(self, start: Plan) -> list[Plan]:
        ways = self.ways(start)
        return [*with_seeds(start, self.repeats), *_members(ways), *(plan for plans in ways.values() for plan in plans)]

    def elect(self, start: Plan, results: Results, plan: Plan) -> Elected:
        """As it is, repeated with the other seeds."""
        plan = own(start, results, plan)
        return Elected(_label(plan), results.see(with_seeds(plan, self.repeats)), {})

    def _decision(self, results: Results, base: list[Trial], found: Mapping[str, list[Trial]]) -> Decision:
        metric = self.metric
        rows = [self._row(way, trials, base) for way, trials in found.items()]
        sure = [row.label for row, trials in zip(rows, found.values()) if self._gains(trials, base)]
        gained = f"more than seed noise is gained by {', '.join(sure) or 'nothing of this'}"
        if self.repeats == 1:
            gained = "one seed does not tell what is gained from its noise"
        return decision(
            self.name,
            metric,
            base,
            results,
            rule=f"each is held against the plain winner, {over_seeds(self.repeats)}; nothing is decided",
            warnings=tuple(self._warnings(found)),
            words=(
                f"The plain winner has {metric.name} {show(sample(metric, base).mean)}; {gained}.",
                *(
                    [f"Over {self.folds} folds of all examples it is {show(fmean(sample(metric, found['folds']).values))}."]
                    if "folds" in found and sample(metric, found["folds"]).finite
                    else []
                ),
            ),
            evidence=(candidate(metric, "plain", base, "winner"), *rows),
        )

    def _gains(self, trials: Sequence[Trial], base: Sequence[Trial]) -> bool:
        """Surely: beyond its interval."""
        if isinstance(trials[0].plan.finish, Fold) or any(trial.broken for trial in trials):
            return False
        return (gain(self.metric, trials, base).interval or (0.0, 0.0))[0] > 0

    def _row(self, way: str, trials: Sequence[Trial], base: Sequence[Trial]) -> Candidate:
        metric, label = self.metric, _label(trials[0].plan, leaders=way == "leaders")
        if any(trial.broken for trial in trials):
            return candidate(metric, label, trials, "")
        told = "what to expect of other examples" if way == "folds" else gain(metric, trials, base).words
        if left := trials[0].points[-1].values.get("parameters_left"):
            told += f", with {100 * left:.0f} % of the parameters; zeros alone make nothing faster"
        return candidate(metric, label, trials, told)

    def _warnings(self, found: Mapping[str, Sequence[Trial]]) -> Iterable[str]:
        if not self.student and not {"student", "distilled"} <= {*self.skip}:
            yield "nothing was distilled: the task has no smaller model; write student(self) beside model(self)"
        for trials in found.values():
            if broken := next((trial for trial in trials if trial.broken), None):
                yield f"{_label(broken.plan)} {reason(broken)}"


def _ensembles(plans: Iterable[Plan], members: Iterable[tuple[Plan, ...]]) -> list[Plan]:
    return [plan.but(finish=Ensemble(members=one)) for plan, one in zip(plans, members)]


def _members(ways: Mapping[str, Sequence[Plan]]) -> list[Plan]:
    """What the ensembles among them are made of."""
    finishes = (plan.finish for plans in ways.values() for plan in plans)
    return list(dict.fromkeys(one for finish in finishes if isinstance(finish, Ensemble) for one in finish.members))


def _under(plans: Iterable[Plan], seed: int) -> tuple[Plan, ...]:
    return tuple(plan.but(seed=seed) for plan in plans)


def _label(plan: Plan, leaders: bool = False) -> str:
    match plan.finish:
        case None:
            return "plain"
        case Fold(of=of):
            return f"{of} folds"
        case Ensemble():
            return f"{plan.finish.words} {'leaders' if leaders else 'seeds'}"
        case Distilled(teachers=teachers) if teachers:
            return f"{plan.finish.words} seeds"
    return plan.finish.words
