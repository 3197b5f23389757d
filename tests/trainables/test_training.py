import math
import shutil

import pytest
import torch

from studies.errors import StorageError
from studies.plan import Plan, Segment, constant
from studies.schedule import Linear
from studies.trial import Progress, State
from tests.trainables.helpers import EXAMPLES, completed, points, train, values, workload
from trainables import load_task, training
from trainables.checkpoints import Checkpoints

BASE = Plan(batch_size=8)
PLAN = constant(BASE, 0.1, 42)


def kept(name: str, plan: Plan, folder) -> list[int]:
    return sorted(Checkpoints(folder, workload(name).fingerprint).steps(plan))


def test_points_come_every_so_many_examples_and_at_the_end(tmp_path):
    reports = train("Plain", PLAN, tmp_path)
    assert completed(reports) and [point.step for point in points(reports)] == [5, 10, 15, 20, 25, 30, 35, 40, 42]
    for point in points(reports):
        assert set(point.values) == {"train_loss", "val_loss", "accuracy", "lr", "update_ratio"}
        assert all(math.isfinite(value) for value in point.values.values())
    seconds = [point.seconds for point in points(reports)]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_early_looks_come_at_halves_of_the_way_to_the_first_point(tmp_path):
    sparse, dense = (
        points(train("Plain", PLAN, tmp_path / name, eval_examples=160, early_looks=n)) for name, n in (("a", 0), ("b", 3))
    )
    assert [point.step for point in dense] == [2, 5, 10, 20, 40, 42]
    assert {**values(dense), **values(sparse[1:])} == values(dense)
    assert PLAN.early(8, 3) == () and PLAN.early(24, 3) == (1,)


@pytest.mark.parametrize("at", [1, 2, 3, 7, 10, 15])
def test_early_looks_are_the_same_in_pieces(tmp_path, at):
    options = {"eval_examples": 160, "early_looks": 3}
    whole = values(points(train("Plain", PLAN, tmp_path / "whole", **options)))
    train("Plain", PLAN.upto(at), tmp_path / "pieces", **options)
    pieces = values(points(train("Plain", PLAN, tmp_path / "pieces", **options)))
    assert {step: pieces[step] for step in whole} == whole


def test_a_path_is_the_same_when_its_data_are_read_ahead_and_in_pieces(tmp_path):
    whole = values(points(train("Images", PLAN, tmp_path / "whole")))
    task, states = load_task("tests.trainables.problems:Images", readers=2), Checkpoints(tmp_path / "pieces", "ahead")
    told = [
        progress
        for plan in (PLAN.upto(17), constant(BASE.but(seed=1), 0.1, 6), PLAN)
        for progress in training.carry_out(task, [plan], states, eval_examples=EXAMPLES, device="cpu")
        if plan.seed == PLAN.seed
    ]
    assert values(points(told)) == {17: values(points(told))[17], **whole}


def test_train_loss_is_the_mean_since_the_last_point(tmp_path):
    plan = BASE.then(Segment(steps=12, rate=Linear(lr=0.1, over=12)))
    trainable = workload("Line").trainable(plan, "cpu")
    losses = [trainable.train(1, plan.at(step)) for step in range(12)]
    told = values(points(train("Line", plan, tmp_path)))
    for step, since in ((5, losses[:5]), (10, losses[5:10]), (12, losses[10:])):
        assert told[step]["train_loss"] == pytest.approx(sum(since) / len(since), rel=1e-6)
        assert told[step]["lr"] == plan.at(step - 1)


def test_update_ratio_is_what_a_step_changes_relative_to_what_is_there():
    plan = constant(BASE.but(momentum=0.0), 0.1, 10)
    trainable = workload("Plain").trainable(plan, "cpu")
    before = torch.nn.utils.parameters_to_vector(trainable.model.parameters()).detach()
    trainable.train(1, 0.1)
    after = torch.nn.utils.parameters_to_vector(trainable.model.parameters()).detach()
    assert trainable.evaluate()["update_ratio"] == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-5)


def test_states_stay_on_a_coarse_grid_at_the_end_and_where_asked(tmp_path):
    train("Plain", PLAN, tmp_path, keep={13, 31, 99})
    assert kept("Plain", PLAN, tmp_path) == [13, 20, 31, 40, 42]


