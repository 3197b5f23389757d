"""Are shared beginnings trained once, whoever is asked first?"""

import random

from hypothesis import given
from hypothesis import strategies as st

from studies.plan import Plan, Segment, constant, distinct_steps
from studies.schedule import Constant, Exponential, Linear
from studies.trial import Point, Progress, State
from tuner.runners.job import Agenda, errands

RATES = (Constant(lr=0.1), Constant(lr=0.01), Linear(lr=0.1, over=40), Exponential(lr=0.1, factor=0.5, interval=10))
PATHS = st.lists(st.builds(Segment, steps=st.integers(1, 6), rate=st.sampled_from(RATES)), max_size=4)
PLANS = st.builds(lambda path, seed: Plan(segments=tuple(path), batch_size=8, seed=seed), PATHS, st.integers(0, 1))
SETS = st.lists(PLANS, max_size=12)


@given(SETS, st.randoms())
def test_the_order_of_the_input_is_nothing(plans, rng):
    shuffled = rng.sample(plans + plans[:2], len(plans) + len(plans[:2]))
    assert errands(shuffled) == errands(plans)


@given(SETS)
def test_forking_where_they_say_trains_each_distinct_step_once(plans):
    trained = 0
    seen = {}
    for errand in errands(plans):
        origin, step = errand.after or (None, 0)
        if origin:
            assert errand.plan.common(origin) == step
            assert step in seen[origin].keep or step == origin.steps
        trained += errand.plan.steps - step
        seen[errand.plan] = errand
    assert set(seen) == set(plans)
    assert trained == distinct_steps(set(plans))


@given(SETS, st.integers(1, 4), st.randoms())
def test_any_number_of_workers_in_any_pace_trains_each_distinct_step_once(plans, workers, rng):
    """A simulated crew: each worker goes step by step, from the deepest state that somebody has left on its path."""
    agenda, saved, busy, trained = Agenda(plans), {plan.upto(0) for plan in plans}, [], 0
    while len(agenda) or busy:
        while len(busy) < workers and (errand := agenda.take()):
            begun = max(step for step in range(errand.plan.steps + 1) if errand.plan.upto(step) in saved)
            agenda.note(Progress(errand.plan, begun=begun))
            busy.append([errand, begun])
        assert busy, "somebody waits for nobody"
        errand, step = at = rng.choice(busy)
        if step == errand.plan.steps:
            agenda.note(Progress(errand.plan, ended=State.COMPLETE))
            busy.remove(at)
            continue
        at[1], trained = step + 1, trained + 1
        if step + 1 in errand.keep or step + 1 == errand.plan.steps:
            saved.add(errand.plan.upto(step + 1))
        agenda.note(Progress(errand.plan, (Point(step + 1, {}),)))
    assert trained == distinct_steps(set(plans))


def test_who_waits_for_a_plan_that_broke_waits_for_another():
    trunk = constant(Plan(), 0.1, 100)
    tails = [trunk.upto(60).then(Segment(steps=20 + n, rate=Constant(lr=0.01 * (n + 1)))) for n in range(3)]
    agenda = Agenda([trunk, *tails])
    assert agenda.take().plan == trunk
    assert agenda.take() is None
    agenda.note(Progress(trunk, (Point(10, {}),), ended=State.FAILED, error="..."))
    first = agenda.take()
    assert first.plan == tails[2] and first.keep == {60}
    assert agenda.take() is None
    agenda.note(Progress(first.plan, (Point(60, {}),)))
    assert {agenda.take().plan, agenda.take().plan} == set(tails[:2])


def test_an_errand_put_back_is_the_next():
    plans = [constant(Plan(seed=seed), 0.1, 10) for seed in range(4)]
    random.Random(0).shuffle(plans)
    agenda = Agenda(plans)
    errand = agenda.take()
    agenda.put_back(errand)
    assert agenda.take() == errand
