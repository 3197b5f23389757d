"""Stage 2 on hand-drawn curves: the pair, the rate that follows it, the seeds, the ties, and the number of steps."""

import math
from dataclasses import replace

import pytest
import torch

from studies.errors import StageError
from studies.plan import Plan, constant
from studies.schedule import Warmup
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil, falling
from trainables.recipe.optimizers import OPTIMIZERS
from tuner.stages.stage import Results, run_stage
from tuner.stages.stage2 import SUMMING, WARMUP_SHARE, Stage2

START = constant(Plan(batch_size=64, momentum=0.9), 0.1, 1_000)
STAGE = Stage2(ACCURACY, eval_examples=1_280, batch_sizes=(32, 64, 128, 256), momenta=(0.0, 0.5, 0.9))
NOISE = (0.0, 0.002, -0.002)


def best_at(batch_size, momentum, gap=0.02, speed=1e-4, slow=0.0):
    """Accuracy falls by `gap` for every doubling away from the batch size and every 0.4 from the momentum."""

    def draw(plan, step):
        away = abs(math.log2(plan.batch_size / batch_size)) + abs(plan.momentum - momentum) / 0.4
        loss, accuracy = falling(speed * plan.batch_size / (1 + slow * away), 0.01 + 0.01 * away, 0.95 - gap * away)(step)
        return loss, accuracy + NOISE[plan.seed % 3]

    return draw


def conclude(draw, stage=STAGE, start=START):
    study, runner = Notebook(), Pencil(draw, stage.eval_examples)
    return run_stage(stage, start, study, runner), study, runner


def test_the_pair_that_validates_best_wins_over_shared_seeds():
    decision, _, _ = conclude(best_at(128, 0.5))
    assert (decision.winner.batch_size, decision.winner.momentum) == (128, 0.5)
    assert len(decision.values) == 3
    low, high = decision.interval
    assert low < decision.value < high
    assert not decision.tie and decision.margin > 0


