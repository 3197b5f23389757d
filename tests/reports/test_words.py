"""Do numbers and plans read as a person would write them?"""

import math

import pytest

from reports import words
from studies.finish import Fold, Views
from studies.plan import Ensemble, Plan, Segment, constant
from studies.schedule import Linear, Warmup
from tests.reports.sample import TRACE, stage3


@pytest.mark.parametrize(
    "value, told",
    [
        (0.1, "0.1"),
        (1e-5, "1e-5"),
        (3.2e20, "3.2e20"),
        (6000, "6,000"),
        (12345.6, "12,346"),
        (-0.0, "0"),
        (0.98765, "0.9877"),
        (0.0, "0"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers(value, told):
    assert words.number(value) == told


@pytest.mark.parametrize(
    "value, interval, told",
    [
        (0.98061, (0.97613, 0.98509), "0.981 (0.976 to 0.985)"),
        (27.731, (27.6, 27.9), "27.73 (27.60 to 27.90)"),
        (0.955, (0.61, 1.3), "0.95 (0.61 to 1.30)"),
        (0.98, (0.9, 1.06), "0.98 (0.90 to 1.06)"),
        (0.5, (0.5, 0.5), "0.5 (0.5 to 0.5)"),
        (2.5e-9, (2.4e-9, 2.6e-9), "2.5e-9 (2.4e-9 to 2.6e-9)"),
        (0.5, (-0.04, 1.04), "0.5 (0.0 to 1.0)"),
        (0.98061, None, "0.9806"),
        (None, None, "–"),
    ],
)
def test_a_value_and_its_interval(value, interval, told):
    assert words.measured(value, interval) == told


def test_values_that_are_compared_have_the_same_decimals():
    assert words.alike([0.95, 0.967, math.nan, 0.9]) == ["0.95", "0.97", "–", "0.90"]
    assert words.alike([0.9501, 0.9502]) == ["0.9501", "0.9502"]
    assert words.alike([1500.0, 1501.5]) == ["1,500", "1,502"]
    assert words.alike([]) == [] and words.alike([0.5]) == ["0.5"]


@pytest.mark.parametrize("seconds, told", [(0.04, "0.0 s"), (59.6, "1 min 0 s"), (431, "7 min 11 s"), (9000, "2 h 30 min")])
def test_durations(seconds, told):
    assert words.duration(seconds) == told


def test_schedules_say_what_the_rate_does():
    warm = Plan().then(Segment(steps=100, rate=Warmup(lr=0.1, start=0.01, over=100)))
    assert words.schedule(Plan(segments=[Segment(steps=1, rate=Warmup(lr=0.1, start=0.01, over=1))])).endswith("over 1 step")
    told = words.schedule(warm.then(Segment(steps=900, rate=Linear(lr=0.1, over=900, interval=100))))
    assert told == "warm-up from 0.01 over 100 steps, linear to 0 from step 100"
    assert words.schedule(stage3().decision.winner) == "constant, x 0.5 every 400 from step 2,700"
    assert words.schedule(constant(Plan(), 0.1, 50).then(constant(Plan(), 0.4, 900).segments[0])) == (
        "constant at 0.1, constant from step 50"
    )
    assert words.plan(constant(Plan(), 0.1, 1)) == "lr 0.1, batch size 64, momentum 0.9, 1 step, sgd, constant"


def test_of_a_traceback_the_line_that_names_the_exception_counts():
    assert words.last_line(TRACE).startswith("ValueError: ")
    assert words.last_line(f"{TRACE}  and so on\nto its end\n") == words.last_line(TRACE)
    caused = "During handling of the above exception, another exception occurred:"
    assert words.last_line(f"{TRACE}\n{caused}\n\n{TRACE.replace('ValueError', 'my.Empty')}more").startswith("my.Empty: ")
    assert words.last_line("no traceback,\ntwo lines\n") == "two lines"
    assert words.last_line("\n \n") == ""


def test_a_terminal_gets_no_control_codes():
    assert words.plain("red \x1b[31m\r\x07\nnext") == "red  [31m  \nnext"


@pytest.mark.parametrize(
    "finish, told",
    [
        (Fold(index=0, of=5), "fold 1 of 5"),
        (Views(mirror=True, shift=1), "with mirror images and shifts by 1"),
        (Ensemble(members=(Plan(), Plan(seed=1))), "ensemble of 2"),
    ],
)
def test_a_plan_says_what_is_done_at_last(finish, told):
    plan = constant(Plan(), 0.1, 10).but(finish=finish)
    assert words.plan(plan).endswith(f", {told}") and words.brief(plan).endswith(f", {told}")
    plan = plan.but(seed=2)
    assert words.plan(plan).endswith(f", {told}, seed 2") and words.brief(plan).endswith(f", {told}, seed 2")
