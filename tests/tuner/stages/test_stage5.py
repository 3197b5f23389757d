"""Stage 5 on hand-drawn curves: each way of the finish held against the plain winner."""

import math

import pytest

from studies.errors import StageError
from studies.finish import Fold, Pruned, Views
from studies.plan import Ensemble, Plan, constant
from tests.tuner.stages.curves import ACCURACY, Notebook, Pencil
from tuner.stages.stage import run_stage
from tuner.stages.stage5 import Stage5

START = constant(Plan(batch_size=32), 0.1, 1_000)
RIVAL = START.but(momentum=0.5)
NOISE = (-0.002, 0.0, 0.002)


def conclude(gain=lambda finish: 0.0, **options):
    def draw(plan, step):
        return 1 / step, 0.8 + gain(plan.finish) + NOISE[plan.seed % 3]

    study = Notebook()
    stage = Stage5(ACCURACY, leaders=(START, RIVAL), **options)
    return run_stage(stage, START, study, Pencil(draw, 3_200)), study


def test_every_way_has_a_row_and_the_plain_winner_stays():
    decision, study = conclude()
    assert decision.winner == START and decision.value == pytest.approx(0.8)
    assert [one.label for one in decision.evidence] == [
        "plain",
        "5 folds",
        "with mirror images",
        "with shifts by 1",
        "ensemble of 3 seeds",
        "ensemble of 2 leaders",
        "without 50 % of the weights",
    ]
    assert len(study.rows) == 3 + 5 + 3 + 3 + (6 + 3) + (3 + 3) + 3  # ensembles have members besides the winner's seeds
    members = [set(row.plan.finish.members) for row in study.rows if isinstance(row.plan.finish, Ensemble)][:3]
    assert not members[0] & members[1] and not members[1] & members[2]
    assert "more than seed noise is gained by nothing of this" in decision.words[0]


@pytest.mark.parametrize(("kind", "label"), [(Views, "with mirror images"), (Ensemble, "ensemble of 3"), (Pruned, "without")])
def test_a_gain_beyond_noise_is_said(kind, label):
    decision, _ = conclude(lambda finish: 0.05 * isinstance(finish, kind))
    assert label in decision.words[0]
    assert next(one for one in decision.evidence if one.label.startswith(label)).outcome.startswith("gains 0.0")


def test_a_task_with_a_smaller_model_has_it_taught_and_alone_and_one_without_is_told():
    decision, study = conclude(student=True)
    assert {"the student of 3 seeds", "the student alone"} <= {one.label for one in decision.evidence}
    assert not decision.warnings and "student(self)" in conclude()[0].warnings[0]


def test_the_pruned_goes_on_gently_from_the_winner_s_end():
    _, study = conclude()
    pruned = next(row.plan for row in study.rows if isinstance(row.plan.finish, Pruned))
    assert pruned.upto(1_000) == START and pruned.steps == 1_100 and pruned.at(1_050) == pytest.approx(0.01)


def test_what_is_skipped_is_not_trained_and_one_seed_makes_no_ensemble_of_seeds():
    decision, study = conclude(skip=("folds", "mirror", "shift", "leaders", "pruned"), repeats=1)
    assert [one.label for one in decision.evidence] == ["plain"] and len(study.rows) == 1


def test_a_way_that_breaks_is_told_and_the_others_stand():
    decision, _ = conclude(lambda finish: math.nan if isinstance(finish, Fold) else 0.0, folds=2)
    assert decision.value == pytest.approx(0.8)
    assert next(one for one in decision.evidence if one.label == "2 folds").value is None


def test_a_winner_that_breaks_cannot_be_finished():
    study = Notebook()
    with pytest.raises(StageError, match="the winner itself diverged"):
        run_stage(Stage5(ACCURACY), START, study, Pencil(lambda plan, step: (math.nan, 0.0), 3_200))


def test_one_seed_is_not_said_to_tell_what_is_gained_from_its_noise():
    decision, _ = conclude(lambda finish: 0.1 if isinstance(finish, Views) else 0.0, repeats=1, skip=("student", "distilled"))
    assert "one seed does not tell" in decision.words[0] and decision.warnings == ()
