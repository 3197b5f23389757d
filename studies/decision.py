"""What was decided, by which rule, on which numbers, at what cost?"""

from typing import Annotated, Any

from pydantic import Field

from studies.plan import Plan
from studies.trial import Metric, State
from studies.value import Natural, NonNegative, Value

QUESTIONS = {
    "stage1": "Which learning rate, and how many steps?",
    "stage2": "Which batch size and which momentum, jointly?",
    "stage3": "Does decaying the learning rate help, and how?",
    "stage4": "Which tricks of the bag help, and by how much?",
    "stage5": "What do folds, views, ensembles and pruning make of the winner?",
}
"""What each stage is to find out."""

RUN = ("stage1", "stage2", "stage3")
"""The stages of `tune run`. The bag of tricks, stage 4, and the finish, stage 5, are there on request."""

FINISH = "stage5"
"""It chooses no winner: it tells what else can be made of the one there is."""


class Cost(Value):
    """What a stage took.

    steps_trained: optimizer updates; steps_shared: needed but found in a checkpoint of another trial; steps_saved: not
    trained because a race dropped them. seconds: of training, summed over trials.
    """

    trials: Natural = 0
    steps_trained: Natural = 0
    steps_shared: Natural = 0
    steps_saved: Natural = 0
    examples_trained: Natural = 0
    seconds: NonNegative = 0.0


class Candidate(Value):
    """One row of the evidence: a plan that stood for election.

    label: how the stage calls it ("lr 0.01"). trials: numbers of its rows, one a seed.
    value: the metric at its end, mean over the seeds; interval: 95 %, where there are two seeds or more.
    state: what its rows are closed as. outcome: in a few words, "winner", or why it is not.
    """

    label: str
    plan: Plan
    trials: tuple[int, ...] = ()
    value: float | None = None
    interval: tuple[float, float] | None = None
    state: State = State.COMPLETE
    outcome: str = ""


class Decision(Value):
    """The written decision in which every stage ends; report, dashboard and `--json` show this record.

    stage: "stage1", ...; question: what it was to find out.
    winner: the plan that goes on; values: its metric, one a seed, with their mean and its interval (95 %).
    margin: by how much the winner's value is better than the runner-up's; tie: no more than seed noise, so the cheaper
    of the two was taken.
    rule: how it was decided, in a sentence. words: the decision for a reader, sentence by sentence.
    evidence: the candidates, best first. marks: named numbers for the figures (the step of convergence, ...).
    """

    stage: str
    question: str
    metric: Metric
    winner: Plan
    value: float | None
    interval: tuple[float, float] | None = None
    values: tuple[float, ...] = ()
    rule: str
    runner_up: Plan | None = None
    margin: float | None = None
    tie: bool = False
    warnings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    evidence: tuple[Candidate, ...] = ()
    marks: Annotated[dict[str, float], Field(default_factory=dict)]
    cost: Cost = Cost()

    def summary(self) -> dict[str, Any]:
        """The decision as one of the `stages` of `--json` (DESIGN.md, contract: commands)."""
        cost = self.cost.model_dump()
        return {
            "name": self.stage,
            "winner": self.winner.describe(),
            "metric": self.metric.name,
            "value": self.value,
            "interval": self.interval,
            "rule": self.rule,
            "margin": self.margin,
            "tie": self.tie,
            "warnings": list(self.warnings),
            **cost,
        }
