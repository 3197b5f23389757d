"""Is a finish what it says? Folds, views, ensembles, pruned weights; and does each go on bit for bit?"""

import pytest
import torch
from torch import nn

from studies.finish import Fold, Pruned, Views
from studies.plan import Distilled, Ensemble, Plan, Segment, constant
from studies.schedule import Constant
from studies.trial import State
from trainables import Task
from trainables.checkpoints import Checkpoints
from trainables.finish import folded, taught
from trainables.task import Supervision
from trainables.training import carry_out

PLAN = constant(Plan(batch_size=16), 0.05, 20)
WILD = constant(Plan(batch_size=16), 1e30, 20)


class Images(Task):
    """Which half of an image is brighter?"""

    def data(self):
        draw = torch.Generator().manual_seed(0)
        labels = torch.randint(2, (150,), generator=draw)
        images = torch.randn(150, 1, 6, 6, generator=draw)
        images[:, :, :3] += labels[:, None, None, None]
        return (images[:100], labels[:100]), (images[100:], labels[100:])

    def model(self):
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))

    def student(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))


class Rows(Images):
    """The same, as one row of numbers each."""

    def data(self):
        return tuple((images.flatten(1), labels) for images, labels in super().data())

    def model(self):
        return nn.Linear(36, 2)


class Dense(Images):
    """Which pixels are bright? Scores of three classes, of which one never comes, for each."""

    def data(self):
        return tuple((images, (images[:, 0] > 0.5).long()) for images, _ in super().data())

    def model(self):
        return nn.Conv2d(1, 3, 3, padding=1)


class Graded(Images):
    """Labels as whole numbers, but one output, which a loss of its own takes for the logarithm of the odds."""

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 1))

    def loss(self, outputs, targets):
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets.float())

    def metrics(self, outputs, targets):
        return {"accuracy": ((outputs[:, 0] > 0) == targets).float().mean()}


@pytest.fixture
def workload():
    return Supervision(Images(), "images", "f" * 64)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, "f" * 64)


def carried_out(workload, plan, checkpoints, stop=lambda: False):
    """The last report, and all points."""
    reports = list(carry_out(workload, [plan], checkpoints, eval_examples=80, device="cpu", stop=stop))
    return reports[-1], [point for report in reports for point in report.points]


def outputs(workload, plan, checkpoints):
    """What the end of a training says to the validation images; their labels."""
    trainable = workload.trainable(plan, "cpu")
    trainable.restore(checkpoints.deepest(plan).state)
    images, labels = workload.splits("cpu")[1].take(torch.arange(50))
    return trainable.model.eval(), images, labels


def test_folds_are_disjoint_and_cover_everything(workload):
    (images, labels), (others, theirs) = workload.task.data()
    held = [folded((images, labels), (others, theirs), Fold(index=i, of=4), seed=3) for i in range(4)]
    for train, valid in held:
        assert len(train[0]) + len(valid[0]) == 150
        assert not {row.sum().item() for row in train[0]} & {row.sum().item() for row in valid[0]}
    everything = torch.cat([valid[0] for _, valid in held]).sum((1, 2, 3)).sort().values
    assert torch.equal(everything, torch.cat([images, others]).sum((1, 2, 3)).sort().values)
    pairs = [list(zip(*half)) for half in ((images, labels), (others, theirs))]
    (_, as_set), (_, as_tensors) = folded(*pairs, Fold(index=1, of=4), 3), held[1]
    assert all(torch.equal(image, other) for (image, _), other in zip(as_set, as_tensors[0]))


def test_views_train_nothing_anew_and_are_the_mean_of_what_is_said_to_each(workload, checkpoints):
    _, plain = carried_out(workload, PLAN, checkpoints)
    report, points = carried_out(workload, PLAN.but(finish=Views(mirror=True, shift=1)), checkpoints)
    assert report.ended is State.COMPLETE and report.begun == 20 and [point.step for point in points] == [20]
    model, images, labels = outputs(workload, PLAN, checkpoints)
    shifted = [torch.zeros_like(images) for _ in range(4)]
    shifted[0][..., 1:], shifted[1][..., :-1] = images[..., :-1], images[..., 1:]
    shifted[2][:, :, 1:], shifted[3][:, :, :-1] = images[:, :, :-1], images[:, :, 1:]
    with torch.no_grad():
        mean = torch.stack([model(view).softmax(1) for view in (images, images.flip(3), *shifted)]).mean(0)
    assert points[0].values["val_loss"] == pytest.approx(nn.functional.nll_loss(mean.log(), labels).item(), rel=1e-5)
    assert points[0].values["accuracy"] == pytest.approx((mean.argmax(1) == labels).float().mean().item())
    assert points[0].values["train_loss"] == plain[-1].values["train_loss"]


