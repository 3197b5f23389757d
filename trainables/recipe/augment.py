"""How are images changed on their way into training, each in its own way?

Functions of images of shape (batch, channels, height, width), floats or bytes, that draw from torch's own generator. What is
cheap goes over the whole batch at once; torchvision's, which treat a batch as one image, take one image after another. Noise
is for all inputs that are floats.
"""

import math
from collections.abc import Callable, Iterator

import torch

from studies.errors import InputError
from studies.recipe import Recipe

Alter = Callable[[torch.Tensor], torch.Tensor]

IMAGES = ("flip", "crop", "rotate", "color_jitter", "randaugment", "autoaugment", "cutout")
"""The parts that are for images, in the order in which they are done."""

TAKEN = {"crop": "padding", "cutout": "size"}
"""Those that take pixels away, and the value that says how many."""

COLOURS = ("color_jitter", "randaugment", "autoaugment")
"""Those that must know where black and white are."""


def augmentations(recipe: Recipe) -> Iterator[Alter]:
    """What the recipe does to inputs, in order."""
    made = {
        "flip": lambda part: lambda images: flipped(images, part.p, part.vertical),
        "crop": lambda part: lambda images: cropped(images, part.padding),
        "rotate": lambda part: lambda images: turned(images, part.degrees, part.zoom),
        "color_jitter": _jitter,
        "randaugment": _randaugment,
        "autoaugment": _autoaugment,
        "cutout": lambda part: lambda images: cut_out(images, part.size),
    }
    yield from (made[name](getattr(recipe, name)) for name in IMAGES if getattr(recipe, name))
    if recipe.noise:
        yield lambda inputs: inputs + recipe.noise.deviation * torch.randn_like(inputs)


def check_images(name: str, images: object, pixels: int = 0) -> None:
    """pixels: that the part may take away from each side.

    Raises: InputError if the part cannot work on these.
    """
    if not isinstance(images, torch.Tensor) or images.dim() != 4:
        came = f"a tensor of shape {tuple(images.shape)}" if isinstance(images, torch.Tensor) else type(images).__name__
        raise InputError(f"recipe: {name}: expected batches of images, (batch, channels, height, width); got {came}")
    if name in COLOURS and images.is_floating_point() and not 0 <= images.min() <= images.max() <= 1:
        raise InputError(
            f"recipe: {name}: expected images as bytes or in [0, 1], to be normalised in the model; "
            f"got values from {float(images.min()):.3g} to {float(images.max()):.3g}"
        )
    if pixels >= (side := min(images.shape[-2:])):
        raise InputError(f"recipe: {name}: expected fewer pixels than images have, {side}, or nothing may be left; got {pixels}")


def check_floats(name: str, inputs: object) -> None:
    """Raises: InputError if these have no room for noise."""
    if not isinstance(inputs, torch.Tensor) or not inputs.is_floating_point():
        came = inputs.dtype if isinstance(inputs, torch.Tensor) else type(inputs).__name__
        raise InputError(f"recipe: {name}: expected inputs that are one tensor of floats; got {came}")


def flipped(images: torch.Tensor, p: float, vertical: bool = False) -> torch.Tensor:
    """Each image mirrored with probability p; upside down, too, if vertical."""
    for axis in (-1, -2) if vertical else (-1,):
        images = torch.where(_drawn(p, images), images.flip(axis), images)
    return images


def cropped(images: torch.Tensor, padding: int) -> torch.Tensor:
    """Each image padded by zeros, and its size cut out of that somewhere."""
    count, channels, height, width = images.shape
    top, left = torch.randint(2 * padding + 1, (2, count, 1))
    places = (top + torch.arange(height), left + torch.arange(width))
    rows, columns = (place.to(images.device, non_blocking=True) for place in places)
    padded = torch.nn.functional.pad(images, [padding] * 4)
    each = torch.arange(count, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def turned(images: torch.Tensor, degrees: float, zoom: float = 0.0) -> torch.Tensor:
    """Each image turned by up to so many degrees and enlarged by a factor in [1 - zoom, 1 + zoom], about its centre."""
    count, _, height, width = images.shape
    turn, growth = 2 * torch.rand(2, count) - 1
    angle, factor = math.radians(degrees) * turn, 1 + zoom * growth
    along, across, still = angle.cos() / factor, angle.sin() / factor, torch.zeros(count)
    # A place in the new image by where it was in the old one, in units of half of either's width and height.
    places = torch.stack([along, across * height / width, still, -across * width / height, along, still], 1).reshape(-1, 2, 3)
    floats = images if images.is_floating_point() else images.float()
    places = places.to(floats.device, floats.dtype, non_blocking=True)
    grid = torch.nn.functional.affine_grid(places, list(images.shape), align_corners=False)
    taken = torch.nn.functional.grid_sample(floats, grid, align_corners=False)
    return taken if floats is images else taken.round().to(images.dtype)


def cut_out(images: torch.Tensor, size: int) -> torch.Tensor:
    """In each image a square, whose centre is in the image, becomes zeros."""
    count, _, height, width = images.shape
    inside = []
    for length in (height, width):
        first = torch.randint(length, (count, 1)) - size // 2
        place = torch.arange(length)
        inside.append((first <= place) & (place < first + size))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole.to(images.device, non_blocking=True), 0)


def _drawn(p: float, images: torch.Tensor) -> torch.Tensor:
    """For each image whether it is drawn, with probability p; shape (batch, 1, 1, 1)."""
    return (torch.rand(len(images), 1, 1, 1) < p).to(images.device, non_blocking=True)


def _jitter(part) -> Alter:
    from torchvision.transforms import v2

    return _one_by_one(v2.ColorJitter(part.brightness, part.contrast, part.saturation))


def _randaugment(part) -> Alter:
    from torchvision.transforms import v2

    return _one_by_one(v2.RandAugment(part.operations, part.magnitude))


def _autoaugment(part) -> Alter:
    from torchvision.transforms import v2

    return _one_by_one(v2.AutoAugment(v2.AutoAugmentPolicy(part.policy)))


def _one_by_one(transform: Alter) -> Alter:
    return lambda images: torch.stack([transform(image) for image in images])
