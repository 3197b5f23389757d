"""Is each augmentation torchvision's own, or what its paper says?"""

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from studies.errors import InputError
from studies.recipe import Recipe
from trainables.recipe import changes
from trainables.recipe.augment import augmentations, check_images, cropped, cut_out, flipped, turned

FLOATS = torch.rand(60, 3, 9, 7, generator=torch.Generator().manual_seed(1))
BYTES = (FLOATS * 255).byte()


@pytest.mark.parametrize("images", [FLOATS, BYTES], ids=["floats", "bytes"])
@pytest.mark.parametrize(
    "recipe, theirs",
    [
        ({"color_jitter": {"brightness": 0.3, "contrast": 0.2, "saturation": 0.5}}, v2.ColorJitter(0.3, 0.2, 0.5)),
        ({"randaugment": {"operations": 3, "magnitude": 5}}, v2.RandAugment(3, 5)),
        ({"autoaugment": "svhn"}, v2.AutoAugment(v2.AutoAugmentPolicy.SVHN)),
    ],
)
def test_torchvisions_own_goes_over_one_image_after_another(recipe, theirs, images):
    (alter,) = augmentations(Recipe(**recipe))
    torch.manual_seed(5)
    ours = alter(images)
    torch.manual_seed(5)
    assert torch.equal(ours, torch.stack([theirs(image) for image in images])) and ours.dtype == images.dtype
    assert not torch.equal(ours, images)


def test_every_image_is_cropped_somewhere_as_torchvision_crops():
    ours = cropped(BYTES, 2)
    padded = functional.pad(BYTES, [2])
    found = set()
    for image, mine in zip(padded, ours):
        there = [(i, j) for i in range(5) for j in range(5) if torch.equal(functional.crop(image, i, j, 9, 7), mine)]
        assert len(there) == 1
        found.update(there)
    assert len(found) > 15 and {i for i, _ in found} == {j for _, j in found} == set(range(5))


@pytest.mark.parametrize("vertical", [False, True])
def test_images_are_mirrored_one_by_one(vertical):
    mirrored = [[image, functional.horizontal_flip(image)] for image in FLOATS]
    if vertical:
        mirrored = [[*pair, *(functional.vertical_flip(image) for image in pair)] for pair in mirrored]
    ways = [[torch.equal(mine, way) for way in them].index(True) for mine, them in zip(flipped(FLOATS, 0.5, vertical), mirrored)]
    assert {way: 60 * 0.1 < ways.count(way) for way in set(ways)} == dict.fromkeys(range(4 if vertical else 2), True)
    assert torch.equal(flipped(FLOATS, 1.0), FLOATS.flip(-1))


def test_every_image_is_turned_and_zoomed_by_itself_as_torchvision_does():
    torch.manual_seed(5)
    ours, own = turned(FLOATS, 40, 0.3), turned(BYTES, 40)
    torch.manual_seed(5)
    draws = (2 * torch.rand(2, 60) - 1).T.tolist()
    theirs = [
        functional.affine(image, 40 * turn, [0, 0], 1 + 0.3 * growth, [0, 0], interpolation=v2.InterpolationMode.BILINEAR)
        for image, (turn, growth) in zip(FLOATS, draws)
    ]
    assert torch.allclose(ours, torch.stack(theirs), atol=1e-5) and own.dtype == torch.uint8


def test_noise_has_its_deviation_and_wants_floats():
    (alter,) = changes(Recipe(noise=0.5), None, FLOATS, None, None)
    assert (alter(FLOATS, None)[0] - FLOATS).std() == pytest.approx(0.5, rel=0.05)
    with pytest.raises(InputError, match="noise: expected inputs that are one tensor of floats; got torch.uint8"):
        list(changes(Recipe(noise=0.5), None, BYTES, None, None))


@pytest.mark.parametrize("size", [1, 4, 5])
def test_a_square_of_each_image_is_cut_out_around_a_centre_in_it(size):
    ours, seen = cut_out(FLOATS + 1, size), set()
    assert torch.equal(ours[ours > 0], (FLOATS + 1)[ours > 0])
    for hole in (ours == 0).all(1):
        rows, columns = hole.any(1).nonzero().flatten().tolist(), hole.any(0).nonzero().flatten().tolist()
        assert hole.sum() == len(rows) * len(columns)
        assert size // 2 <= len(rows) <= size and size // 2 <= len(columns) <= size  # at the borders a part is outside
        seen.add((rows[0], columns[0]))
    assert len(seen) > 20


@pytest.mark.parametrize(
    "name, images, words",
    [
        ("crop", torch.zeros(8, 3), r"crop: expected batches of images, \(batch, channels, .*; got a tensor of shape \(8, 3\)"),
        ("flip", {"pixels": FLOATS}, "flip: expected batches of images, .*; got dict"),
        ("randaugment", FLOATS * 2 - 1, r"randaugment: expected images as bytes or in \[0, 1\], .*; got values from -"),
    ],
)
def test_what_is_no_image_is_refused(name, images, words):
    with pytest.raises(InputError, match=words):
        check_images(name, images)


@pytest.mark.parametrize("name", ["crop", "cutout"])
def test_what_would_leave_nothing_of_an_image_is_refused(name):
    side = FLOATS.shape[-1]
    with pytest.raises(InputError, match=f"{name}: expected fewer pixels than images have, {side}, .*; got {side}"):
        list(changes(Recipe(**{name: side}), None, FLOATS, None, None))
    assert len(list(changes(Recipe(**{name: side - 1}), None, FLOATS, None, None))) == 1


def test_what_does_not_look_at_colours_takes_normalised_images():
    check_images("crop", FLOATS * 2 - 1)
    check_images("color_jitter", BYTES)
