"""Who wins among leaders that were repeated with other seeds?"""

import pytest

from studies.plan import Plan, constant
from studies.trial import Point, Trial
from tests.tuner.stages.curves import ACCURACY
from tuner.stages.evidence import verdict

SPREAD = (-0.01, 0.0, 0.01)  # over the seeds; the standard error of a difference of two such means is 0.0082


def leader(lr, value):
    plan = constant(Plan(), lr, 10)
    return [Trial(seed, plan.but(seed=seed), points=(Point(10, {"accuracy": value + by}),)) for seed, by in enumerate(SPREAD)]


@pytest.mark.parametrize(
    ("behind", "taken", "tie"),
    [
        (0.004, "cheap", True),  # within a standard error: as good as the best
        (0.012, "best", True),  # seeds alone could make the difference, but that does not make it none
        (0.1, "best", False),
    ],
)
def test_the_cheaper_is_taken_only_if_it_is_about_as_good(behind, taken, tie):
    leaders = [leader(0.1, 0.9), leader(0.01, 0.9 - behind)]
    won = verdict(ACCURACY, leaders, cheap=lambda trials: trials[0].plan.lr)
    assert (("best", "cheap")[won.place], won.tie) == (taken, tie)
    assert won.margin == pytest.approx(behind if taken == "best" else -behind)
