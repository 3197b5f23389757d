"""Stage 1 on hand-drawn sweeps: the pick, the number of steps, the edges, and what is spent."""

import math
from dataclasses import replace

import pytest

from studies.errors import StageError
from studies.plan import Plan, constant
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil, falling
from tuner.stages.stage import run_stage
from tuner.stages.stage1 import Stage1

START = Plan(batch_size=10)
EVERY = 100  # steps
STAGE = Stage1(ACCURACY, eval_examples=EVERY * START.batch_size, max_steps=6_400)


def textbook(plan, step):
    """1 diverges, 0.1 is fast and shallow, 0.01 fast and deep, the others too slow."""
    lr = plan.lr
    if lr >= 1:
        return (math.nan if step >= 200 else 5.0), 0.1
    if lr >= 0.1:
        return falling(0.01, 1.2, 0.6)(step)
    return falling(0.2 * lr, 0.01, 0.95)(step)


def conclude(stage, draw, backwards=False):
    study, runner = Notebook(), Pencil(draw, EVERY * START.batch_size, backwards)
    return run_stage(stage, START, study, runner), study, runner


def test_the_curve_that_falls_fast_and_deep_wins():
    decision, _, _ = conclude(STAGE, textbook)
    assert decision.winner.lr == 0.01
    assert {c.label: c.state for c in decision.evidence}["lr 1"] == "diverged"
    assert any("lr 1 diverged" in warning for warning in decision.warnings)


def test_the_number_of_steps_is_where_it_has_converged_and_half_as_much_again():
    decision, _, _ = conclude(STAGE, textbook)
    settled = math.log(1 / 0.02) / (0.2 * 0.01)  # all but 2 % of the descent
    assert decision.marks["converged"] == pytest.approx(settled, abs=2 * EVERY)
    assert decision.winner.steps == pytest.approx(1.5 * settled, abs=3 * EVERY)
    assert decision.winner.steps % EVERY == 0


def test_a_curve_that_has_not_converged_is_followed_to_the_limit_and_says_so():
    decision, _, _ = conclude(
        STAGE, lambda plan, step: falling(0.02 * plan.lr, 0.01, 0.95)(step) if plan.lr < 0.1 else (9.0, 0.1)
    )
    assert decision.winner.steps == 6_400
    assert any("not converged within 6400 steps" in warning for warning in decision.warnings)
    assert f"has settled only at step {decision.marks['converged']:g}; with what fits of the safety margin" in decision.words[1]


def test_a_best_rate_at_the_edge_widens_the_grid():
    decision, study, _ = conclude(Stage1(ACCURACY, EVERY * 10, 6_400, lrs=(1.0, 0.1)), textbook)
    assert decision.winner.lr == 0.01
    assert {row.plan.lr for row in study.rows} == {1.0, 0.1, 0.01, 0.001}


def test_rates_side_by_side_are_widened_by_steps_that_tell_them_apart():
    decision, study, _ = conclude(replace(STAGE, lrs=(0.01, 0.00999)), textbook)
    assert {row.plan.lr for row in study.rows} == {0.00999, 0.01, 0.011, 0.0121, 0.0133}


def test_widening_ends_and_the_edge_is_named():
    decision, study, _ = conclude(
        Stage1(ACCURACY, EVERY * 10, 6_400, lrs=(1e-3, 1e-4)), lambda plan, step: falling(plan.lr, 0.01, 0.9)(step)
    )
    assert max(row.plan.lr for row in study.rows) == 1.0
    assert any("edge of the grid" in warning for warning in decision.warnings)


def test_nothing_is_asked_for_beyond_what_can_be_trained():
    def within(plan):
        return constant(plan, min(max(plan.lr, 0.02), 0.5), plan.steps)

    decision, study, _ = conclude(replace(STAGE, within=within), textbook)
    assert {row.plan.lr for row in study.rows} == {0.5, 0.1, 0.02}
    assert decision.winner.lr == 0.02
    assert any("edge of what can be trained" in warning for warning in decision.warnings)


def test_refining_inserts_the_texts_points_around_the_best():
    decision, study, _ = conclude(Stage1(ACCURACY, EVERY * 10, 6_400, refine=True), textbook)
    assert {0.05, 0.03, 0.007, 0.005, 0.003} <= {row.plan.lr for row in study.rows}
    assert decision.winner.lr == 0.05


def test_the_leader_that_diverges_late_brings_back_those_it_had_outrun():
    def late(plan, step):
        if plan.lr >= 0.1:
            loss, accuracy = falling(0.001, 0.0, 0.99)(step)
            return (math.nan if step > 3_000 else loss), accuracy
        return falling(0.05 * plan.lr, 0.01, 0.9)(step)

    decision, _, _ = conclude(STAGE, late)
    assert decision.winner.lr == 0.01


