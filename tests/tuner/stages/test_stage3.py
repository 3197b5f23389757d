"""Stage 3 on hand-drawn terrains: a plateau, a canyon, the text's rule for classic decays, and the trunk they share."""

import math

import pytest

from studies.errors import StageError
from studies.plan import Plan, Segment, constant
from studies.schedule import Constant, Exponential, Warmup
from studies.trial import Point, Trial
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil
from tuner.stages.rules import peak
from tuner.stages.stage import run_stage
from tuner.stages.stage3 import Stage3

START = constant(Plan(batch_size=10), 0.1, 6_000)
STAGE = Stage3(ACCURACY, eval_examples=1_000)
NOISE = (0.0, 0.002, -0.002)


def terrain(gain, peak=3_000):
    """Accuracy peaks at `peak` under the constant rate; what has been decayed by then and later adds up to `gain`."""

    def draw(plan, step):
        risen = 0.9 * min(1.0, step / peak) - 0.02 * max(0, step - peak) / peak
        calm = 1 - plan.at(step - 1) / plan.lr
        young = max(0.0, 1 - step / peak) * calm
        return 2.3 * math.exp(-step / 1_000) + 0.01, risen + gain * calm - 0.3 * young + NOISE[plan.seed % 3] + 1e-4 * (
            plan.id < "8"
        )

    return draw


def conclude(draw, stage=STAGE):
    study, runner = Notebook(), Pencil(draw, stage.eval_examples)
    return run_stage(stage, START, study, runner), study, runner


def test_flat_terrain_is_decided_insensitive_and_nothing_more_is_tried():
    decision, study, _ = conclude(terrain(0.001))
    assert decision.winner == START
    assert "Insensitive" in decision.words[0]
    assert {row.plan.segments[-1].rate.shape for row in study.rows} == {"constant", "linear"}


def test_a_decay_that_hurts_is_not_taken():
    decision, _, _ = conclude(terrain(-0.1))
    assert decision.winner == START and not decision.tie
    assert "which is worse" in decision.words[0]


def test_of_a_decay_that_breaks_it_is_said_that_nothing_is_known():
    decision, _, _ = conclude(lambda plan, step: (math.nan, 0.9) if plan.at(step - 1) < 0.05 else terrain(0.05)(plan, step))
    assert decision.winner == START
    assert decision.words[0].startswith("The lazy linear decay diverged") and "not known" in decision.words[0]


def test_of_a_decay_that_ends_without_a_number_it_is_not_said_to_be_worse():
    def draw(plan, step):
        loss, accuracy = terrain(0.05)(plan, step)
        return loss, math.nan if plan.at(step - 1) < 0.05 else accuracy

    decision, _, _ = conclude(draw)
    assert decision.winner == START
    assert decision.words[0].startswith("The lazy linear decay ended without a finite accuracy. Whether decay helps is not known")


def test_the_lazy_decay_gets_further_seeds_only_where_it_is_ahead():
    for gain, seeds in ((-0.1, {0}), (0.001, {0, 1, 2})):
        decision, study, _ = conclude(terrain(gain))
        lazy = [row.plan for row in study.rows if row.plan.segments[-1].rate.shape == "linear"]
        assert {plan.seed for plan in lazy} == seeds
        assert ("under the first seed" in decision.words[0]) is (len(seeds) == 1)


def test_a_canyon_is_decayed_into():
    decision, _, _ = conclude(terrain(0.05))
    assert decision.winner.segments[-1].rate.shape != "constant"
    assert decision.marks["lazy_gain"] > 0.03
    assert "Decay helps" in decision.words[0]


