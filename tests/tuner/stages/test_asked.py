"""Stages that a person wants otherwise, on hand-drawn curves: more rates, longer curves, other winners."""

import pytest

from studies.trial import Point, State, Trial
from studies.wish import Extend, Note, Overrule, Rate, WishRecord
from tests.tuner.stages import test_stage1 as first
from tests.tuner.stages import test_stage2 as second
from tests.tuner.stages import test_stage3 as third
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil
from tuner.stages.asked import heed
from tuner.stages.evidence import cost
from tuner.stages.stage import Results, run_stage

SECOND, CANYON = second.best_at(128, 0.5), third.terrain(0.05)


def conclude(stage, start, draw, *wishes, study=None):
    """The decision with these wishes, on top of what a notebook knows."""
    records = [WishRecord(number, wish, "ann@lab", 0.0) for number, wish in enumerate(wishes, 1)]
    study, runner = study or Notebook(), Pencil(draw, stage.eval_examples)
    return run_stage(stage, start, study, runner, lambda stage: heed(stage, records)), study, runner


def overrule(plan, reason="it is smoother\nand\x1b[2J calmer", stage="stage1"):
    return Overrule(stage=stage, plan=plan, reason=reason)


def without_rows(decision):
    """A decision without the rows and the cost, in which it is seen who has been followed further than the rule asked for."""
    evidence = tuple(one.model_copy(update={"trials": ()}) for one in decision.evidence)
    return decision.model_copy(update={"evidence": evidence, "cost": None})


def test_a_stage_of_which_nothing_is_asked_is_itself():
    records = [WishRecord(1, Note(text="x", stage="stage1"), "ann@lab", 0.0), WishRecord(2, Rate(lr=0.3), "ann@lab", 0.0)]
    assert heed(second.STAGE, records) is second.STAGE
    assert heed(first.STAGE, records).lrs == (*first.STAGE.lrs, 0.3)


def test_a_rate_that_is_added_counts_in_what_is_wanted_at_most():
    followed = Extend(stage="stage1", plan=first.constant(first.START, 0.1, 9_000))
    records = [WishRecord(number, wish, "ann@lab", 0.0) for number, wish in enumerate((Rate(lr=0.3), followed), 1)]
    more = {plan.lr for plan in heed(first.STAGE, records).most(first.START)}
    assert more == {0.3} | {plan.lr for plan in first.STAGE.most(first.START)}


def test_a_rate_that_is_added_races_with_the_others_and_may_win():
    plain, study, _ = conclude(first.STAGE, first.START, first.textbook)
    decision, study, _ = conclude(first.STAGE, first.START, first.textbook, Rate(lr=0.05), study=study)
    assert decision.winner.lr == 0.05 != plain.winner.lr
    from_the_start, _, _ = conclude(first.STAGE, first.START, first.textbook, Rate(lr=0.05))
    assert (decision.winner, decision.value, decision.words) == (
        from_the_start.winner,
        from_the_start.value,
        from_the_start.words,
    )


def test_what_is_asked_while_a_stage_runs_is_taken_up_in_its_next_round():
    asked = iter([[], [WishRecord(1, Rate(lr=0.05), "ann@lab", 0.0)]])
    study, runner, latest = Notebook(), Pencil(first.textbook, first.STAGE.eval_examples), []

    def heeding(stage):
        latest[:] = next(asked, latest)
        return heed(stage, latest)

    assert run_stage(first.STAGE, first.START, study, runner, heeding).winner.lr == 0.05
    assert runner.asked.index(next(plan for plan in runner.asked if plan.lr == 0.05)) == len(first.STAGE.lrs)


