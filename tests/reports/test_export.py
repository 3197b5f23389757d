"""Does the winner survive being written down, and does every mistake in the file cost one clear line?"""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.export import read_export, write_export
from reports.export.plain import origins
from reports.reading import LARGEST
from studies.errors import InputError, StorageError
from studies.plan import Plan, Segment, constant
from studies.recipe import Recipe
from studies.schedule import Constant, Cosine, Exponential, Linear, Sqrt, Warmup
from tests.reports.sample import HOSTILE, stage1, stage3, study

rates = st.floats(1e-12, 1e6)
schedules = st.one_of(
    st.builds(Constant, lr=rates),
    st.builds(Warmup, lr=rates, start=st.floats(0, 1), over=st.integers(1, 10**6), interval=st.integers(1, 500)),
    st.builds(Exponential, lr=rates, factor=st.floats(1e-9, 1 - 1e-9), interval=st.integers(1, 500)),
    *(st.builds(kind, lr=rates, over=st.integers(1, 10**6), end=st.floats(0, 1)) for kind in (Linear, Cosine, Sqrt)),
)
plans = st.builds(
    Plan,
    segments=st.lists(st.builds(Segment, steps=st.integers(1, 10**9), rate=schedules), max_size=4).map(tuple),
    batch_size=st.integers(1, 10**6),
    momentum=st.floats(0, 1, exclude_max=True),
    optimizer=st.text(max_size=20),
    seed=st.integers(0, 2**40),
)
DECISION = stage3().decision
VERSIONS = {"torch": "2.14.1", "ray": "2.60.0", "python": "3.11.2"}
ORIGINS = {"lr": "stage1", "batch_size": "stage2", "momentum": "stage2", "step_nums": "stage2", "schedule": "stage3"}


def written(path, plan=DECISION.winner, **changes):
    how = {"study": "digits", "task": "digits", "decision": DECISION, "origins": ORIGINS, "versions": VERSIONS}
    return write_export(path, plan, **{**how, **changes})


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_what_is_written_is_read(tmp_path, suffix):
    export = read_export(written(tmp_path / f"best.{suffix}", data="photos.zip"))
    assert export.plan == DECISION.winner and export.plan.id == DECISION.winner.id
    assert (export.study, export.task, export.data) == ("digits", "digits", "photos.zip")
    assert (export.metric, export.value, export.interval) == (DECISION.metric, DECISION.value, DECISION.interval)
    assert export.values == DECISION.values and len(export.values) == 3
    assert (export.origins, export.versions) == (ORIGINS, VERSIONS)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_every_plan_survives(tmp_path_factory, plan):
    path = tmp_path_factory.mktemp("export")
    for suffix in ("yaml", "json"):
        assert read_export(written(path / f"best.{suffix}", plan)).plan == plan


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.dictionaries(st.sampled_from(["torch", "a-b_c.d", "on"]), st.text(max_size=30), max_size=3))
def test_every_text_survives(tmp_path_factory, text, versions):
    path = tmp_path_factory.mktemp("export") / "best.yaml"
    export = read_export(written(path, task=text, data=text, versions=versions, origins={"lr": text}))
    assert (export.task, export.data, export.versions, export.origins) == (text, text, versions, {"lr": text})


def test_the_same_winner_gives_the_same_bytes(tmp_path):
    first = written(tmp_path / "a" / "best.yaml").read_bytes()
    assert written(tmp_path / "b" / "best.yaml", versions=dict(reversed(VERSIONS.items()))).read_bytes() == first


def test_it_tells_a_reader_what_is_what(tmp_path):
    text = written(tmp_path / "best.yaml").read_text()
    assert "tune train best.yaml" in text.splitlines()[0]
    for line in ("lr: 0.1  # decided by stage1", "step_nums: 6000  # optimizer updates; decided by stage2", "mean over 3 seeds"):
        assert line.replace(" ", "") in text.replace(" ", "")
    assert "shape: exponential, lr: 0.1, interval: 400, factor: 0.5}" in text


def test_each_value_names_the_stage_that_was_to_decide_it(tmp_path):
    first, second, third = (stage.decision for stage in study())
    own = {"lr": "stage1", "step_nums": "stage1"}
    assert origins([first]) == own
    kept = second.model_copy(update={"winner": first.winner})
    assert origins([first, kept]) == own | {"batch_size": "stage2", "momentum": "stage2"}
    longer = first.winner.but(batch_size=128).to(9000)
    scaled = constant(longer, 0.2, 9000)
    assert origins([first, second.model_copy(update={"winner": scaled})]) == {
        **dict.fromkeys(("lr", "step_nums", "batch_size", "momentum", "schedule"), "stage2")
    }
    tricks = third.model_copy(update={"stage": "stage4", "winner": third.winner.but(recipe=Recipe(mixup=0.4))})
    assert origins([first, kept, tricks])["recipe"] == "stage4"
    text = written(tmp_path / "best.yaml", tricks.winner, origins={"recipe": "stage4"}).read_text()
    assert "  # decided by stage4\n  recipe:\n    mixup:" in text
    assert read_export(tmp_path / "best.yaml").plan == tricks.winner