def test_views_that_were_stopped_on_the_way_leave_the_plain_training_as_it_is(workload, checkpoints, tmp_path):
    looking, asked = PLAN.but(finish=Views(mirror=True)), []
    carried_out(workload, looking, checkpoints, stop=lambda: len(asked) > 2 or asked.append(1))
    resumed, points = carried_out(workload, looking, checkpoints)
    assert resumed.ended is State.COMPLETE and len(points) == 1
    _, plain = carried_out(workload, PLAN, checkpoints)
    _, alone = carried_out(workload, PLAN, Checkpoints(tmp_path / "alone", "f" * 64))
    assert [point.values for point in plain] == [point.values for point in alone]


def test_an_ensemble_is_the_mean_of_its_members_and_trains_those_that_are_gone(workload, checkpoints):
    members = (PLAN, PLAN.but(seed=1))
    carried_out(workload, PLAN, checkpoints)
    report, points = carried_out(workload, PLAN.but(finish=Ensemble(members=members)), checkpoints)
    assert report.ended is State.COMPLETE, report.error
    with torch.no_grad():
        said = [model(images).softmax(1) for model, images, _ in (outputs(workload, plan, checkpoints) for plan in members)]
    _, _, labels = outputs(workload, PLAN, checkpoints)
    mean = torch.stack(said).mean(0)
    assert points[-1].values["val_loss"] == pytest.approx(nn.functional.nll_loss(mean.log(), labels).item(), rel=1e-5)


class Strict(Images):
    def loss(self, outputs, targets):
        if not outputs.isfinite().all():
            raise ArithmeticError("out of luck")
        return super().loss(outputs, targets)


@pytest.mark.parametrize("finish", [Ensemble(members=(PLAN, WILD)), Distilled(teachers=(WILD,))])
@pytest.mark.parametrize("task, why", [(Images, "diverged when trained again: train loss is nan"), (Strict, "out of luck")])
def test_a_member_that_is_gone_and_does_not_come_to_its_end_again_fails_the_plan(task, why, finish, checkpoints):
    report, _ = carried_out(Supervision(task(), "wild", "f" * 64), PLAN.but(finish=finish), checkpoints)
    told = report.error.strip().splitlines()[-1]
    assert report.ended is State.FAILED and f"{finish.words}: lr 1e+30, seed 0, whose state was gone, " in told and why in told


def test_a_member_that_is_trained_again_is_stopped_and_goes_on_as_all_are(workload, checkpoints, tmp_path):
    member, asked = PLAN.but(seed=1), []
    for finish in (Distilled(teachers=(member,)), Ensemble(members=(member,))):
        plan, elsewhere = PLAN.but(finish=finish), Checkpoints(tmp_path / finish.kind, "f" * 64)
        carried_out(workload, PLAN, elsewhere)
        stopped, points = carried_out(workload, plan, elsewhere, stop=lambda: len(asked) > 2 or asked.append(1))
        assert stopped.ended is None and points == [] and 0 < elsewhere.deepest(member).step < 20
        resumed, points = carried_out(workload, plan, elsewhere)
        _, whole = carried_out(workload, plan, checkpoints)
        assert resumed.ended is State.COMPLETE and [point.values for point in points] == [point.values for point in whole]
        asked.clear()


@pytest.mark.parametrize("task", [Images, Dense, Graded])
def test_an_ensemble_of_one_is_that_one(task, checkpoints):
    workload = Supervision(task(), "one", "f" * 64)
    _, plain = carried_out(workload, PLAN, checkpoints)
    report, points = carried_out(workload, PLAN.but(finish=Ensemble(members=(PLAN,))), checkpoints)
    assert report.ended is State.COMPLETE, report.error
    assert points[-1].values == pytest.approx(plain[-1].values, rel=1e-5)