def test_racing_finds_what_the_exhaustive_sweep_finds_for_less():
    raced, _, _ = conclude(STAGE, textbook)
    whole, _, _ = conclude(Stage1(ACCURACY, EVERY * 10, 6_400, exhaustive=True), textbook)
    assert raced.winner.lr == whole.winner.lr
    assert raced.winner.steps == pytest.approx(whole.winner.steps, rel=0.1)
    assert raced.cost.steps_trained < whole.cost.steps_trained / 2
    assert raced.cost.steps_saved > 0 == whole.cost.steps_saved


def test_the_order_of_arrival_changes_nothing():
    forwards, _, asked = conclude(STAGE, textbook)
    backwards, _, asked_too = conclude(STAGE, textbook, backwards=True)
    assert forwards == backwards
    assert asked.asked == asked_too.asked


def test_to_resume_is_to_ask_again():
    decision, study, _ = conclude(STAGE, textbook)
    for kept in range(len(study.rows)):
        again, runner = Notebook(rows=study.rows[:kept]), Pencil(textbook, EVERY * 10)
        assert run_stage(STAGE, START, again, runner).winner == decision.winner


def test_curves_that_were_evaluated_at_other_steps_race_as_they_are():
    """They have been beyond the new rungs, and have no point there; nobody goes back for one."""
    _, study, _ = conclude(STAGE, textbook)
    runner = Pencil(textbook, 1_300)
    assert run_stage(replace(STAGE, eval_examples=1_300), START, study, runner).winner.lr == 0.01
    assert len(runner.asked) < len(study.rows)


def test_when_nothing_trains_it_says_so_and_what_to_do():
    with pytest.raises(StageError, match=r"no rate trains \(lr 1e-05 diverged: train loss is nan at step 100; .*--lrs"):
        conclude(STAGE, lambda plan, step: (math.nan, 0.1))


@pytest.mark.parametrize("step", [300, 400])
def test_what_diverges_at_its_very_end_has_not_trained_either(step):
    with pytest.raises(StageError, match=rf"no rate trains .*train loss is nan at step {step}[;)]"):
        conclude(replace(STAGE, max_steps=400), lambda plan, at: (math.nan if at == step else 1.0, 0.1))


def test_a_metric_that_is_never_finite_is_named_and_one_rate_s_is_no_rival():
    with pytest.raises(StageError, match=r"no rate trains \(lr 1e-05 never had a finite metric; .*mend the task"):
        conclude(STAGE, lambda plan, step: (1 / step, math.nan))

    def draw(plan, step):
        loss, accuracy = textbook(plan, step)
        return loss, math.nan if plan.lr == 0.1 else accuracy

    decision, _, _ = conclude(replace(STAGE, lrs=(0.1, 0.01, 0.001), exhaustive=True), draw)
    assert decision.winner.lr == 0.01 and decision.runner_up.lr == 0.001 and math.isfinite(decision.margin)

    def seldom(plan, step):  # where the loss falls deepest
        loss, accuracy = textbook(plan, step)
        return loss, math.nan if plan.lr == 0.01 and step % 300 else accuracy

    decision, _, _ = conclude(replace(STAGE, lrs=(0.1, 0.01, 0.001), exhaustive=True), seldom)
    assert decision.winner.lr == 0.001 and math.isfinite(decision.margin)


def test_losses_that_only_rise_are_decided_by_validation():
    decision, _, _ = conclude(STAGE, lambda plan, step: (step, falling(0.2 * plan.lr, 0.0, 0.9)(step)[1]))
    assert decision.winner.lr >= 0.1


@pytest.mark.parametrize("first", [0.1, math.nan])
def test_a_curve_that_overfits_is_stopped_near_its_best(first):
    def overfitting(plan, step):
        loss, accuracy = textbook(plan, step)
        return loss, first if step == EVERY else accuracy - 0.0002 * max(0, step - 1_000) * (plan.lr == 0.01)

    decision, _, _ = conclude(STAGE, overfitting)
    assert decision.winner.lr == 0.01 and decision.winner.steps == pytest.approx(1_500, abs=300)
    assert any("gets worse again" in warning for warning in decision.warnings)


def test_of_curves_that_fall_alike_validation_decides():
    def alike(plan, step):
        if plan.lr == 0.1:
            return falling(0.002, 0.01, 0.80)(step)
        return falling(0.0015, 0.3, 0.95)(step) if plan.lr == 0.01 else (2.3, 0.1)

    assert conclude(STAGE, alike)[0].winner.lr == 0.01


def test_a_number_that_is_missing_where_the_winner_would_end_moves_its_end():
    def holed(*steps):
        return lambda plan, step: (textbook(plan, step)[0], math.nan if step in steps else textbook(plan, step)[1])

    whole = replace(STAGE, exhaustive=True)
    asked = conclude(whole, textbook)[0].winner.steps
    for steps, end in (((asked,), asked + EVERY), (range(asked, 6_401), asked - EVERY)):
        decision, _, _ = conclude(whole, holed(*steps))
        assert decision.winner.steps == end and any(f"no finite number at step {asked}" in one for one in decision.warnings)