def test_a_winner_of_one_seed_has_no_interval(tmp_path):
    decision = stage1().decision
    export = read_export(written(tmp_path / "best.yaml", decision.winner, decision=decision))
    assert export.interval is None and export.values == () and export.value == decision.value


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = written(tmp_path / "best.yaml")
    before = path.read_bytes()
    with pytest.raises(Exception):  # noqa: B017 (whatever the YAML writer says of what is no text)
        written(path, task=object())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["best.yaml"]


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/best.yaml: cannot be written"):
        written(tmp_path / "file" / "best.yaml")


def test_hand_written_numbers_are_numbers(tmp_path):
    path = written(tmp_path / "best.yaml", constant(Plan(), 1e-3, 6000))
    path.write_text(path.read_text().replace("0.001", "1e-3").replace("6000", "6_000"))
    assert read_export(path).plan == constant(Plan(), 0.001, 6000)


WHOLE = "0.1, interval: 400, factor: 0.5"
BAD = {  # what of the good file is replaced, by what, and what the line must say
    "unknown key": (
        "batch_size: 64",
        "batch_sise: 64",
        ["plan.batch_sise", "unknown key", "valid keys", "batch_size", "momentum"],
    ),
    "unknown key at the top": ("study:", "stduy:", ["stduy", "unknown key", "study, task, data, metric, plan"]),
    "unknown key of the metric": ("mode: max", "mode: max\n  unit: 1", ["metric.unit", "unknown key", "name, mode, value"]),
    "unknown key of a segment": ("factor: 0.5", "facto: 0.5", ["plan.schedule[1].facto", "unknown key", "factor"]),
    "key of another shape": ("factor: 0.5", "factor: 0.5, over: 3", ["plan.schedule[1].over", "unknown key", "interval"]),
    "missing task": ("task: digits", "data: digits", ["task", "missing"]),
    "missing shape": ("shape: exponential, ", "", ["plan.schedule[1].shape", "missing", "'cosine'"]),
    "unknown shape": ("shape: exponential", "shape: exp", ["plan.schedule[1].shape", "'exponential'", "got 'exp'"]),
    "missing steps": ("steps: 2700, ", "", ["plan.schedule[0].steps", "missing"]),
    "missing factor": (", factor: 0.5", "", ["plan.schedule[1].factor", "missing"]),
    "given twice": ("seed: 0", "seed: 0\n  seed: 1", ["line 18", "duplicate key", "seed"]),
    "given twice at the top": ("format: 1", "format: 1\nformat: 1", ["line 3", "duplicate key"]),
    "another format": ("format: 1", "format: 2", ["format", "expected 1", "got 2"]),
    "format as text": ("format: 1", "format: '1'", ["format", "expected 1", "got '1'"]),
    "batch size as text": ("batch_size: 64", "batch_size: '64'", ["plan.batch_size", "a whole number", "got '64'"]),
    "batch size as truth": ("batch_size: 64", "batch_size: true", ["plan.batch_size", "a whole number", "got True"]),
    "batch size of half": ("batch_size: 64", "batch_size: 64.5", ["plan.batch_size", "a whole number", "got 64.5"]),
    "no batch": ("batch_size: 64", "batch_size: 0", ["plan.batch_size", "greater than or equal to 1", "got 0"]),
    "batch size of nothing": ("batch_size: 64", "batch_size:", ["plan.batch_size", "a whole number", "got nothing"]),
    "batch size as a list": ("batch_size: 64", "batch_size: [64]", ["plan.batch_size", "a whole number", "got a list"]),
    "momentum of 1": ("momentum: 0.9", "momentum: 1.0", ["plan.momentum", "less than 1", "got 1.0"]),
    "momentum below 0": ("momentum: 0.9", "momentum: -0.1", ["plan.momentum", "greater than or equal to 0", "got -0.1"]),
    "momentum NaN": ("momentum: 0.9", "momentum: .nan", ["plan.momentum", "a finite number", "got nan"]),
    "momentum infinite": ("momentum: 0.9", "momentum: -.inf", ["plan.momentum", "finite", "got -inf"]),
    "seed below 0": ("seed: 0", "seed: -1", ["plan.seed", "greater than or equal to 0", "got -1"]),
    "seed as a date": ("seed: 0", "seed: 2024-01-01", ["plan.seed", "a whole number", "2024"]),
    "optimizer as a number": ("optimizer: sgd", "optimizer: 3", ["plan.optimizer", "text", "got 3"]),
    "rate of nothing": (WHOLE, "0, interval: 400, factor: 0.5", ["plan.schedule[1].lr", "greater than 0", "got 0"]),
    "rate as text": (WHOLE, "fast, interval: 400, factor: 0.5", ["plan.schedule[1].lr", "a number", "got 'fast'"]),
    "a rate that disagrees": ("  lr: 0.1 ", "  lr: 0.2 ", ["plan.lr", "the schedule says 0.1", "got 0.2"]),
    "a rate as text above": ("  lr: 0.1 ", "  lr: '0.1' ", ["plan.lr", "a number", "got '0.1'"]),
    "steps that disagree": ("step_nums: 6000", "step_nums: 5000", ["plan.step_nums", "the schedule says 6000", "got 5000"]),
    "factor of 2": ("factor: 0.5", "factor: 2", ["plan.schedule[1].factor", "less than 1", "got 2"]),
    "interval of a constant": ("shape: constant,", "shape: constant, interval: 5,", ["plan.schedule[0].interval", "expected 1"]),
    "schedule as a word": ("  schedule:\n", "  schedule: linear\n  rest:\n", ["plan.schedule", "a list of segments"]),
    "segment as a word": ("schedule:\n", "schedule:\n    - linear\n", ["plan.schedule", "a list of segments"]),
    "plan as a list": ("plan:\n", "plan: [1]\nrest:\n", ["rest", "unknown key"]),
    "metric as a word": ("metric:\n", "metric: accuracy\nrest:\n", ["rest", "unknown key"]),
    "direction": ("mode: max", "mode: up", ["metric.mode", "'min' or 'max'", "got 'up'"]),
    "value as text": ("value: 0.9", "value: about 0.9", ["metric.value", "a number"]),
    "interval of one": ("interval: [0.9", "interval: [0.97] # [0.9", ["metric.interval", "two numbers, got one"]),
    "values as a number": ("values: [", "values: 3 # [", ["metric.values", "a list of numbers", "got 3"]),
    "task as a number": ("task: digits", "task: 3", ["task", "text", "got 3"]),
    "versions as a list": ("versions:\n", "versions: []\nmore:\n", ["more", "unknown key"]),
    "a number as key": ("seed: 0", "seed: 0\n  1: 2", ["plan", "names as keys", "got 1"]),
    "a list as key": ("seed: 0", "seed: 0\n  ? [1]\n  : 2", ["plan", "names as keys"]),
    "code": ("task: digits", "task: !!python/object/apply:os.system ['true']", ["line 4", "plain values", "tag"]),
    "a tag of one's own": ("task: digits", "task: !task digits", ["line 4", "plain values", "tag '!task'"]),
    "bytes": ("task: digits", "task: !!binary aGk=", ["line 4", "plain values", "binary"]),
    "an anchor": ("task: digits", "task: &here digits", ["line 4", "plain values", "here"]),
    "an alias": ("task: digits", "task: *here", ["line 4", "plain values", "here"]),
    "a tab": ("study: digits", "\tstudy: digits", ["line 3", "not YAML"]),
    "an open bracket": ("values: [", "values: [[", ["not YAML"]),
    "an open quote": ("task: digits", "task: 'digits", ["not YAML"]),
    "no indent": ("  seed: 0", "seed: 0", ["not YAML"]),
    "two documents": ("task: digits", "task: digits\n---", ["not YAML", "another document"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_told_in_one_line(tmp_path, name):
    old, new, told = BAD[name]
    path = written(tmp_path / "best.yaml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    line = refusal(path)
    assert line.startswith(f"{path}: ")
    for part in told:
        assert part in line


OF_A_RECIPE = {
    "mixup:": ("mixupp:", "plan.recipe.mixupp: unknown key; valid keys: weight_decay, dropout,"),
    "alpha:": ("alfa:", "plan.recipe.mixup.alfa: unknown key; valid keys: alpha$"),
    "alpha: 0.4": ("alpha: -1.0", "plan.recipe.mixup.alpha: expected a number greater than 0, got -1.0$"),
    "way: orthogonal": ("wai: orthogonal", "plan.recipe.init.conv.wai: unknown key; valid keys: way, value$"),
    "optimizer: adam": ("optimiser: adam", r"plan.schedule\[2\].optimiser: unknown key; valid keys: steps, optimizer, lr,"),
}


def test_a_recipe_and_a_change_of_the_optimizer_survive_and_their_mistakes_are_told(tmp_path):
    recipe = Recipe(mixup=0.4, weight_decay=5e-4, layer_rates={"head": 10.0}, init={"conv": "orthogonal"})
    plan = DECISION.winner.but(recipe=recipe).then(Segment(steps=5, rate=Constant(lr=0.1), optimizer="adam"))
    path = written(tmp_path / "best.yaml", plan)
    text = path.read_text()
    assert read_export(path).plan == plan
    for old, (new, told) in OF_A_RECIPE.items():
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=told):
            read_export(path)
        refusal(path)


OF_A_FINISH = {
    "{kind: folds, index: 0, of: 5}": "plan.finish.kind: expected one of 'fold', 'views', .*, got 'folds'$",
    "{index: 0, of: 5}": "plan.finish.kind: missing; expected one of 'fold', 'views', ",
    "{kind: fold, index: 0, off: 5}": "plan.finish.off: unknown key; valid keys: kind, index, of$",
    "{kind: fold, index: 0}": "plan.finish.of: missing; valid keys: kind, index, of$",
    "{kind: fold, index: 5, of: 5}": "plan.finish.index: expected below 5, got 5$",
    "fold": "plan.finish: expected a valid dictionary .*, got 'fold'$",
    "{kind: ensemble, members: [{sead: 1}]}": r"members\[0\].sead: unknown key; valid keys: segments, batch_size,",
    "{kind: ensemble, members: [{segments: [{steps: 5, rate: {lr: 1.0}}]}]}": r"segments\[0\].rate.shape: missing; .*'sqrt'$",
    "{kind: ensemble, members: [{segments: [{rate: {shape: constant, rl: 1.0}}]}]}": "rl: unknown key; valid keys: lr,",
}


@pytest.mark.parametrize("finish", OF_A_FINISH)
def test_mistakes_in_a_finish_are_told_in_its_words(tmp_path, finish):
    path = written(tmp_path / "best.yaml")
    path.write_text(path.read_text().replace("  seed: 0", f"  finish: {finish}\n  seed: 0"))
    with pytest.raises(InputError, match=OF_A_FINISH[finish]):
        read_export(path)
    refusal(path)


FILES = {
    "empty": (b"", "expected keys and values"),
    "a list": (b"- 1\n- 2\n", "expected keys and values"),
    "a word": (b"hello", "got 'hello'"),
    "binary": (bytes(range(256)) * 20, "not YAML|UTF-8"),
    "not UTF-8": ("task: caf\xe9".encode("latin-1"), "UTF-8 text, got the byte 0xe9 at 9"),
    "UTF-16": ("task: digits".encode("utf-16"), "UTF-8 text"),
    "NUL": (b"task: \0", "not YAML"),
    "too large": (b"#" * (LARGEST + 1), "at most 100,000 bytes"),
    "nested deeply": (b"[" * 2_000 + b"]" * 2_000, "nested too deeply"),
    "an alias bomb": (b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "the anchor 'a'"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_export_is_told_in_one_line(tmp_path, name):
    content, told = FILES[name]
    path = tmp_path / "best.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_export(path)
    refusal(path)


JSON = {
    "given twice": ('"study": "digits"', '"study": "digits", "study": "other"', "study: given twice"),
    "NaN": ('"momentum": 0.9', '"momentum": NaN', "finite numbers, got NaN"),
    "a comma too many": ('"format": 1,', '"format": 1,,', "line 2"),
    "unknown key": ('"batch_size"', '"batchsize"', "plan.batchsize: unknown key"),
    "deep": ('"format": 1,', '"format": ' + "[" * 50_000 + ",", "nested too deeply|line"),
}


@pytest.mark.parametrize("name", JSON)
def test_json_is_read_as_strictly(tmp_path, name):
    old, new, told = JSON[name]
    path = written(tmp_path / "best.json")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=told):
        read_export(path)
    refusal(path)


def test_what_cannot_be_opened_is_told_in_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "no such file; write one with: tune export" in refusal(tmp_path / "none.yaml")
    assert "got a folder" in refusal(tmp_path)
    assert "an ordinary file" in refusal(tmp_path / "pipe")
    assert "cannot be read" in refusal(tmp_path / "nul\0.yaml")
    assert "cannot be read" in refusal(tmp_path / ("long" * 70 + ".yaml"))


def test_nothing_in_the_file_is_carried_out(tmp_path):
    path = written(tmp_path / "best.yaml")
    path.write_text(path.read_text().replace("task: digits", f"task: !!python/object/apply:os.mkdir ['{tmp_path}/owned']"))
    refusal(path)
    assert not (tmp_path / "owned").exists()


def test_a_hostile_name_stays_text(tmp_path):
    path = written(tmp_path / "best.yaml", task=f"x\n# {HOSTILE}\nplan: {{}}", origins={"lr": "stage1\nplan: 3"})
    assert read_export(path).plan == DECISION.winner


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_export(path)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 500 and "Traceback" not in line
    return line
