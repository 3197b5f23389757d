"""The time left follows from the steps that were seen to be done, and is not made up before there are any."""

from reports.dashboard.pace import OVER, Pace


def test_what_is_left_takes_as_long_as_at_the_pace_seen_lately():
    pace = Pace()
    assert pace.left("roses", 100.0, 0, 1000) is None
    assert pace.left("roses", 110.0, 100, 1000) == 90.0
    assert pace.left("tulips", 110.0, 100, 1000) is None
    assert pace.left("roses", 100.0 + OVER + 1, 200, 2100) == (2100 - 200) * (OVER - 9) / 100


def test_nothing_is_said_while_nothing_moves():
    pace = Pace()
    assert [pace.left("roses", now, 50, 100) for now in (0.0, 60.0, 120.0)] == [None] * 3
