import logging
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
from itertools import combinations, count
from pathlib import Path

import fsspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.errors import InputError, StorageError, TaskError
from studies.plan import Plan, Segment, constant
from studies.schedule import Constant, Linear
from studies.trial import Point
from tests.trainables.helpers import in_another_process, left, same, train
from tests.waiting import until
from trainables import checkpoints as module
from trainables.checkpoints import Checkpoint, Checkpoints, Use, uses

PLAN = constant(Plan(batch_size=8), 0.1, 20)
STATE = {"weights": torch.arange(6.0).reshape(2, 3), "step": 7, "name": "x", "parts": [1, (2.5, None)], 3: True}
TASK = "f" * 64


def checkpoint(step: int) -> Checkpoint:
    point = Point(step, {"train_loss": 0.5, "val_loss": float("nan"), "lr": 0.1}, 1.5)
    return Checkpoint(step, {**STATE, "step": step}, (point,), 1.5, (2.25, 3))


def lying(kept: Checkpoints, plan: Plan, step: int) -> Path:
    return Path(kept.where(plan, step))


def filled(folder) -> Checkpoints:
    kept = Checkpoints(folder, TASK)
    for step in (5, 10, 15):
        kept.save(PLAN, checkpoint(step))
    return kept


@pytest.fixture
def kept(tmp_path) -> Checkpoints:
    return filled(tmp_path)


NUMBERS = count()


@pytest.fixture(params=["path", "file", "memory", "dir", "s3"])
def anywhere(request, tmp_path) -> str | Path:
    """A place for states: in a folder, in another process-wide store, below a folder as fsspec sees it, in an S3 store."""
    if request.param == "path":
        return tmp_path
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/states{next(NUMBERS)}"
    return {"file": f"file://{tmp_path}", "memory": f"memory://{tmp_path}", "dir": f"dir::file://{tmp_path}"}[request.param]


def test_what_is_saved_is_found_as_it_was_wherever_it_lies(anywhere):
    kept = filled(anywhere)
    found, saved = kept.deepest(PLAN), checkpoint(15)
    assert same(found.state, saved.state) and repr(found.points) == repr(saved.points)
    assert (found.step, found.seconds, found.partial) == (15, 1.5, (2.25, 3))
    assert Checkpoints(anywhere, "e" * 64).deepest(PLAN) is None


def test_what_others_save_and_drop_is_seen_at_once(anywhere):
    mine, theirs = Checkpoints(anywhere, TASK), Checkpoints(anywhere, TASK)
    assert mine.deepest(PLAN) is None and list(mine.steps(PLAN)) == []
    theirs.save(PLAN, checkpoint(5))
    assert mine.deepest(PLAN).step == 5
    theirs.save(PLAN, checkpoint(10))
    assert list(mine.steps(PLAN)) == [10, 5]
    theirs.drop(PLAN, [5])
    theirs.drop(PLAN, [5, 15])
    assert list(mine.steps(PLAN)) == [10]


def test_a_spoilt_state_is_put_aside_and_the_path_falls_back_wherever_it_lies(anywhere, caplog):
    kept = filled(anywhere)
    store, folder = fsspec.core.url_to_fs(str(anywhere))
    path = "/".join([folder, *kept.where(PLAN, 15).split("/")[-2:]])
    store.pipe_file(path, store.cat_file(path)[:-1])
    with caplog.at_level(logging.WARNING, "tuner"):
        assert kept.deepest(PLAN).step == 10
    assert kept.where(PLAN, 15) in caplog.text and "going on from an earlier state" in caplog.text
    assert list(kept.steps(PLAN)) == [10, 5]
    assert set(uses(kept.files(), TASK, [PLAN]).values()) == {Use.NEEDED, Use.PASSED, Use.SPOILT}


def test_what_is_not_needed_can_be_removed_wherever_it_lies(anywhere):
    kept = filled(anywhere)
    kept.check()
    Checkpoints(anywhere, "e" * 64).save(PLAN, checkpoint(5))
    found = uses(kept.files(), TASK, [PLAN])
    assert sorted(found.values()) == [Use.NEEDED, Use.OUTDATED, Use.PASSED, Use.PASSED] and all(kept.files().values())
    kept.remove(file for file, use in found.items() if use is not Use.NEEDED)
    assert list(kept.steps(PLAN)) == [15] and len(kept.files()) == 1