def test_states_in_between_are_dropped_once_a_later_one_is_safe(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVING_SHARE", math.inf)  # saving is always due
    trail = []
    for _ in training.carry_out(workload("Plain"), [PLAN], Checkpoints(tmp_path, "f"), eval_examples=40, device="cpu"):
        trail.append(sorted(Checkpoints(tmp_path, "f").steps(PLAN)))
    assert trail[-1] == [20, 40, 42]


def test_a_state_that_was_gone_on_from_is_not_held_on_to(tmp_path):
    train("Plain", PLAN.upto(20), tmp_path)
    states = Checkpoints(tmp_path, workload("Plain").fingerprint)
    run = training.Run(workload("Plain"), PLAN, states, 5, (), frozenset(), "cpu", lambda: False)
    assert run.begin().begun == run.at.step == 20 and not run.at.state


def test_a_plan_of_no_steps_is_complete(tmp_path):
    assert completed(train("Plain", BASE, tmp_path))


def test_several_plans_one_after_another(tmp_path):
    task = workload("Plain")
    cohort = [constant(BASE, lr, 10) for lr in (0.1, 0.01)]
    reports = list(training.carry_out(task, cohort, Checkpoints(tmp_path, "f"), eval_examples=40, device="cpu"))
    assert [progress.plan for progress in reports if progress.ended is State.COMPLETE] == cohort


def test_what_a_task_raises_fails_its_plan_with_its_traceback_and_its_points(tmp_path):
    reports = train("Stumbles", PLAN, tmp_path)
    assert reports[-1].ended is State.FAILED
    assert "ArithmeticError: out of luck" in reports[-1].error and "in loss" in reports[-1].error
    assert [point.step for point in points(reports)] == [5, 10, 15, 20]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Elsewhere", "expected the metric 'f1' among the results; there are: accuracy, update_ratio, val_loss"),
        ("Vector", "loss: expected one number, the mean over the batch; got a tensor of shape (8,)"),
        ("Keeps", "state['policy']: expected tensors, numbers and strings, in dicts, lists and tuples; got ndarray"),
        ("Quits", "SystemExit: no licence"),
        ("NoModel", "model: expected a torch.nn.Module; got NoneType"),
        ("NoOptimizer", "optimizer: expected a torch.optim.Optimizer; got list"),
        ("NoNumbers", "metrics: per_class: expected one number; got a tensor of shape (2,)"),
        ("NoDict", "metrics: expected a dict of numbers by name; got float"),
    ],
)
def test_what_is_wrong_with_a_task_is_said(name, told, tmp_path):
    reports = train(name, PLAN, tmp_path)
    assert reports[-1].ended is State.FAILED and told in reports[-1].error.strip().splitlines()[-1]


def test_an_unknown_optimizer_is_refused_with_the_known_ones(tmp_path):
    error = train("Plain", PLAN.but(optimizer="sdg"), tmp_path)[-1].error
    assert "--optimizer: expected one of sgd, nesterov, heavyball, adam, adamw, nadam, rmsprop, adagrad, lars; got 'sdg'" in error


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw", "nadam", "rmsprop", "adagrad"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_optimizer_learns(optimizer, momentum, tmp_path):
    plan = constant(BASE.but(optimizer=optimizer, momentum=momentum), 0.05, 60)
    curve = [point.values["train_loss"] for point in points(train("Plain", plan, tmp_path))]
    assert curve[-1] < 0.7 * curve[0]


def test_a_diverged_training_ends_as_such(tmp_path):
    reports = train("Line", constant(BASE, 1e6, 60), tmp_path)
    assert reports[-1].ended is State.DIVERGED and not math.isfinite(points(reports)[-1].values["train_loss"])
    assert reports[-1].error == f"train loss is {points(reports)[-1].values['train_loss']} at step {points(reports)[-1].step}"


def test_metrics_that_refuse_a_diverged_model_do_not_hide_that_it_diverged(tmp_path):
    reports = train("Overflows", constant(BASE, 1e6, 60), tmp_path)
    assert reports[-1].ended is State.DIVERGED
    assert set(points(reports)[-1].values) == {"train_loss", "lr"}


def test_a_store_that_fails_ends_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        train("Plain", PLAN, tmp_path / "file")


def test_groups_of_a_user_s_optimizer_keep_their_relative_rates():
    plan = constant(BASE.but(momentum=0.0), 0.1, 4)
    slow = workload("TwoRates").trainable(plan, "cpu")
    slow.train(1, 0.2)
    assert [group["lr"] for group in slow.optimizer.param_groups] == [0.2, pytest.approx(0.02)]


def test_states_of_one_task_are_not_another_s(tmp_path):
    train("Plain", PLAN, tmp_path)
    assert train("Line", PLAN, tmp_path)[0].begun == 0
    shutil.rmtree(tmp_path)
    assert train("Plain", PLAN, tmp_path)[0].begun == 0


@pytest.mark.parametrize(
    ("name", "lr", "steps", "metric", "least"),
    [
        ("Images", 0.05, 400, "accuracy", 0.8),
        ("Rare", 0.5, 300, "f1", 0.8),
        ("Words", 0.5, 600, "accuracy", 0.9),
        ("Bandit", 0.5, 200, "reward", 2.5),
    ],
)
def test_it_learns(name, lr, steps, metric, least, tmp_path):
    reports = train(name, constant(BASE, lr, steps), tmp_path, eval_examples=800)
    assert completed(reports) and points(reports)[-1].values[metric] >= least


