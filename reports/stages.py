"""What is told of one stage? Its trials, and its decision once there is one."""

from collections.abc import Sequence
from dataclasses import dataclass

from studies.decision import Decision
from studies.ledger import Store
from studies.trial import Metric, Trial


@dataclass(frozen=True)
class StageResults:
    """One stage of a study, as figures, tables and words are made of it.

    name: "stage1", ...; metric: what decides in it; decision: None while it has not ended.
    """

    name: str
    metric: Metric
    trials: Sequence[Trial]
    decision: Decision | None = None

    @property
    def title(self) -> str:
        """For a reader: "Stage 1"."""
        number = self.name.removeprefix("stage")
        return f"Stage {number}" if number.isdecimal() else self.name


def results(store: Store, study: str, points: int | None = None) -> list[StageResults]:
    """What is known of a study, stage by stage; curves thinned to about so many points."""
    decisions = {decision.stage: decision for decision in store.decisions(study)}
    return [
        StageResults(name, store.metric(study, name), store.trials(study, name, points), decisions.get(name))
        for name in store.stages(study)
    ]