def test_a_state_is_found_by_all_who_pass_and_by_no_other(kept):
    assert kept.deepest(PLAN.upto(14)).step == 10
    assert kept.deepest(PLAN.to(100)).step == 15
    assert kept.deepest(PLAN.upto(12).then(Segment(steps=9, rate=Linear(lr=0.1, over=9)))).step == 10
    assert kept.deepest(PLAN.upto(4)) is None
    for other in (PLAN.but(seed=1), PLAN.but(momentum=0.5), constant(PLAN, 0.2, 20)):
        assert kept.deepest(other) is None


def flipped(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def lost(content: bytes, chance: random.Random) -> bytes:
    """As a power cut leaves a file whose end had no time to reach the disk."""
    place = chance.randrange(len(content) - 1)
    return content[:place] + bytes(len(content) - place)


def longer(content: bytes, chance: random.Random) -> bytes:
    return content + chance.randbytes(1 + chance.randrange(9))


@pytest.mark.parametrize(("damage", "times"), [(flipped, 1000), (cut, 200), (lost, 100), (longer, 50)])
def test_no_damage_goes_unnoticed(kept, damage, times):
    path, chance = lying(kept, PLAN, 15), random.Random(1)
    content = path.read_bytes()
    for _ in range(times):
        spoilt = damage(content, chance)
        path.write_bytes(spoilt)
        assert kept.deepest(PLAN).step == 10 and not path.exists() and path.with_suffix(".bad").read_bytes() == spoilt
    path.write_bytes(content)
    assert kept.deepest(PLAN).step == 15


def test_a_state_under_another_s_name_is_not_taken_for_it(kept):
    other = PLAN.but(seed=1)
    kept.save(other, checkpoint(10))
    lie = [lying(kept, plan, step) for plan, step in [(PLAN, 5), (PLAN, 10), (PLAN, 15), (other, 10)]]
    contents = {path: path.read_bytes() for path in lie}
    for one, two in combinations(lie, 2):
        for path in lie:
            path.write_bytes(contents[{one: two, two: one}.get(path, path)])
        true = [step for step, path in zip((5, 10, 15), lie) if path not in (one, two)]
        deepest = kept.deepest(PLAN)
        assert (deepest.step if deepest else 0) == max(true, default=0)
        assert (kept.deepest(other) is None) == (lie[3] in (one, two))


def test_when_none_verifies_there_is_none(kept):
    for step in kept.steps(PLAN):
        lying(kept, PLAN, step).write_bytes(b"")
    assert kept.deepest(PLAN) is None


def test_a_training_goes_on_from_the_state_before_the_spoilt_one(tmp_path):
    train("Images", PLAN, tmp_path / "one", keep={10})
    state = left("Images", PLAN, tmp_path / "one").state
    kept = next((tmp_path / "one").iterdir())
    for file in kept.glob("*-20.ckpt"):
        file.write_bytes(file.read_bytes()[:-9])
    reports = train("Images", PLAN, tmp_path / "one")
    assert reports[0].begun == 10 and same(left("Images", PLAN, tmp_path / "one").state, state)


class Canary:
    """Sings when it is unpickled."""

    def __init__(self, song: Path):
        self.song = song

    def __reduce__(self):
        return os.mkdir, (str(self.song),)


def signed(kept: Checkpoints, path: Path, body: bytes) -> None:
    """By somebody who knows how states are written."""
    path.write_bytes(module.MAGIC + module._digest(path.name, body) + body)


def saved(content, **options) -> bytes:
    buffer = module.io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def test_nothing_in_a_state_is_executed_or_imported(kept, tmp_path, monkeypatch):
    song, path, honest = tmp_path / "song", lying(kept, PLAN, 15), {"points": [], "seconds": 0.0, "partial": (0.0, 0)}
    (tmp_path / "canary_of_ours.py").write_text(f"import os; os.mkdir({str(song)!r})\nclass Bird: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    bird = b"ccanary_of_ours\nBird\n."
    bodies = [
        saved({**honest, "state": Canary(song)}),
        saved({**honest, "state": Canary(song)}, _use_new_zipfile_serialization=False),
        saved({**honest, "state": {"weights": torch.zeros(2), "more": [Canary(song)]}}),
        saved({**honest, "state": {}, "points": Canary(song)}),
        saved(Canary(song)),
        pickle.dumps(Canary(song), protocol=2),
        bird,
        b"".join(pickle.dumps(part, 2) for part in (torch.serialization.MAGIC_NUMBER, 1001, {})) + bird,
    ]
    for body in bodies:
        signed(kept, path, body)
        assert kept.deepest(PLAN).step == 10 and path.with_suffix(".bad").exists()
    assert not song.exists() and "canary_of_ours" not in sys.modules
    pickle.loads(pickle.dumps(Canary(song)))
    assert song.exists(), "this canary cannot sing"


@pytest.mark.parametrize("content", [{}, [], 7, {"state": {}, "points": 3}, {"state": {}, "points": [(1,)], "partial": ()}])
def test_a_content_of_another_form_is_spoilt_too(kept, content):
    signed(kept, lying(kept, PLAN, 15), saved(content))
    assert kept.deepest(PLAN).step == 10


def test_foreign_files_are_nobody_s_business(kept):
    folder = lying(kept, PLAN, 5).parent
    for name in ("notes.txt", "x-99.ckpt", "-.ckpt", "a-b.ckpt", "a-²20.ckpt"):
        (folder / name).write_text("?")
    (folder.parent / "data").mkdir()
    (folder.parent / "data" / "images.tmp").write_text("?")
    assert kept.deepest(PLAN).step == 15 and (folder / "notes.txt").exists()
    assert len(kept.files()) == 3


def writes_slowly(folder: Path) -> subprocess.Popen:
    code = """
plan = Plan.model_validate_json(sys.argv[2])
Checkpoints(sys.argv[1], "f" * 64).save(plan, Checkpoint(plan.steps, {"weights": torch.zeros(25_000_000)}))
"""
    return in_another_process(code, str(folder), PLAN.to(40).model_dump_json())


def aside(folder: Path, writer: subprocess.Popen) -> Path:
    """What the writer has begun to write."""
    while not (found := [path for path in folder.rglob(".*.tmp") if path.stat().st_size]):
        assert writer.poll() is None
        time.sleep(0.001)
    return found[0]


def test_what_a_killed_writer_leaves_is_swept(kept):
    writer = writes_slowly(kept.folder)
    left_over = aside(kept.folder, writer)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert left_over.exists() and kept.deepest(PLAN).step == 15
    assert list(uses(kept.files(), TASK, [PLAN]).values()).count(Use.UNFINISHED) == 1
    kept.sweep()
    assert not left_over.exists() and list(kept.steps(PLAN)) == [15, 10, 5]


def test_a_living_writer_whose_file_is_swept_writes_it_again(kept):
    writer = writes_slowly(kept.folder)
    swept = aside(kept.folder, writer)
    kept.sweep()
    assert not swept.exists() and writer.wait(60) == 0
    assert [path for path in kept.folder.rglob("*-40.ckpt") if path.stat().st_size > 100_000_000]
    assert not list(kept.folder.rglob("*.tmp"))


def test_a_full_disk_is_told_by_name_and_costs_nothing_older(kept):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"-20\.ckpt: File too large; nothing that was saved before is lost"):
            kept.save(PLAN, checkpoint(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept.deepest(PLAN).step == 15
    assert not [name for name in os.listdir(lying(kept, PLAN, 5).parent) if name.endswith(".tmp")]


def test_no_folder_to_write_in(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Not a directory"):
        Checkpoints(tmp_path / "file", TASK).save(PLAN, checkpoint(5))
    with pytest.raises(InputError, match=f"--checkpoints {tmp_path}/file: Not a directory; expected a folder"):
        Checkpoints(tmp_path / "file", TASK).check()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense://x", "--checkpoints nonsense://x: Protocol not known: nonsense; expected a folder, or a URL that fsspec"),
        ("oci://bucket/x", "--checkpoints oci://bucket/x: Install ocifs"),
        ("nonsense://me:secret@host/x", "nonsense://me:***@host/x"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url, told):
    for use in (lambda kept: kept.check(), lambda kept: kept.deepest(PLAN), lambda kept: kept.save(PLAN, checkpoint(5))):
        with pytest.raises(InputError) as error:
            use(Checkpoints(url, TASK))
        assert told in str(error.value) and "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_bucket_that_is_not_there_is_told_and_not_made(bucket):
    kept = Checkpoints("s3://tuner-slip/states", TASK)
    with pytest.raises(InputError, match="--checkpoints s3://tuner-slip/states: The specified bucket does not exist; expected"):
        kept.check()
    with pytest.raises(StorageError, match=r"^s3://tuner-slip/states/f{16}/\w+-5\.ckpt: The specified bucket does not exist"):
        kept.save(PLAN, checkpoint(5))
    assert kept.deepest(PLAN) is None and not fsspec.filesystem("s3").exists("tuner-slip")


def test_a_killed_training_goes_on_from_its_state_in_a_bucket(bucket, tmp_path):
    place, plan = f"{bucket}/killed", constant(Plan(batch_size=8), 0.05, 160)
    code = "train('Images', Plan.model_validate_json(sys.argv[2]), sys.argv[1])"
    training = in_another_process(code, place, plan.model_dump_json())
    store = fsspec.filesystem("s3", use_listings_cache=False)
    until(lambda: training.poll() is not None or len(store.glob(f"{place}/*/*.ckpt")) >= 2)
    assert training.poll() is None, "it was over before it could be killed"
    training.send_signal(signal.SIGKILL)
    training.wait()
    reports = train("Images", plan, place)
    train("Images", plan, tmp_path)
    assert 0 < reports[0].begun < 160
    assert same(left("Images", plan, place).state, left("Images", plan, tmp_path).state)


STEPS = st.integers(1, 12)
RATES = st.sampled_from([Constant(lr=0.1), Constant(lr=0.2), Linear(lr=0.1, over=12)])
PLANS = st.lists(
    st.builds(
        lambda parts, seed: Plan(segments=tuple(Segment(steps=steps, rate=rate) for steps, rate in parts), seed=seed),
        st.lists(st.tuples(STEPS, RATES), min_size=1, max_size=3),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=5,
)


@given(plans=PLANS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_needed_is_what_the_plans_would_start_from(plans, data):
    """To its end, and from where it leaves another: each finds as much as if all were there; and nothing else is kept."""
    states = {(plan.upto(step), step) for plan in plans for step in data.draw(st.sets(st.integers(1, plan.steps)))}
    names = {f"{TASK[:16]}/{path.id}-{step}.ckpt": (path, step) for path, step in states}
    needed = {names[file] for file, use in uses(names, TASK, plans).items() if use is Use.NEEDED}

    def deepest(there, plan):
        return max((step for path, step in there if step <= plan.steps and plan.upto(step) == path), default=0)

    ends = {plan.upto(plan.common(other)) for plan in plans for other in plans}
    assert {end: deepest(needed, end) for end in ends} == {end: deepest(states, end) for end in ends}
    assert len(needed) == len({(end.upto(step), step) for end in ends if (step := deepest(states, end))})


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a": {"b": [1, torch.zeros(2).numpy()]}}, r"state\['a'\]\['b'\]\[1\]: expected tensors, .*; got ndarray"),
        ({"a": torch.zeros(2).numpy().sum()}, r"state\['a'\]: .*; got float32"),
        ({(1, object()): 2}, r"a key of state\[1\]: .*; got object"),
        ({"a": lambda: 0}, r"got function"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, state, told):
    with pytest.raises(TaskError, match=told):
        Checkpoints(tmp_path, TASK).save(PLAN, Checkpoint(5, state))
    assert not list(tmp_path.iterdir())
