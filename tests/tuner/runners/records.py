"""What did a run report, and what did it train?"""

from collections import Counter
from pathlib import Path

from studies.plan import Plan
from studies.trial import Point, State

BASE = Plan(batch_size=8, momentum=0.5)


class Records:
    """What was reported, plan by plan."""

    def __init__(self):
        self.points: dict[Plan, dict[int, Point]] = {}
        self.ended: dict[Plan, State] = {}
        self.errors: dict[Plan, str] = {}
        self.begun: dict[Plan, int] = {}

    def __call__(self, progress):
        assert progress.plan not in self.ended
        points = self.points.setdefault(progress.plan, {})
        for point in progress.points:
            assert points.setdefault(point.step, point).values == point.values
        self.begun[progress.plan] = max(progress.begun, self.begun.get(progress.plan, 0))
        if progress.ended:
            self.ended[progress.plan], self.errors[progress.plan] = progress.ended, progress.error

    def values(self):
        """The curves without their times, exactly."""
        return {plan: [(step, dict(points[step].values)) for step in sorted(points)] for plan, points in self.points.items()}


def steps_trained(job) -> Counter:
    """(seed, momentum, step) -> how often."""
    notes = Path(job.task.partition(":")[0]).with_name("steps.txt")
    return Counter(tuple(line.split()[:3]) for line in notes.read_text().splitlines())


def run(runner, plans) -> Records:
    records = Records()
    runner.run(plans, records)
    return records
