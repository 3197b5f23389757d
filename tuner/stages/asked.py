"""What if a person wants it otherwise? A stage around a stage: with more rates, longer curves, or another winner."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studies.decision import Candidate, Decision
from studies.errors import StageError
from studies.plan import Plan
from studies.trial import State, Trial
from studies.wish import Extend, Overrule, Rate, WishRecord, in_force
from tuner.stages.evidence import candidate, cost, reason, sample, show
from tuner.stages.stage import Elected, Results, Search


def heed(stage: Search, wishes: Iterable[WishRecord]) -> Search:
    """The stage as those wishes for it that are in force want it; itself if there are none."""
    asked = in_force(wishes, stage.name)
    rates = [record.wish.lr for record in asked if isinstance(record.wish, Rate)]
    if rates:
        stage = replace(stage, lrs=(*stage.lrs, *rates))
    longer = {record.wish.plan.line: record.wish.plan for record in asked if isinstance(record.wish, Extend)}
    overruling = next((record for record in asked if isinstance(record.wish, Overrule)), None)
    return Asked(stage, tuple(longer.values()), overruling) if longer or overruling else stage


@dataclass(frozen=True)
class Asked(Search):
    """longer: paths that are followed to later ends, for the eye: the rule judges them at the ends that it asks for itself, and
    has decided before they are followed, so that they are nobody's company. overruling: whose winner is taken for the rule's."""

    stage: Search
    longer: Sequence[Plan]
    overruling: WishRecord | None

    @property
    def name(self) -> str:
        return self.stage.name

    def conclude(self, start: Plan, results: Results) -> Decision:
        decision = self.stage.conclude(start, results)
        saved = decision.cost.steps_saved
        if self.overruling:
            decision = self._overruled(decision, start, results, self.overruling)
        seen = {trial.plan.line: trial for trial in results.see(self.longer)}
        evidence = tuple(_followed(one, seen[one.plan.line]) if one.plan.line in seen else one for one in decision.evidence)
        return _but(decision, evidence=evidence, cost=cost(results.seen.values(), saved))

    def most(self, start: Plan) -> list[Plan]:
        """What is followed for the eye is nothing that a later stage may start from, and is left out."""
        return self.stage.most(start)

    def _overruled(self, ruled: Decision, start: Plan, results: Results, record: WishRecord) -> Decision:
        """With this person's winner instead; with the rule's, and a warning, if that one broke or is none of this stage."""
        try:
            elected = self.stage.elect(start, results, record.wish.plan)
            if broken := next((trial for trial in elected.trials if trial.broken), None):
                raise StageError(f"it {reason(broken)}")
            if not sample(ruled.metric, elected.trials).finite:
                raise StageError(f"its {ruled.metric.name} is no finite number")
            of_ruled = self.stage.elect(start, results, ruled.winner).warnings
        except StageError as error:
            warning = f"overruled by {record.who} in favour of lr {show(record.wish.plan.lr)}, which cannot win: {error}"
            return _but(ruled, warnings=(*ruled.warnings, warning))
        general = tuple(warning for warning in ruled.warnings if warning not in of_ruled)
        return _elected(_but(ruled, warnings=general), elected, record)


def _elected(ruled: Decision, elected: Elected, record: WishRecord) -> Decision:
    """What becomes of the rule's decision, its winner's own warnings left out."""
    metric, values, winner = ruled.metric, sample(ruled.metric, elected.trials), elected.trials[0].plan
    mine = candidate(metric, elected.label, elected.trials, f"winner, by {record.who}")
    others = (one for one in ruled.evidence if not {*one.trials} & {*mine.trials})
    told = f"The rule would have taken {ruled.evidence[0].label} ({metric.name} {show(ruled.value)})"
    same, against = winner == ruled.winner, None
    if ruled.value is not None:
        against = metric.gain(values.mean, ruled.value)
        told += f", which is {show(abs(against))} {'better' if against < 0 else 'worse'}" if against else ", which is as good"
    return _but(
        ruled,
        winner=winner,
        value=values.mean,
        interval=values.interval,
        values=values.values,
        rule=f"overruled by {record.who}; the rule is: {ruled.rule}",
        runner_up=ruled.runner_up if same else ruled.winner,
        margin=ruled.margin if same else against,
        tie=ruled.tie and same,
        warnings=(*ruled.warnings, *elected.warnings),
        words=(
            f'{elected.label} is taken because {record.who} says so: "{record.line}".',
            "The rule would have taken it as well." if same else f"{told}.",
            f"It is trained for {winner.steps} steps: {metric.name} {show(values.mean)}.",
        ),
        evidence=(mine, *map(_passed_over, others)),
        marks={**ruled.marks, **elected.marks},
    )


def _but(decision: Decision, **changes: Any) -> Decision:
    """The decision with other values, checked."""
    return Decision(**{**dict(decision), **changes})


def _passed_over(one: Candidate) -> Candidate:
    return one.model_copy(update={"outcome": "what the rule would have taken"}) if one.outcome == "winner" else one


def _followed(one: Candidate, trial: Trial) -> Candidate:
    """A candidate whose trial went on after it had been judged."""
    state = State.COMPLETE if one.state is State.PRUNED else one.state
    how = reason(trial) if trial.broken else f"followed to step {trial.last}"
    return one.model_copy(update={"state": state, "outcome": f"{one.outcome}; then, as asked, {how}"})
