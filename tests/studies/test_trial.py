"""What does a trial answer about itself?"""

import math

import pytest

from studies.plan import Plan, constant
from studies.trial import Metric, Point, State, Trial

PLAN = constant(Plan(), 0.1, 30)


def test_curves_are_read_where_they_were_measured():
    points = (Point(10, {"train_loss": 2.0}), Point(20, {"train_loss": 1.0, "accuracy": 0.5}), Point(30, {"accuracy": 0.6}))
    trial = Trial(0, PLAN, points=points)
    assert trial.curve("train_loss") == [(10, 2.0), (20, 1.0)]
    assert trial.curve("accuracy", upto=20) == [(20, 0.5)]
    assert (trial.latest("train_loss"), trial.latest("accuracy")) == (1.0, 0.6) and math.isnan(trial.latest("f1"))
    assert trial.last == 30 and Trial(0, PLAN).last == 0


@pytest.mark.parametrize("state, broken", [(s, s in (State.DIVERGED, State.FAILED)) for s in State])
def test_only_what_broke_is_broken(state, broken):
    assert Trial(0, PLAN, state).broken is broken


def test_better_is_where_the_metric_says():
    assert Metric(name="accuracy", mode="max").gain(0.9, over=0.8) == pytest.approx(0.1)
    assert Metric(name="loss", mode="min").gain(0.9, over=0.8) == pytest.approx(-0.1)
