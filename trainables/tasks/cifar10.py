"""CIFAR-10, or any folder or zip of images by class, and a small residual network.

Without --data, torchvision's data set, downloaded once. With it: a folder that holds that data set, or a zip or folder of
images. Inside: train/CLASS/image and valid/CLASS/image (or test/ for valid/; or train.zip and test.zip), or CLASS/image
alone, of which a tenth validates. Images are decoded once, and kept in the user's cache as one tensor file.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import nn

from studies.errors import InputError
from trainables.task import Task

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "staged-tuner"
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm"}
LITTER = (".", "__MACOSX")  # what file managers and archivers leave behind
SIZE = 32
VALID_NAMES = ("valid", "val", "test")


class Cifar10(Task):
    """Ten classes of 32 x 32 colour images (as many classes as --data has folders)."""

    metric, mode = "accuracy", "max"

    def data(self):
        train, valid = _torchvision(None) if self.data_path is None else _images(Path(self.data_path))
        self.classes = int(train[1].max()) + 1
        return train, valid

    def model(self):
        return ResNet(self.classes)


class ResNet(nn.Module):
    """He et al. 2015 (arXiv:1512.03385, 4.2) for 32 x 32 images, in small: three stages of one block, 16 to 64 channels.

    Takes bytes, shape (batch, 3, 32, 32), and normalises them itself.
    """

    def __init__(self, classes: int, width: int = 16):
        super().__init__()
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([63.0, 62.1, 66.7]).reshape(1, 3, 1, 1))
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2))
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.blocks(self.stem((images - self.mean) / self.deviation))
        return self.head(features.mean((2, 3)))


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = (
            nn.Identity()
            if (before, stride) == (after, 1)
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(images) + self.shortcut(images))


Half = tuple[torch.Tensor, torch.Tensor]
"""Images, uint8 of shape (examples, 3, 32, 32), and labels, int64 of shape (examples,)."""


def _torchvision(folder: Path | None) -> tuple[Half, Half]:
    """The original, from a folder that it has been unpacked in, or downloaded to the user's cache.

    Raises: InputError if it is not there.
    """
    from torchvision.datasets import CIFAR10

    try:
        with _alone():
            halves = [CIFAR10(folder or CACHE, train=train, download=folder is None) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        where = f"cannot be read from {folder}" if folder else f"cannot be downloaded to {CACHE}"
        raise InputError(f"--task cifar10: {where} ({error}); give a folder or zip of images by class with --data") from None
    return tuple((torch.from_numpy(half.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(half.targets)) for half in halves)


@contextmanager
def _alone() -> Iterator[None]:
    """One process of this machine fills the cache; the others wait and find it there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "lock"):
        yield


def _images(path: Path) -> tuple[Half, Half]:
    """Read a folder or zip, or the tensor file that was made of it before.

    Raises: InputError if there are no images by class in it.
    """
    if not path.exists():
        raise InputError(f"--data: there is no {path}; expected a folder or zip of images by class")
    if (path / "cifar-10-batches-py").is_dir():
        return _torchvision(path)
    sources = _sources(path)
    with _alone():
        kept = CACHE / f"{_fingerprint(path)}.pt"
        if not kept.is_file():
            aside = kept.with_suffix(".tmp")
            torch.save(_halves(path, sources), aside)
            aside.replace(kept)
        return torch.load(kept, weights_only=True)


def _halves(path: Path, sources: list[zipfile.Path | Path]) -> tuple[Half, Half]:
    train, valid = (_read(source) for source in sources) if len(sources) == 2 else _divided(_read(sources[0]))
    if train[2] != valid[2]:
        raise InputError(f"--data {path}: train has the classes {', '.join(train[2])}, valid has {', '.join(valid[2])}")
    return train[:2], valid[:2]


def _sources(path: Path) -> list[zipfile.Path | Path]:
    """The folder that holds the classes; or the two that do, for training and for validation."""
    root = zipfile.Path(path) if zipfile.is_zipfile(path) else path
    if not root.is_dir():
        raise InputError(f"--data: expected a folder or zip of images by class; got the file {path}")
    inside = {entry.name: entry for entry in root.iterdir()}
    for name in VALID_NAMES:
        if "train" in inside and name in inside:
            return [inside["train"], inside[name]]
        if "train.zip" in inside and f"{name}.zip" in inside and isinstance(root, Path):
            return [zipfile.Path(inside["train.zip"]), zipfile.Path(inside[f"{name}.zip"])]
    return [root]


def _read(source: zipfile.Path | Path) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    classes = sorted(entry.name for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith(LITTER))
    if len(classes) == 1 and not any(_is_image(entry) for entry in (source / classes[0]).iterdir()):
        return _read(source / classes[0])
    images, labels = [], []
    for label, name in enumerate(classes):
        for entry in sorted((source / name).iterdir(), key=lambda entry: entry.name):
            if _is_image(entry):
                images.append(_decoded(entry))
                labels.append(label)
    if len(classes) < 2 or not images:
        raise InputError(
            f"--data {source}: expected folders of images, one a class; found {len(classes)} with {len(images)} images"
        )
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels), classes


def _is_image(entry: zipfile.Path | Path) -> bool:
    return entry.is_file() and Path(entry.name).suffix.lower() in IMAGES and not entry.name.startswith(LITTER)


def _decoded(entry: zipfile.Path | Path) -> np.ndarray:
    try:
        image = Image.open(io.BytesIO(entry.read_bytes())).convert("RGB")
    except OSError as error:
        raise InputError(f"--data: {entry} is no image: {error}") from None
    return np.asarray(image if image.size == (SIZE, SIZE) else image.resize((SIZE, SIZE)))


def _divided(whole: tuple[torch.Tensor, torch.Tensor, list[str]]) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[str]]]:
    """A tenth of each class, always the same, validates; one image at least, unless it is the only one."""
    images, labels, classes = whole
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    rank = torch.zeros_like(labels)
    for label in range(len(classes)):
        mine = order[labels[order] == label]
        rank[mine] = torch.arange(len(mine))
    count = torch.bincount(labels)[labels]
    valid = rank < (count.clamp_min(10) // 10).minimum(count - 1)
    return ((images[half], labels[half], classes) for half in (~valid, valid))


def _fingerprint(path: Path) -> str:
    """Of names, sizes and times of all the files: the cache is made anew when one changes."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    told = "\n".join(f"{file.relative_to(path)} {(stat := file.stat()).st_size} {stat.st_mtime_ns}" for file in files)
    return hashlib.sha256(f"{path.resolve()}\n{told}".encode()).hexdigest()[:24]