def test_a_curve_is_followed_to_a_later_end_and_the_rule_judges_as_before():
    plain, study, _ = conclude(first.STAGE, first.START, first.textbook)
    lost = next(trial for trial in study.rows if trial.plan.lr == 0.0001)
    decision, study, runner = conclude(
        first.STAGE, first.START, first.textbook, Extend(stage="stage1", plan=lost.plan.to(9_000)), study=study
    )
    assert runner.asked == [lost.plan.to(9_000)]
    assert study.rows[lost.number].last == 9_000
    assert (decision.winner, decision.value, decision.words) == (plain.winner, plain.value, plain.words)
    row = next(one for one in decision.evidence if lost.number in one.trials)
    assert row.state is State.COMPLETE and row.outcome.endswith("; then, as asked, followed to step 9000")
    assert row.plan == lost.plan  # judged where the rule saw it


def test_a_trial_that_went_on_in_a_new_row_costs_what_both_rows_trained():
    plan = first.constant(first.START, 0.1, 200)
    old = Trial(0, plan, State.PRUNED, (Point(100, {}, 1.0), Point(200, {}, 2.0)), begun=50)
    results = Results([old, Trial(1, plan.to(300), State.COMPLETE, (*old.points, Point(300, {}, 3.0)), begun=200)])
    results.see([plan])
    assert (cost(results.seen.values()).steps_trained, cost(results.seen.values()).steps_shared) == (250, 50)


def test_a_longer_curve_is_nobodys_company():
    """It is asked for when the rule wants nothing more, so that it changes no number of the others."""
    draw, wish = first.textbook, Extend(stage="stage1", plan=first.constant(first.START, 0.001, 9_000))
    _, _, plain = conclude(first.STAGE, first.START, draw)
    _, _, runner = conclude(first.STAGE, first.START, draw, wish)
    assert runner.asked == [*plain.asked, wish.plan]


CASES = {
    "stage1": (first.STAGE, first.START, first.textbook, lambda plan: plan.lr == 0.001),
    "stage2": (second.STAGE, second.START, SECOND, lambda plan: (plan.batch_size, plan.momentum) == (32, 0.0)),
    "stage3": (third.STAGE, third.START, CANYON, lambda plan: plan.segments[-1].rate.shape == "cosine"),
    "stage3 where it is flat": (
        third.STAGE,
        third.START,
        third.terrain(0.001),
        lambda plan: plan != third.START and plan.seed == 0,
    ),
}


@pytest.mark.parametrize("stage, start, draw, chosen", CASES.values(), ids=CASES.keys())
def test_an_overruling_gives_the_stage_another_winner_and_says_so(stage, start, draw, chosen):
    ruled, study, _ = conclude(stage, start, draw)
    plan = next(trial.plan for trial in study.rows if chosen(trial.plan))
    decision, study, runner = conclude(stage, start, draw, overrule(plan, stage=stage.name), study=study)
    assert decision.winner.line == plan.line != ruled.winner.line
    assert decision.runner_up == ruled.winner and not decision.tie
    assert decision.margin == pytest.approx(decision.value - ruled.value)
    assert decision.rule.startswith("overruled by ann@lab") and ruled.rule in decision.rule
    assert 'ann@lab says so: "it is smoother and [2J calmer".' in decision.words[0]
    assert ruled.evidence[0].label in decision.words[1]
    assert set(decision.warnings) >= set(ruled.warnings)
    assert decision.evidence[0].outcome == "winner, by ann@lab" and decision.evidence[0].plan == decision.winner
    assert [one.outcome for one in decision.evidence].count("what the rule would have taken") == 1
    assert all(one.line == plan.line or one.but(seed=0).line == plan.line for one in runner.asked)
    back, _, _ = conclude(stage, start, draw, overrule(plan, stage=stage.name), Overrule(stage=stage.name), study=study)
    assert without_rows(back) == without_rows(ruled)


def test_an_overruled_rate_is_followed_until_it_has_converged_and_gets_the_margin():
    decision, _, _ = conclude(first.STAGE, first.START, first.textbook, overrule(first.constant(first.START, 0.001, 100)))
    alone, _, _ = conclude(first.replace(first.STAGE, lrs=(0.001,)), first.START, lambda plan, step: first.textbook(plan, step))
    assert decision.winner.lr == 0.001
    assert decision.winner.steps == 6_400 and any("not converged within 6400 steps" in one for one in decision.warnings)
    assert alone.winner.lr == 0.01  # the grid is widened where the rule decides, and is not where a person does


