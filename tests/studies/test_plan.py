"""Is a plan a path? The algebra that resuming, extending and sharing rest on."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.finish import Fold, Pruned, Views
from studies.plan import Distilled, Ensemble, Plan, Segment, constant, distinct_steps
from studies.schedule import Constant, Cosine, Exponential, Linear, Sqrt, Warmup

rates = st.sampled_from([1.0, 0.1, 0.003])
overs = st.integers(1, 30)
intervals = st.integers(1, 7)
schedules = st.one_of(
    st.builds(Constant, lr=rates),
    st.builds(Warmup, lr=rates, start=st.just(0.0), over=overs, interval=intervals),
    st.builds(Linear, lr=rates, over=overs, interval=intervals),
    st.builds(Exponential, lr=rates, factor=st.sampled_from([0.5, 0.1]), interval=intervals),
    st.builds(Cosine, lr=rates, over=overs, interval=intervals),
    st.builds(Sqrt, lr=rates, over=overs, interval=intervals, end=st.just(0.001)),
)
segments = st.builds(Segment, steps=st.integers(1, 20), rate=schedules)
plans = st.builds(
    Plan, segments=st.lists(segments, min_size=1, max_size=4).map(tuple), batch_size=st.integers(1, 3), seed=st.integers(0, 2)
)
quick = settings(max_examples=50, deadline=None)


def lrs(plan):
    return [plan.at(step) for step in range(plan.steps)]


@quick
@given(plans, st.data())
def test_a_beginning_is_the_same_path_cut(plan, data):
    n = data.draw(st.integers(0, plan.steps))
    m = data.draw(st.integers(0, n))
    assert plan.upto(n).steps == n
    assert lrs(plan.upto(n)) == lrs(plan)[:n]
    assert plan.upto(n).upto(m) == plan.upto(m)
    assert plan.upto(plan.steps) == plan
    assert plan.common(plan.upto(n)) == plan.upto(n).common(plan) == n


@quick
@given(plans, segments)
def test_a_continuation_begins_as_the_plan_did(plan, segment):
    longer = plan.then(segment)
    assert longer.steps == plan.steps + segment.steps
    assert longer.upto(plan.steps) == plan
    assert lrs(longer)[: plan.steps] == lrs(plan)


@quick
@given(plans, st.data())
def test_a_later_end_is_on_the_same_line_and_another_path_is_not(plan, data):
    longer = plan.to(plan.steps + data.draw(st.integers(1, 30)))
    assert longer.id != plan.id and longer.line == plan.line
    assert longer.upto(plan.steps) == plan == longer.to(plan.steps)
    assert plan.but(seed=plan.seed + 1).line != plan.line
    assert plan.then(Segment(steps=1, rate=Constant(lr=0.7))).line != plan.line


@quick
@given(plans, st.data())
def test_stretches_are_the_rates_of_the_steps(plan, data):
    begin = data.draw(st.integers(0, plan.steps))
    end = data.draw(st.integers(begin, plan.steps))
    assert [lr for steps, lr in plan.stretches(begin, end) for _ in range(steps)] == lrs(plan)[begin:end]
    assert all(steps > 0 for steps, _ in plan.stretches(begin, end))


@quick
@given(plans)
def test_a_plan_survives_being_written_down(plan):
    again = Plan.read(json.loads(json.dumps(plan.describe())))
    assert again == plan and again.id == plan.id and hash(again) == hash(plan)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


@quick
@given(plans, plans)
def test_what_two_paths_have_in_common_is_symmetric_and_equal(one, other):
    shared = one.common(other)
    assert shared == other.common(one)
    if one.upto(0) == other.upto(0):
        assert one.upto(shared) == other.upto(shared)
    else:
        assert shared == 0


@quick
@given(plans, st.lists(segments, max_size=4), st.randoms())
def test_a_tree_trains_its_trunk_once(trunk, tails, random):
    forks = [trunk.then(tail) for tail in tails]
    family = [trunk, *forks, *(plan.upto(plan.steps // 2) for plan in forks)]
    total = distinct_steps(family)
    assert trunk.steps <= total <= trunk.steps + sum(tail.steps for tail in tails)
    assert total == distinct_steps(random.sample(family, len(family)))
    assert total == len({(step, plan.upto(step + 1).id) for plan in family for step in range(plan.steps)})


def test_the_worked_example():
    sweep = [constant(Plan(), rate, 4000) for rate in (1.0, 0.1, 0.01)]
    winner = sweep[1].to(6000)
    tails = [Segment(steps=6000 - start, rate=Linear(lr=0.1, over=6000 - start, interval=100)) for start in (2700, 3000)]
    candidates = [winner.upto(6000 - tail.steps).then(tail) for tail in tails]
    assert distinct_steps(sweep) == 12_000
    assert distinct_steps([*sweep, winner]) == 14_000
    assert distinct_steps([winner, *candidates]) == 6000 + 3300 + 3000
    assert candidates[0].common(candidates[1]) == 2700
    assert candidates[0].at(2699) == 0.1 and candidates[0].at(2799) == 0.1 and candidates[0].at(2800) < 0.1


def test_the_line_is_the_same_whatever_was_asked_for_before():
    plan, again = constant(Plan(), 0.1, 100), constant(Plan(), 0.1, 100)
    assert plan.id != plan.line == again.line == plan.upto(50).line


def test_equal_neighbours_are_one_segment():
    assert constant(Plan(), 0.1, 30).then(Segment(steps=20, rate=Constant(lr=0.1))) == constant(Plan(), 0.1, 50)


def test_the_id_is_that_of_the_content_on_every_machine_and_a_default_does_not_change_it():
    assert constant(Plan(), 0.1, 100).id == constant(Plan(momentum=0.9, seed=0), 0.1, 100).id == "32ace7a8231a541d"


def test_a_finish_counts_by_its_kind_what_is_no_default_and_the_ids_of_the_plans_in_it():
    plan, content = (
        constant(Plan(), 0.1, 100),
        {"segments": [{"steps": 100, "rate": {"shape": "constant", "lr": 0.1, "interval": 1}}]},
    )
    assert plan.id == hashed(content)
    for finish, counts in (
        (Views(), {"kind": "views"}),
        (Fold(index=0, of=5), {"kind": "fold", "index": 0, "of": 5}),
        (Ensemble(members=(plan,)), {"kind": "ensemble", "members": [plan.id]}),
        (Distilled(teachers=(plan,), weight=0.3), {"kind": "distilled", "teachers": [plan.id], "weight": 0.3}),
    ):
        assert plan.but(finish=finish).id == hashed(content | {"finish": counts})


def hashed(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "content, words",
    [
        ({"batch_size": True}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": float("nan")}, "momentum"),
        ({"seed": "1"}, "seed"),
        ({"learning_rate": 1.0}, "learning_rate"),
    ],
)
def test_a_plan_checks_itself(content, words):
    with pytest.raises(ValueError, match=words):
        Plan(**content)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"lr": 0.2}, "lr: the schedule says 0.1, got 0.2"),
        ({"step_nums": 7}, "step_nums: the schedule says 100, got 7"),
        ({"schedule": None}, "schedule: expected a list of segments, each with steps, shape and lr"),
        ({"schedule": [{"steps": 1, "shape": "zigzag", "lr": 0.1}]}, "zigzag"),
        ({"nesterov": True}, "nesterov"),
    ],
)
def test_a_plan_that_was_edited_badly_is_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        Plan.read(constant(Plan(), 0.1, 100).describe() | change)


@pytest.mark.parametrize("n", [-1, 101])
def test_a_plan_ends_where_it_ends(n):
    with pytest.raises(ValueError, match=f"a plan of 100 steps has no step {n}"):
        constant(Plan(), 0.1, 100).upto(n)
    with pytest.raises(ValueError, match="beyond the plan's end"):
        constant(Plan(), 0.1, 100).at(100)


def test_what_only_looks_has_the_states_of_what_it_looks_at_and_pruning_shares_the_path_before():
    plan = constant(Plan(), 0.1, 100)
    looking = plan.but(finish=Ensemble(members=(plan, plan.but(seed=1))))
    assert looking.id != plan.id and looking.training == plan and looking.common(plan) == 100
    assert Plan.model_validate_json(looking.model_dump_json()) == looking
    assert "finish" not in plan.describe()

    pruned, more = (
        plan.then(Segment(steps=10, rate=Constant(lr=0.01))).but(finish=Pruned(share=share, at=100)) for share in (0.5, 0.9)
    )
    assert pruned.upto(100) == plan and pruned.upto(105).finish == pruned.finish
    assert pruned.common(plan) == pruned.common(more) == 100 and pruned.common(pruned.upto(105)) == 105
    assert plan.but(finish=Fold(index=0, of=2)).common(plan) == 0
