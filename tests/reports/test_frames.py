"""Are the tables tidy: one row for each thing, and nothing lost?"""

import math
from dataclasses import replace

import pytest

from reports.frames import curves_frame, decisions_frame, evidence_frame, schedules_frame, tables, trials_frame
from reports.stages import StageResults
from studies.trial import State
from tests.reports.sample import METRIC, TRACE, stage1, stage3, study


def test_one_row_a_trial():
    stages = study()
    frame = trials_frame(stages)
    assert len(frame) == sum(len(stage.trials) for stage in stages)
    assert not frame.duplicated(["stage", "number"]).any()
    failed = frame[frame["state"] == "failed"].iloc[0]
    assert failed["error"] == TRACE.splitlines()[-1] and math.isnan(failed["value"]) and failed["last"] == 0


def test_a_trial_knows_what_was_decided_of_it():
    frame = trials_frame([stage1()]).set_index("number")
    assert frame.index[frame["winner"]].tolist() == [3] and frame.index[frame["runner_up"]].tolist() == [2]
    assert frame.loc[3, "place"] == 1 and frame.loc[3, "outcome"] == "winner" and frame.loc[3, "label"] == "lr 0.1"
    undecided = trials_frame([stage1(decided=False)])
    assert not undecided["winner"].any() and (undecided["place"] == 0).all()


def test_the_winner_is_found_at_whatever_length_it_was_cut():
    stage = stage1()
    cut = stage.decision.model_copy(update={"winner": stage.decision.winner.upto(4100)})
    assert trials_frame([replace(stage, decision=cut)])["winner"].tolist().count(True) == 1


def test_every_measured_value_is_in_the_curves():
    stages = study()
    frame = curves_frame(stages)
    assert len(frame) == sum(len(trial.points) for stage in stages for trial in stage.trials)
    for name in ("train_loss", "val_loss", "accuracy", "lr", "update_ratio"):
        measured = [
            point.values[name] for stage in stages for trial in stage.trials for point in trial.points if name in point.values
        ]
        assert frame[name].notna().sum() == sum(not math.isnan(value) for value in measured)
    assert (frame["examples"] % frame["step"] == 0).all()


def test_schedules_are_those_of_the_plans():
    stage = stage3()
    frame = schedules_frame([stage])
    for trial in stage.trials:
        own = frame[frame["number"] == trial.number]
        assert own["lr"].tolist() == [trial.plan.at(step) for step in own["step"]]
        assert own["step"].iloc[0] == 0 and own["step"].iloc[-1] == trial.plan.steps - 1


def test_decisions_and_evidence():
    stages = study()
    decisions, evidence = decisions_frame(stages), evidence_frame(stages)
    assert decisions["stage"].tolist() == ["stage1", "stage2", "stage3"]
    assert decisions["tie"].tolist() == [False, True, False]
    assert evidence.groupby("stage")["place"].apply(list)["stage3"] == [1, 2, 3, 4, 5, 6]
    first = evidence[(evidence["stage"] == "stage3") & (evidence["place"] == 1)].iloc[0]
    assert first["seeds"] == 3 and first["low"] < first["value"] < first["high"] and len(first["trials"].split()) == 3


@pytest.mark.parametrize(
    "stages", [[], [StageResults("stage1", METRIC, [])], [stage1(decided=False)]], ids=["none", "empty", "undecided"]
)
def test_a_study_that_has_just_begun_has_tables_too(stages):
    made, trials = tables(stages), [trial for stage in stages for trial in stage.trials]
    rows = {"trials": len(trials), "curves": sum(len(trial.points) for trial in trials), "decisions": 0, "evidence": 0}
    assert {name: len(frame) for name, frame in made.items()} == rows
    assert all(frame.to_csv(index=False) for frame in made.values())


def test_states_are_told_as_the_study_has_them():
    states = trials_frame([stage1()])["state"].value_counts().to_dict()
    assert states == {State.COMPLETE: 3, State.PRUNED: 3, State.DIVERGED: 1, State.FAILED: 1}