def test_what_the_rules_winner_was_warned_of_does_not_stay_with_another():
    def draw(plan, step):
        return first.falling(0.02 * plan.lr, 0.01, 0.95)(step) if plan.lr < 0.1 else first.falling(0.01, 2.0, 0.2)(step)

    ruled, _, _ = conclude(first.STAGE, first.START, draw)
    decision, _, _ = conclude(first.STAGE, first.START, draw, overrule(first.constant(first.START, 0.1, 100)))
    gone = [warning for warning in ruled.warnings if warning not in decision.warnings]
    assert gone == ["not converged within 6400 steps, the margin included: allow more with --max-steps"]


def test_an_overruled_pair_is_repeated_with_the_other_seeds_at_the_steps_that_its_curve_asks_for():
    ruled, study, _ = conclude(second.STAGE, second.START, SECOND)
    plan = next(trial.plan for trial in study.rows if (trial.plan.batch_size, trial.plan.momentum) == (32, 0.0))
    decision, _, _ = conclude(second.STAGE, second.START, SECOND, overrule(plan, stage="stage2"))
    assert len(decision.values) == 3 and decision.interval[0] < decision.value < decision.interval[1]
    assert len(decision.evidence[0].trials) == 3
    assert decision.marks["step_nums"] == decision.winner.steps


def test_of_two_overrulings_the_later_counts_and_what_the_rule_takes_too_is_no_overruling():
    ruled, _, _ = conclude(first.STAGE, first.START, first.textbook)
    wishes = overrule(first.constant(first.START, 0.001, 100)), overrule(first.constant(first.START, 0.01, 100))
    decision, _, _ = conclude(first.STAGE, first.START, first.textbook, *wishes)
    assert (decision.winner, decision.runner_up, decision.margin) == (ruled.winner, ruled.runner_up, ruled.margin)
    assert decision.words[1] == "The rule would have taken it as well."


def test_what_diverges_on_its_way_cannot_win_and_the_decision_warns():
    ruled, _, _ = conclude(first.STAGE, first.START, first.textbook)
    decision, _, _ = conclude(first.STAGE, first.START, first.textbook, overrule(first.constant(first.START, 1.0, 100)))
    assert decision.winner == ruled.winner and decision.words == ruled.words
    assert "overruled by ann@lab in favour of lr 1, which cannot win" in decision.warnings[-1]


@pytest.mark.parametrize("stage, start, draw, chosen", list(CASES.values())[1:], ids=list(CASES)[1:])
def test_an_overruling_that_rested_on_another_start_lapses_with_a_warning(stage, start, draw, chosen):
    ruled, study, _ = conclude(stage, start, draw)
    plan = next(trial.plan for trial in study.rows if chosen(trial.plan))
    slower = first.constant(start.upto(0), 0.03, start.steps)
    ruled, _, _ = conclude(stage, slower, draw)
    decision, _, runner = conclude(stage, slower, draw, overrule(plan, stage=stage.name))
    assert decision.winner == ruled.winner
    assert "no trial of this stage any more" in decision.warnings[-1]


def test_decisions_do_not_depend_on_the_order_of_results():
    wishes = (
        overrule(first.constant(first.START, 0.001, 100)),
        Extend(stage="stage1", plan=first.constant(first.START, 0.0001, 7_000)),
    )
    decision, _, _ = conclude(first.STAGE, first.START, first.textbook, *wishes)
    records = [WishRecord(number, wish, "ann@lab", 0.0) for number, wish in enumerate(wishes, 1)]
    runner = Pencil(first.textbook, first.STAGE.eval_examples, backwards=True)
    assert run_stage(first.STAGE, first.START, Notebook(), runner, lambda stage: heed(stage, records)) == decision
    assert decision.metric == ACCURACY
