"""Does TensorBoard get every step once, whoever was killed?"""

import math
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tensorboardX.record_writer import RecordWriter

from reports.tensorboard import TensorboardLog, events, last_step, run_name
from studies.errors import StorageError
from studies.plan import Plan, constant
from studies.recipe import Recipe
from studies.trial import Point
from tests.reports.sample import points, stage1, stage3

PLAN = constant(Plan(), 0.1, 6000)


def written(folder):
    """(tag, step) -> value, of all event files, and how often."""
    values, counts = {}, Counter()
    for path in sorted(Path(folder).rglob("events.out.tfevents.*")):
        for event in events(path):
            for value in event.summary.value:
                values[value.tag, event.step] = value.simple_value
                counts[value.tag, event.step] += 1
    return values, counts


def restarted(folder, name):
    """As another process would: its files have another name."""
    log = TensorboardLog(folder)
    log._file += name
    return log


def test_every_value_of_every_step_is_there(tmp_path):
    log = TensorboardLog(tmp_path)
    for trial in stage1().trials:
        log.record("stage1", trial.plan, trial.points)
    values, counts = written(tmp_path / "stage1" / run_name(PLAN))
    won = stage1().trials[3]
    assert set(counts.values()) == {1} and len(values) == 5 * len(won.points)
    for point in won.points:
        for name, value in point.values.items():
            assert values[name, point.step] == pytest.approx(value, rel=1e-6)
    assert len(list((tmp_path / "stage1").iterdir())) == 7  # a trial without points has no run


def test_a_restart_writes_new_steps_only(tmp_path):
    given = points(PLAN)
    TensorboardLog(tmp_path).record("stage1", PLAN, given[:20])
    again = restarted(tmp_path, "b")
    again.record("stage1", PLAN, given[:30])
    again.record("stage1", PLAN, given[:30])
    again.record("stage1", PLAN, given[10:])
    _, counts = written(tmp_path)
    assert set(counts.values()) == {1} and {step for _, step in counts} == {point.step for point in given}


@pytest.mark.parametrize("cut", [1, 4, 9, 60, 200])
def test_a_torn_end_is_written_again(tmp_path, cut):
    given = points(PLAN)
    TensorboardLog(tmp_path).record("stage1", PLAN, given[:20])
    [path] = tmp_path.rglob("events.out.tfevents.*")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - cut)
    restarted(tmp_path, "b").record("stage1", PLAN, given)
    _, counts = written(tmp_path)
    assert set(counts.values()) == {1} and {step for _, step in counts} == {point.step for point in given}


def test_a_flipped_bit_ends_a_file(tmp_path):
    TensorboardLog(tmp_path).record("stage1", PLAN, points(PLAN)[:20])
    [path] = tmp_path.rglob("events.out.tfevents.*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert 0 < last_step(path.parent) < 2000


WRITER = """
import sys
from pathlib import Path
from reports.tensorboard import TensorboardLog
from studies.plan import Plan, constant
from studies.trial import Point
log, plan = TensorboardLog(Path(sys.argv[1])), constant(Plan(), 0.1, 6000)
print("ready", flush=True)
for step in range(1, 10**9):
    log.record("stage1", plan, [Point(step, {"loss": 1 / step})])
    if step % 50 == 0:
        print(step, flush=True)
"""


def test_a_killed_writer_leaves_what_the_next_one_goes_on_from(tmp_path):
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], cwd=root, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.strip() == "200":
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    restarted(tmp_path, "b").record("stage1", PLAN, [Point(step, {"loss": 1.0}) for step in range(1, 2001)])
    _, counts = written(tmp_path)
    steps = [step for _, step in counts]
    assert set(counts.values()) == {1} and sorted(steps) == list(range(1, max(steps) + 1)) and max(steps) >= 2000


def test_the_format_is_the_one_of_tensorboards_own_writer(tmp_path):
    TensorboardLog(tmp_path).record("stage1", PLAN, points(PLAN)[:3])
    [path] = tmp_path.rglob("events.out.tfevents.*")
    copy = tmp_path / "copy"
    writer = RecordWriter(str(copy))
    for event in events(path):
        writer.write(event.SerializeToString())
    writer.close()
    assert copy.read_bytes() == path.read_bytes()
    assert next(iter(events(path))).file_version == "brain.Event:2"


def test_values_that_are_no_numbers_are_written_as_they_are(tmp_path):
    strange = {"nan": math.nan, "inf": -math.inf, "huge": 1e300}
    TensorboardLog(tmp_path).record("stage1", PLAN, [Point(1, strange)])
    values, _ = written(tmp_path)
    assert math.isnan(values["nan", 1]) and values["inf", 1] == -math.inf and values["huge", 1] == math.inf


def test_a_trial_keeps_its_run_as_it_goes_on_and_shares_it_with_no_other():
    plans = [trial.plan for trial in stage3().trials]
    assert len({run_name(plan) for plan in plans}) == len(plans)
    assert run_name(PLAN.upto(600)) == run_name(PLAN) != run_name(PLAN.but(seed=1))
    assert run_name(PLAN).startswith("lr-0.1-batch-64-m-0.9-constant-")
    assert "/" not in run_name(PLAN.but(optimizer="../../x")) and len(run_name(plans[4])) < 120


def test_a_plan_of_many_words_has_a_name_that_file_systems_take(tmp_path):
    names = ("mixup", "cutmix", "sample_pairing", "flip", "crop", "color_jitter", "randaugment", "autoaugment")
    switched = dict.fromkeys((*names, "momentum_correction"), True)
    recipe = Recipe(weight_decay=5e-4, label_smoothing=0.1, cutout=8, layer_decay=0.9, accumulate=2, **switched)
    plans = [PLAN.but(recipe=recipe, seed=seed) for seed in (10, 11)]
    for plan in plans:
        TensorboardLog(tmp_path).record("stage1", plan, points(PLAN)[:1])
    runs = {run.name for run in (tmp_path / "stage1").iterdir()}
    assert runs == set(map(run_name, plans)) and len(runs) == 2


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "stage1").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        TensorboardLog(tmp_path).record("stage1", PLAN, points(PLAN)[:1])
