"""Does every step get the rate that its schedule's source says?"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.schedule import Constant, Cosine, Exponential, Linear, Restarts, Sqrt, Warmup


@pytest.mark.parametrize(
    "schedule, expected",
    [
        (Constant(lr=0.1), {0: 0.1, 10**9: 0.1}),
        (Warmup(lr=1.0, start=0.2, over=4), {0: 0.4, 1: 0.6, 3: 1.0, 4: 1.0, 100: 1.0}),
        (Linear(lr=1.0, over=1000, interval=100), {0: 1.0, 99: 1.0, 100: 0.9, 550: 0.5, 999: 0.1, 1000: 0.0, 5000: 0.0}),
        (Linear(lr=1.0, over=10, end=0.5), {0: 1.0, 5: 0.75, 10: 0.5, 11: 0.5}),
        (Exponential(lr=1.0, factor=0.5, interval=100), {0: 0.5, 99: 0.5, 100: 0.25, 299: 0.125}),
        (Cosine(lr=1.0, over=100, end=0.2), {0: 1.0, 50: 0.6, 100: 0.2, 200: 0.2}),
        (Restarts(lr=1.0, over=4, growth=2, interval=2), {0: 1.0, 1: 1.0, 2: 0.5, 3: 0.5, 4: 1.0, 6: 0.853553, 8: 0.5, 12: 1.0}),
        (Sqrt(lr=1.0, over=100), {0: 1.0, 25: 0.5, 81: 0.1, 100: 0.0, 101: 0.0}),
    ],
)
def test_rates(schedule, expected):
    assert {step: schedule.at(step) for step in expected} == pytest.approx(expected)


def test_cosine_and_exponential_are_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(51):
        assert Cosine(lr=0.1, over=50).at(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        cosine.step()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.5)
    for step in range(40):
        if step >= 7:  # ours has its first drop at its first step, where StepLR has been held for one interval
            assert Exponential(lr=0.1, factor=0.5, interval=7).at(step - 7) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        steps.step()


@pytest.mark.parametrize("growth", [1, 2, 3])
def test_restarts_are_torchs(growth):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    warm = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=7, T_mult=growth, eta_min=0.01)
    for step in range(100):
        assert Restarts(lr=0.1, over=7, growth=growth, end=0.01).at(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        warm.step()


shapes = st.one_of(
    st.builds(Linear, lr=st.just(0.1), over=st.integers(1, 50), interval=st.integers(1, 9)),
    st.builds(Exponential, lr=st.just(0.1), factor=st.just(0.5), interval=st.integers(1, 9)),
    st.builds(Cosine, lr=st.just(0.1), over=st.integers(1, 50), interval=st.integers(1, 9)),
    st.builds(Sqrt, lr=st.just(0.1), over=st.integers(1, 50), interval=st.integers(1, 9)),
)


@settings(max_examples=50, deadline=None)
@given(shapes, st.integers(0, 80))
def test_a_decay_never_rises_never_falls_below_zero_and_holds_until_it_says(schedule, step):
    assert 0 <= schedule.at(step + 1) <= schedule.at(step) <= schedule.lr
    assert {schedule.at(between) for between in range(step, int(schedule.until(step)))} == {schedule.at(step)}
    assert schedule.until(step) > step


def test_a_constant_holds_for_ever():
    assert Constant(lr=0.1).until(5) == math.inf


@pytest.mark.parametrize(
    "content", [{"lr": 0.0}, {"lr": math.inf}, {"lr": 0.1, "over": 0}, {"lr": 0.1, "over": 10, "interval": 0}]
)
def test_a_schedule_checks_itself(content):
    with pytest.raises(ValueError):
        Linear(**{"over": 10, **content})
