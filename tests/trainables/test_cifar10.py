import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studies.errors import InputError
from studies.plan import Plan, constant
from trainables import load_task
from trainables.tasks import cifar10

COLOURS = {"cats": (250, 10, 10), "dogs": (10, 10, 250), "eels": (10, 250, 10)}


def encoded(colour, size=32, kind="PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(content, kind)
    return content.getvalue()


def images(examples: int, prefix: str = "") -> dict[str, bytes]:
    return {f"{prefix}{name}/{i:04}.png": encoded(colour) for name, colour in COLOURS.items() for i in range(examples)}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(cifar10, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def both(path: Path):
    """Two folders of a data set, each in its own zip."""
    return zipped(path / "train.zip", images(4)).parent, zipped(path / "test.zip", images(2))


LAYOUTS = {
    "train and valid in a folder": lambda path: folder(path, images(4, "train/") | images(2, "valid/")),
    "train and test in a folder": lambda path: folder(path, images(4, "train/") | images(2, "test/")),
    "train and val in a zip": lambda path: zipped(path / "a.zip", images(4, "train/") | images(2, "val/")),
    "two zips in a folder": lambda path: both(path)[0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_by_class(layout, tmp_path):
    task = load_task("cifar10", str(LAYOUTS[layout](tmp_path / "data")))
    assert (task.train_examples, task.valid_examples) == (12, 6)
    (inputs, targets), _ = task.task.data()
    assert inputs.dtype == torch.uint8 and inputs.shape == (12, 3, 32, 32)
    for image, target in zip(inputs, targets):
        assert tuple(image[:, 5, 9].tolist()) == list(COLOURS.values())[target]


def test_an_image_that_is_the_only_one_of_its_class_is_trained_on(tmp_path):
    path = folder(tmp_path / "data", images(5) | {"foxes/0.png": encoded((9, 9, 9))})
    train, valid = load_task("cifar10", str(path)).task.data()
    assert torch.bincount(train[1]).tolist() == [4, 4, 4, 1] and torch.bincount(valid[1]).tolist() == [1, 1, 1]


@pytest.mark.parametrize("make", [folder, zipped])
@pytest.mark.parametrize("wrapped", ["", "flowers/"])
def test_of_images_not_divided_a_tenth_of_each_class_validates(make, wrapped, tmp_path):
    litter = {f"__MACOSX/{wrapped}cats/._0000.png": b"", f"{wrapped}cats/._0000.png": b"", f"{wrapped}.cache/a.png": b""}
    path = make(tmp_path / "data", images(20, wrapped) | litter)
    task = load_task("cifar10", str(path))
    train, valid = task.task.data()
    assert torch.bincount(train[1]).tolist() == [18] * 3 and torch.bincount(valid[1]).tolist() == [2] * 3


def test_it_trains_on_images_of_other_sizes_and_kinds(tmp_path):
    files = images(6) | {
        "dogs/big.jpeg": encoded(COLOURS["dogs"], 50, "JPEG"),
        "dogs/notes.txt": b"",
        "dogs/grey.bmp": encoded(0, 9, "BMP"),
    }
    task = load_task("cifar10", str(folder(tmp_path / "data", files)))
    trainable = task.trainable(constant(Plan(batch_size=8), 0.1, 30), "cpu")
    losses = [trainable.train(10, 0.1) for _ in range(3)]
    assert losses[-1] < losses[0] and trainable.evaluate()["accuracy"] == 1.0
    assert trainable.model.head.out_features == 3


def test_images_are_decoded_once_and_again_when_they_change(tmp_path, cache):
    path = folder(tmp_path / "data", images(10))
    assert load_task("cifar10", str(path)).train_examples == 27
    (kept,) = cache.glob("*.pt")
    stamp = kept.stat().st_mtime_ns
    assert load_task("cifar10", str(path)).train_examples == 27 and kept.stat().st_mtime_ns == stamp
    folder(path, {"cats/new.png": encoded(COLOURS["cats"])})
    assert load_task("cifar10", str(path)).train_examples == 28


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"cats/1.png": b"no image"}, "cats/1.png is no image"),
        ({"cats/1.txt": b""}, "expected folders of images, one a class; found 0"),
        (
            images(2, "train/") | {"valid/cats/1.png": encoded((0, 0, 0)), "valid/cows/1.png": encoded((0, 0, 0))},
            "train has the classes cats, dogs, eels, valid has cats, cows",
        ),
        ({"cats/1.png": encoded((0, 0, 0))}, "found 1 with 1 images"),
    ],
)
def test_what_is_wrong_with_the_images_is_said(files, told, tmp_path):
    task = load_task("cifar10", str(folder(tmp_path / "data", files)))
    with pytest.raises(InputError, match=told):
        print(task.train_examples)


def test_no_images_at_all(tmp_path):
    with pytest.raises(InputError, match="there is no .*; expected a folder or zip of images by class"):
        print(load_task("cifar10", str(tmp_path / "nowhere")).train_examples)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(InputError, match="expected a folder or zip of images by class; got the file"):
        print(load_task("cifar10", str(tmp_path / "file.txt")).train_examples)


@pytest.fixture
def original(tmp_path, monkeypatch) -> Path:
    """Torchvision's files, with few images; it knows them by their checksums."""
    from torchvision.datasets import CIFAR10

    place = tmp_path / "downloads" / CIFAR10.base_folder
    place.mkdir(parents=True)

    def written(name: str, content: dict) -> list[str]:
        (place / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((place / name).read_bytes()).hexdigest()]

    batches = []
    for number in range(2):
        pixels = np.arange(4 * 3072, dtype=np.uint32).reshape(4, 3072) % 251
        batches.append(written(f"batch_{number}", {"data": pixels.astype(np.uint8), "labels": [number, 9, 0, 3]}))
    meta, checksum = written("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(CIFAR10, "train_list", [batches[0], batches[1]])
    monkeypatch.setattr(CIFAR10, "test_list", [batches[1]])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta, "key": "label_names", "md5": checksum})
    return tmp_path / "downloads"


def check_original(task):
    train, valid = task.task.data()
    assert train[0].shape == (8, 3, 32, 32) and train[0].dtype == torch.uint8
    assert train[1].tolist() == [0, 9, 0, 3, 1, 9, 0, 3] and len(valid[1]) == 4
    assert train[0][0].flatten().tolist() == [number % 251 for number in range(3072)]


def test_the_original_in_a_folder(original):
    check_original(load_task("cifar10", str(original)))


def test_the_original_once_downloaded(original, cache):
    original.rename(cache)
    check_original(load_task("cifar10"))


def test_a_broken_original_is_said(original):
    next((original / "cifar-10-batches-py").glob("batch_1")).write_bytes(b"")
    with pytest.raises(
        InputError, match="--task cifar10: cannot be read from .*; give a folder or zip of images by class with --data"
    ):
        print(load_task("cifar10", str(original)).train_examples)