def test_a_student_of_pixels_is_as_far_from_its_teacher_as_from_its_labels():
    """Of a teacher that is sure, the divergence is the cross-entropy: a mean over the pixels, as well."""
    said, labels = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0)), torch.arange(120).reshape(4, 5, 6) % 3
    sure = 100.0 * nn.functional.one_hot(labels, 3).movedim(-1, 1)
    told = taught(said, sure, Distilled(temperature=1.0), classes=True)
    assert told.item() == pytest.approx(Task().loss(said, labels).item(), rel=1e-5)


def test_what_is_pruned_stays_so_from_there_on_and_the_path_before_is_shared(workload, checkpoints, tmp_path):
    carried_out(workload, PLAN, checkpoints)
    pruned = PLAN.then(Segment(steps=10, rate=Constant(lr=0.005))).but(finish=Pruned(share=0.5, at=20))
    report, points = carried_out(workload, pruned, checkpoints)
    assert (report.ended, report.begun) == (State.COMPLETE, 20), report.error
    assert points[-1].values["parameters_left"] == pytest.approx(0.5, abs=0.02)
    model, *_ = outputs(workload, pruned, checkpoints)
    weights = torch.cat([parameter.flatten() for parameter in model.parameters() if parameter.dim() > 1])
    assert (weights == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    pieces = Checkpoints(tmp_path / "pieces", "f" * 64)
    for end in (7, 20, 25, 30):
        carried_out(workload, pruned.upto(end), pieces)
    whole, again = checkpoints.deepest(pruned).state["model"], pieces.deepest(pruned).state["model"]
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_fold_is_validated_on_its_own_examples(workload, checkpoints):
    for index, size in enumerate((38, 38, 37, 37)):
        _, points = carried_out(workload, PLAN.but(finish=Fold(index=index, of=4)), checkpoints)
        right = points[-1].values["accuracy"] * size
        assert right == pytest.approx(round(right), abs=1e-4)


def test_views_of_what_is_no_image_are_refused(checkpoints):
    report, _ = carried_out(Supervision(Rows(), "rows", "f" * 64), PLAN.but(finish=Views(mirror=True)), checkpoints)
    assert report.ended is State.FAILED and "views: expected images" in report.error


def test_a_student_is_taught_by_what_its_teachers_say_and_goes_on_bit_for_bit(workload, checkpoints, tmp_path):
    how = Distilled(teachers=(PLAN, PLAN.but(seed=1)), temperature=3.0, weight=0.25)
    for plan in how.teachers:
        carried_out(workload, plan, checkpoints)
    report, _ = carried_out(workload, PLAN.but(finish=how), checkpoints)
    assert report.ended is State.COMPLETE, report.error
    for end in (7, 20):
        carried_out(workload, PLAN.but(finish=how).upto(end), pieces := Checkpoints(tmp_path / "pieces", "f" * 64))
    whole, again = (found.deepest(PLAN.but(finish=how)).state["model"] for found in (checkpoints, pieces))
    assert len(whole) == 2 and all(torch.equal(whole[name], again[name]) for name in whole)

    student, said = workload.trainable(PLAN.but(finish=how), "cpu"), []
    for plan in how.teachers:
        teacher = workload.trainable(plan, "cpu")
        teacher.restore(checkpoints.deepest(plan).state)
        said.append(teacher)
    images, labels = workload.splits("cpu")[0].take(torch.arange(16))
    plain = student._loss(images, labels)
    student.enlist(said)
    with torch.no_grad():
        mean = torch.stack([teacher.model(images).softmax(1) for teacher in said]).mean(0).log()
        own = student.model(images)
        soft = ((mean / 3).softmax(1) * ((mean / 3).log_softmax(1) - (own / 3).log_softmax(1))).sum(1).mean() * 9
    assert student._loss(images, labels).item() == pytest.approx((0.75 * plain + 0.25 * soft).item(), rel=1e-5)


def test_a_task_without_a_student_says_what_to_write(checkpoints):
    class Alone(Rows):
        student = Task.student

    report, _ = carried_out(Supervision(Alone(), "alone", "f" * 64), PLAN.but(finish=Distilled()), checkpoints)
    assert report.ended is State.FAILED and "needs a method student(self), a smaller model" in report.error