def test_the_rate_follows_batch_and_momentum_and_is_warmed_up_to_where_it_grew():
    same = STAGE.at(START, 64, 0.9)
    wide = STAGE.at(START, 256, 0.9)
    slow = STAGE.at(START, 64, 0.0)
    assert same == START
    assert wide.lr == pytest.approx(0.4)
    assert isinstance(wide.segments[0].rate, Warmup) and wide.at(0) < 0.15 and wide.at(wide.steps - 1) == pytest.approx(0.4)
    assert slow.lr == pytest.approx(1.0) and slow.at(0) < 0.15  # momentum would have been a warm-up
    flat = replace(STAGE, warmup_shape="constant").at(START, 256, 0.9)
    assert flat.steps == wide.steps and flat.at(wide.segments[0].steps - 1) == 0.1 and flat.lr == wide.lr
    assert len(STAGE.at(START, 32, 0.9).segments) == len(STAGE.at(START, 128, 0.9).segments) == 1
    assert Stage2(ACCURACY, 1_280, lr_scaling="none").at(START, 256, 0.0).lr == 0.1
    assert Stage2(ACCURACY, 1_280, lr_scaling="sqrt").at(START, 256, 0.9).lr == pytest.approx(0.2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rate_follows_the_momentum_where_steps_are_summed_up(name):
    def pace(momentum):
        """A step's length, after many along one gradient."""
        weight = torch.nn.Parameter(torch.full((1,), 1e3, dtype=torch.float64))
        made = OPTIMIZERS[name]([weight], momentum)
        for _ in range(300):
            before, weight.grad = weight.item(), torch.ones_like(weight)
            made.param_groups[0]["lr"] = 1e-3
            made.step()
        return before - weight.item()

    grows = pace(0.9) / pace(0.5)
    assert grows == pytest.approx(5.0 if name in SUMMING else 1.0, rel=0.1)
    assert STAGE.at(START.but(optimizer=name), 64, 0.5).lr == pytest.approx(0.1 * (5.0 if name in SUMMING else 1.0))


def test_budgets_are_counted_in_examples():
    for batch_size in (16, 32, 128, 512):
        assert STAGE.at(START, batch_size, 0.9).examples == pytest.approx(START.examples, rel=0.05)


def test_what_is_said_of_the_others_follows_from_their_curves():
    def draw(plan, step):  # at batch size 32 the loss stays high, where validation is best
        loss, accuracy = best_at(128, 0.5)(plan, step)
        return (loss + 2, 0.99) if plan.batch_size == 32 else (loss, accuracy)

    decision, _, _ = conclude(draw, replace(STAGE, exhaustive=True))
    assert decision.winner.batch_size == 128 and decision.cost.steps_saved == 0
    shallow = "its training loss did not fall as deep"
    assert all((one.outcome == shallow) is (one.plan.batch_size == 32) for one in decision.evidence)
    alone, _, _ = conclude(best_at(64, 0.9), replace(STAGE, batch_sizes=(64,), momenta=(0.9,)))
    assert "It was the only one." in alone.words


def test_a_tie_is_named_and_the_fewest_steps_are_taken():
    def draw(plan, step):
        loss, accuracy = falling(1e-4 * plan.batch_size, 0.01, 0.95)(step)
        return loss, accuracy + NOISE[plan.seed % 3] * (1 if plan.batch_size > 64 else 0.9)

    decision, _, _ = conclude(draw)
    assert decision.tie
    assert decision.winner.batch_size == 256
    assert any("tie" in sentence for sentence in decision.words)


def test_the_cell_in_which_stage_1_looked_is_its_own_winner():
    _, study, _ = conclude(best_at(64, 0.9))
    assert study.rows[0].plan.upto(0) == START.upto(0)
    assert START.common(study.rows[0].plan) == min(START.steps, study.rows[0].plan.steps)


def test_pairs_beyond_what_can_be_trained_take_the_nearest_rate_or_are_left_out():
    def within(plan):
        return None if plan.momentum == 0.5 else constant(plan, min(plan.lr, 0.2), plan.steps)

    decision, study, _ = conclude(best_at(256, 0.9), replace(STAGE, within=within))
    assert {row.plan.momentum for row in study.rows} == {0.0, 0.9} and max(row.plan.lr for row in study.rows) == 0.2
    assert (decision.winner.batch_size, decision.winner.lr) == (256, 0.2)
    assert any("9 of 12 pairs cannot be trained as scaled" in warning for warning in decision.warnings)


def test_a_winner_is_followed_no_further_than_it_can_be_trained():
    def within(plan):
        return plan if plan.steps <= 1_200 else plan.upto(1_200)

    assert conclude(best_at(64, 0.9, speed=1e-5), replace(STAGE, batch_sizes=(64,)))[0].winner.steps > 1_200
    decision, _, _ = conclude(best_at(64, 0.9, speed=1e-5), replace(STAGE, batch_sizes=(64,), within=within))
    assert decision.winner.steps == 1_200 and any("not converged" in warning for warning in decision.warnings)


def test_a_random_search_is_the_same_search_again():
    stage = Stage2(ACCURACY, 1_280, search="random", samples=8)
    cells = stage.cells(START)
    assert cells == stage.cells(START) and len(cells) == 9
    assert all(32 <= batch <= 256 and 0 <= momentum <= 0.95 for batch, momentum in cells)
    assert max(momentum for _, momentum in replace(stage, samples=99, momenta=(0.9, 0.9999)).cells(START)) == 0.9999


def test_the_steps_are_trimmed_when_it_converges_sooner():
    decision, _, _ = conclude(best_at(64, 0.9, speed=4e-4))
    assert decision.winner.steps < START.steps
    assert any("trimmed" in sentence for sentence in decision.words)


def test_the_steps_grow_when_it_has_not_converged():
    decision, _, _ = conclude(best_at(64, 0.9, speed=3e-5))
    assert START.steps < decision.winner.steps <= 2 * START.steps
    assert decision.value == pytest.approx(0.95, abs=0.05)


def test_the_steps_do_not_grow_where_another_seed_breaks_on_the_way():
    """What a diverged seed had before it did is no part of the winner's value."""

    def draw(plan, step):
        loss, accuracy = best_at(64, 0.9, speed=3e-5)(plan, step)
        return math.nan if plan.seed == 1 and step > START.steps else loss, accuracy

    decision, _, _ = conclude(draw)
    assert decision.winner.steps == START.steps and any("not converged within 1000" in one for one in decision.warnings)
    assert "has settled only at step" in decision.words[2]


def test_the_steps_are_not_trimmed_to_where_a_seed_has_no_number():
    draw = best_at(64, 0.9, speed=4e-4)
    trimmed = conclude(draw)[0].winner.steps

    def holed(plan, step):
        loss, accuracy = draw(plan, step)
        return loss, math.nan if (plan.seed, step) == (1, trimmed) else accuracy

    decision, _, _ = conclude(holed)
    assert decision.winner.steps == START.steps > trimmed and "stays 1000" in decision.words[2]


def test_a_leader_alone_is_not_told_of_others_that_fell_less_deep_when_these_only_broke():
    def draw(plan, step):
        loss, accuracy = best_at(64, 0.9, gap=0.001)(plan, step)
        return loss, math.nan if plan != START and step == plan.steps else accuracy

    decision, _, _ = conclude(draw, replace(STAGE, repeats=1))
    assert decision.margin is None and decision.words[1].startswith("No other leader came to its end")
    assert "ended without a finite accuracy" in {one.outcome for one in decision.evidence}


def test_the_order_of_arrival_changes_nothing():
    study, runner = Notebook(), Pencil(best_at(128, 0.5), 1_280, backwards=True)
    assert run_stage(STAGE, START, study, runner) == conclude(best_at(128, 0.5))[0]


def test_the_hopeless_are_left_early():
    raced, _, _ = conclude(best_at(64, 0.9, slow=2.0))
    whole, _, _ = conclude(best_at(64, 0.9, slow=2.0), Stage2(ACCURACY, 1_280, STAGE.batch_sizes, STAGE.momenta, exhaustive=True))
    assert raced.winner == whole.winner
    assert raced.cost.steps_trained < whole.cost.steps_trained


def test_the_better_third_goes_on_after_the_warm_up():
    _, study, _ = conclude(best_at(128, 0.5, gap=0.002))
    lengths = [row.plan.examples / START.examples for row in study.rows if row.plan.seed == 0]
    assert len(lengths) == 12 + 2
    assert sum(length > 0.2 for length in lengths) <= 4 + 2 and sum(length > 0.4 for length in lengths) <= 3 + 2
    assert min(lengths) > WARMUP_SHARE


@pytest.mark.parametrize("best", [0.6, 0.06])
def test_a_scaled_rate_is_checked_against_its_neighbours(best):
    """Batch 128 at momentum 0.9 would have 0.2; the way that is better is followed as long as it gets better."""

    def draw(plan, step):
        off = abs(math.log(plan.lr / best)) if plan.batch_size == 128 else 3
        return falling(1e-4 * plan.batch_size, 0.01, 0.95 - 0.03 * off)(step)

    stage = replace(STAGE, batch_sizes=(64, 128), momenta=(0.9,), warmup=False)
    decision, study, _ = conclude(draw, stage)
    rates = {row.plan.lr for row in study.rows if row.plan.batch_size == 128}
    assert decision.winner.lr == best and rates == {0.2, 0.6, 0.06, {0.6: 1.8, 0.06: 0.018}[best]}
    assert len({row.plan.lr for row in conclude(draw, replace(stage, lr_scaling="none"))[1].rows}) == 1


def test_when_nothing_trains_it_says_so():
    with pytest.raises(StageError, match="stage2: nothing trains"):
        conclude(lambda plan, step: (math.nan, 0.1))


def test_a_broken_cell_does_not_break_the_search():
    draw = best_at(128, 0.5)
    decision, _, _ = conclude(lambda plan, step: (math.inf, 0.1) if plan.momentum == 0 else draw(plan, step))
    assert (decision.winner.batch_size, decision.winner.momentum) == (128, 0.5)
    assert sum("momentum 0, lr" in warning and "diverged" in warning for warning in decision.warnings) == 4


def test_wanting_is_pure():
    assert STAGE.wants(START, []) == STAGE.wants(START, [])
    assert Results([]).seen == {}