RATES = (0.3, 0.1, 0.03, 0.01)


def together(name: str, plans, folder, **options) -> list[Progress]:
    task = workload(name)
    options = {"eval_examples": EXAMPLES, "device": "cpu", "fused": True, **options}
    return list(training.carry_out(task, plans, Checkpoints(folder, task.fingerprint), **options))


def curves(reports) -> dict:
    """By plan: what was measured, by step, without how long it took."""
    return {
        plan: values(point for one in reports if one.plan == plan for point in one.points) for plan in {r.plan for r in reports}
    }


@pytest.mark.parametrize("name", ["Images", "Words", "Plain"])
class TestFused:
    PLANS = tuple(constant(BASE, lr, 60) for lr in RATES)

    def test_a_plan_is_the_same_in_any_company(self, name, tmp_path):
        everyone = curves(together(name, self.PLANS, tmp_path / "all"))
        assert {plan.lr for plan in everyone} == set(RATES)
        for number, cohort in enumerate([self.PLANS[:1], self.PLANS[1:3], self.PLANS[::3]]):
            for plan, curve in curves(together(name, cohort, tmp_path / str(number))).items():
                assert repr(curve) == repr(everyone[plan])

    def test_it_is_what_it_would_be_alone_up_to_rounding(self, name, tmp_path):
        fused, alone = (curves(together(name, self.PLANS, tmp_path / str(f), fused=f)) for f in (True, False))
        for plan in self.PLANS:
            assert list(fused[plan]) == list(alone[plan])
            for step, point in fused[plan].items():
                assert point["train_loss"] == pytest.approx(alone[plan][step]["train_loss"], rel=1e-3)

    def test_stopped_anywhere_it_goes_on_to_the_same_bits_in_whatever_cohort(self, name, tmp_path):
        whole = curves(together(name, self.PLANS, tmp_path / "whole"))
        looks = iter(range(10**6))
        cut = together(name, self.PLANS, tmp_path / "cut", stop=lambda: next(looks) >= 9)
        assert not any(progress.ended for progress in cut)
        first = together(name, self.PLANS[2:], tmp_path / "cut")
        rest = together(name, self.PLANS, tmp_path / "cut")
        assert max(progress.begun for progress in first) > 0
        assert {plan: repr(curve) for plan, curve in curves(rest).items()} == {p: repr(c) for p, c in whole.items()}

    def test_those_behind_catch_up_and_go_on_together(self, name, tmp_path):
        whole = curves(together(name, self.PLANS, tmp_path / "whole"))
        for plan, steps in zip(self.PLANS, (0, 13, 25, 60)):
            together(name, [plan.upto(steps)], tmp_path / "parts")
        reports = together(name, self.PLANS, tmp_path / "parts")
        assert {p.plan.lr: p.begun for p in reports} == dict(zip(RATES, (0, 13, 25, 60)))
        for plan, curve in curves(reports).items():
            assert repr({step: curve[step] for step in whole[plan]}) == repr(whole[plan])

    def test_one_that_diverges_leaves_the_others_alone(self, name, tmp_path):
        whole = curves(together(name, self.PLANS, tmp_path / "whole"))
        wild = constant(BASE, 1e38, 60)
        reports = together(name, [*self.PLANS[:2], wild], tmp_path / "wild")
        assert {p.plan: p.ended for p in reports if p.ended} == {
            self.PLANS[0]: State.COMPLETE,
            self.PLANS[1]: State.COMPLETE,
            wild: State.DIVERGED,
        }
        assert all(repr(curve) == repr(whole[plan]) for plan, curve in curves(reports).items() if plan != wild)


def test_what_raises_in_company_goes_on_alone_where_it_can(tmp_path):
    plans = [constant(BASE, lr, 40) for lr in RATES]
    whole = curves(together("Plain", plans, tmp_path))
    reports = together("Hiccups", plans, tmp_path)
    assert {progress.plan: progress.ended for progress in reports if progress.ended} == dict.fromkeys(plans, State.COMPLETE)
    assert {plan: repr(curve) for plan, curve in curves(reports).items()} == {p: repr(c) for p, c in whole.items()}


def test_what_raises_alone_as_well_has_failed_with_a_traceback_of_its_own(tmp_path):
    plans = [constant(BASE, lr, 40) for lr in RATES]
    reports = together("Branches", plans, tmp_path)
    assert {progress.plan: progress.ended for progress in reports if progress.ended} == dict.fromkeys(plans, State.FAILED)
    assert all("RuntimeError: " in progress.error for progress in reports if progress.ended)