def test_of_a_plateau_the_last_step_is_the_peak():
    def shaky(step, until):  # up to 0.9 in 1,000 steps, down again after `until`, and every other evaluation a little higher
        return 0.9 * min(1.0, step / 1_000) - 1e-4 * max(0, step - until) + 0.005 * (step // 100 % 2)

    for until in (1_000, 3_000, 6_000):
        points = tuple(Point(step, {"accuracy": shaky(step, until)}) for step in range(100, 6_001, 100))
        assert abs(peak(ACCURACY, [Trial(0, START, points=points)]) - until) <= 200


def test_decay_starts_shortly_before_the_peak_and_has_halved_the_rate_there():
    plans = [plan for plan, _ in STAGE.candidates(START, peak=3_000)]
    assert {plan.segments[0].steps for plan in plans} == {2_700}
    assert all(plan.at(3_000) <= 0.05 for plan in plans if isinstance(plan.segments[-1].rate, Exponential))
    slow = Stage3(ACCURACY, 1_000, factors=(0.9,), intervals=(500,))
    assert not any(isinstance(plan.segments[-1].rate, Exponential) for plan, _ in slow.candidates(START, peak=3_000))


def test_what_is_asked_for_is_tried():
    stage = Stage3(ACCURACY, 1_000, starts=(1_000, 2_000), factors=(0.5,), intervals=(100, 200))
    exponential = [plan for plan, _ in stage.candidates(START, 3_000) if isinstance(plan.segments[-1].rate, Exponential)]
    assert {(plan.segments[0].steps, plan.segments[-1].rate.interval) for plan in exponential} == {
        (b, i) for b in (1_000, 2_000) for i in (100, 200)
    }


def test_what_is_asked_for_and_not_tried_is_named():
    stage = Stage3(ACCURACY, 1_000, factors=(0.9, 0.5), intervals=(500,))
    told = "x 0.9 every 500 from step 2700: not tried, as more than half of the rate would be left at step 3100"
    assert [warning for warning in conclude(terrain(0.05), stage)[0].warnings if warning.startswith(told)]
    assert not any("not tried" in warning for warning in conclude(terrain(0.05))[0].warnings)


def test_a_decay_may_start_at_the_first_step():
    """As the cosine of method/002 does."""
    plans = [plan for plan, _ in Stage3(ACCURACY, 1_000, starts=(0,)).candidates(START, peak=3_000)]
    assert {len(plan.segments) for plan in plans} == {1}
    shapes = [plan.segments[0].rate.shape for plan in plans]
    assert "cosine" in shapes and "linear" not in shapes  # which is the lazy one


def test_every_decay_forks_from_the_trunk():
    _, study, _ = conclude(terrain(0.05))
    tails = [
        row.plan for row in study.rows if row.plan.segments[-1].rate.shape not in ("constant", "linear") and row.plan.seed == 0
    ]
    assert len(tails) >= 4
    assert all(START.common(plan) == plan.segments[0].steps for plan in tails)


def test_a_peak_that_moves_back_far_brings_later_starts():
    def late(plan, step):
        loss, accuracy = terrain(0.05)(plan, step)
        return loss, accuracy + (0.1 * step / 6_000 if plan.segments[-1].rate.shape != "constant" else 0.0)

    _, study, _ = conclude(late)
    assert max(sum(s.steps for s in row.plan.segments[:-1]) for row in study.rows) > 3_000


def test_the_order_of_arrival_changes_nothing():
    study, runner = Notebook(), Pencil(terrain(0.05), 1_000, backwards=True)
    assert run_stage(STAGE, START, study, runner) == conclude(terrain(0.05))[0]


def test_one_seed_falls_back_on_the_wobble_of_the_run():
    decision, _, _ = conclude(terrain(0.05), Stage3(ACCURACY, 1_000, repeats=1))
    assert decision.interval is None and decision.winner != START
    flat, _, _ = conclude(terrain(0.001), Stage3(ACCURACY, 1_000, repeats=1))
    assert not any("seed" in told.replace("under one seed", "") for one in (decision, flat) for told in (*one.words, one.rule))


WARMED = START.but(
    segments=(Segment(steps=500, rate=Warmup(start=0.01, lr=0.1, over=500)), Segment(steps=5_500, rate=Constant(lr=0.1)))
)


def test_a_warm_up_stays_what_it_was():
    study, runner = Notebook(), Pencil(terrain(0.05), 1_000)
    run_stage(STAGE, WARMED, study, runner)
    assert all(row.plan.upto(500) == WARMED.upto(500).but(seed=row.plan.seed) for row in study.rows)


def test_starts_outside_of_the_constant_rate_are_named_and_none_at_all_is_an_error():
    told = "--starts: expected steps from 500 to 5999, where the rate is constant; got 100, 499, 6000"
    stage = Stage3(ACCURACY, 1_000, starts=(100, 499, 6_000, 2_000))
    study = Notebook()
    assert told in run_stage(stage, WARMED, study, Pencil(terrain(0.05), 1_000)).warnings
    assert {sum(s.steps for s in row.plan.segments[:-1]) for row in study.rows} == {500, 2_000}  # the lazy one's and what is left
    runner = Pencil(terrain(0.05), 1_000)
    with pytest.raises(StageError, match=f"stage3: {told}$"):
        run_stage(Stage3(ACCURACY, 1_000, starts=(100, 499, 6_000)), WARMED, Notebook(), runner)
    assert not runner.asked
