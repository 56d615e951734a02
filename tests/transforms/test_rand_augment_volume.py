"""Volumes turn as a patient would, label-set maps move with them, and each draws by its own number."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from torch.nn import functional

from common.transforms import RandAugmentVolumed
from common.transforms.rand_augment_volume import AffineSamples

NOTHING = {"rotation": (0, 0, 0), "scale": 0.0, "intensity_shift": 0.0, "intensity_scale": 0.0}


class Fixed(RandAugmentVolumed):
    """Draw the same number for everything: 1 is the largest change, 0.5 none, 0 the largest the other way."""

    number = 1.0

    def draw(self, data, count):
        return torch.full((len(data["image"]), count), self.number)


def batch(shape: tuple[int, ...] = (10, 12, 8), count: int = 2, classes: int = 7) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 1, *shape, generator=generator)
    return {
        "image": image,
        "label": torch.randint(1, classes, (count, 2, *shape), generator=generator, dtype=torch.uint8),
        "index": torch.arange(count),
        "spacing": torch.tensor([[1.0, 1.5, 3.0]]).expand(count, 3),
    }


def test_without_any_change_volumes_stay_as_they_are():
    data = batch()
    augment = RandAugmentVolumed(**NOTHING)
    augment.set_key(1)
    result = augment(data)
    torch.testing.assert_close(result["image"], data["image"], atol=1e-5, rtol=1e-5)
    assert torch.equal(result["label"], data["label"])
    assert torch.equal(result["spacing"], data["spacing"])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_quarter_turn_is_that_of_numpy(axis: int):
    data = batch((8, 8, 8))
    data.pop("spacing")
    turned = Fixed(**{**NOTHING, "rotation": [90.0 * (other == axis) for other in range(3)]})(data)
    plane = [2 + other for other in range(3) if other != axis]
    # new places are turned by the right hand to find old ones, so the volume turns the other way
    expected = torch.rot90(data["image"], 1 if axis == 1 else -1, plane)
    torch.testing.assert_close(turned["image"], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(turned["label"], torch.rot90(data["label"], 1 if axis == 1 else -1, plane))


def test_a_ball_in_mm_stays_a_ball_in_slices_of_any_thickness():
    spacing, radius = np.array([1.0, 1.5, 3.0]), 12.0
    places = (np.indices((40, 28, 16)).T - (np.array([40, 28, 16]) - 1) / 2) * spacing
    inside = (np.linalg.norm(places, axis=-1) <= radius).T
    label = torch.from_numpy(inside.astype(np.uint8)).expand(1, 2, -1, -1, -1)
    data = {"image": label[:, :1].float(), "label": label, "spacing": torch.from_numpy(spacing).float()[None]}
    turned = Fixed(**{**NOTHING, "rotation": (35, 50, 20)})
    same = turned(data)["label"][0, 0].numpy() > 0
    assert (same ^ inside).sum() < 0.15 * inside.sum(), "the raster's share"
    data.pop("spacing")
    assert (turned(data)["label"][0, 0].numpy().astype(bool) ^ inside).sum() > 0.3 * inside.sum(), (
        "as voxels were cubes"
    )


def test_geometry_is_that_of_scipy():
    data = batch((14, 16, 10), count=1)
    settings = {"rotation": (20, 10, 30), "scale": 0.2, "shift": 2.0, "intensity_shift": 0.0, "intensity_scale": 0.0}
    result = Fixed(**settings)(data)
    spacing = data["spacing"][0].numpy()
    x, y, z = np.deg2rad(settings["rotation"])
    about = [
        np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]),
        np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]),
        np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]),
    ]
    matrix = np.diag(1 / spacing) @ (about[0] @ about[1] @ about[2] / 1.2) @ np.diag(spacing)
    centre = (np.array([14, 16, 10]) - 1) / 2
    offset = centre + 2.0 / spacing - matrix @ centre
    inside = affine_transform(np.ones((14, 16, 10)), matrix, offset, order=1) > 0.999
    moved = affine_transform(data["image"][0, 0].double().numpy(), matrix, offset, order=1)
    np.testing.assert_allclose(result["image"][0, 0].numpy()[inside], moved[inside], atol=1e-4)
    nearest = affine_transform(data["label"][0, 1].numpy(), matrix, offset, order=0)
    assert (result["label"][0, 1].numpy()[inside] == nearest[inside]).mean() > 0.999, "ties aside"


def test_what_enters_from_outside_is_ignored_and_no_label_set_is_invented():
    data = batch(classes=200)
    result = Fixed(**{**NOTHING, "shift": 3.0})(data)
    assert not result["label"][:, :, -3:].any()
    assert torch.equal(result["label"][:, :, :-3, :-2, :-1], data["label"][:, :, 3:, 2:, 1:])


def test_a_larger_patch_leaves_nothing_to_enter():
    data = batch((16, 18, 14))
    cut = RandAugmentVolumed(size=(8, 10, 6), **NOTHING)
    cut.set_key(0)
    assert torch.equal(cut(data)["label"], data["label"][:, :, 4:-4, 4:-4, 4:-4])
    turning = RandAugmentVolumed(size=(8, 10, 6), rotation=(15, 15, 15))
    turning.set_key(0)
    result = turning(data | {"spacing": torch.ones(2, 3)})
    assert result["image"].shape == (2, 1, 8, 10, 6)
    assert bool((result["label"] > 0).all())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_label_set_maps_keep_every_bit(dtype: torch.dtype):
    top = torch.iinfo(dtype).max
    label = torch.full((1, 2, 4, 4, 4), top, dtype=dtype)
    label[:, :, 2:] = top - 1
    moved = AffineSamples(torch.eye(3)[None], torch.zeros(1, 3), (4, 4, 4), (4, 4, 4)).nearest(label)
    assert torch.equal(moved, label)
    assert moved.dtype == dtype


def test_intensity_and_noise_change_as_stated():
    data = {"image": torch.full((2, 1, 20, 20, 20), 3.0), "label": torch.ones(2, 2, 20, 20, 20, dtype=torch.int16)}
    changed = Fixed(rotation=(0, 0, 0), scale=0.0, intensity_shift=0.5, intensity_scale=0.2)(data)["image"]
    torch.testing.assert_close(changed, torch.full_like(changed, 3.0 * 1.2 + 0.5))
    noisy = Fixed(**NOTHING, noise=0.3)
    noisy.number = 0.5  # half of the largest noise
    noise = noisy(data)["image"] - 3.0
    assert float(noise.std()) == pytest.approx(0.15, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)


def test_a_volume_is_augmented_alike_whatever_else_is_in_its_batch():
    data = batch(count=3)
    augment = RandAugmentVolumed(noise=0.2, shift=2.0)
    augment.set_key(5)
    whole, alone = augment(data), augment({key: value[1:2] for key, value in data.items()})
    assert torch.equal(whole["image"][1:2], alone["image"])
    assert torch.equal(whole["label"][1:2], alone["label"])
    augment.set_key(6)
    assert not torch.equal(augment(data)["image"], whole["image"])
    assert torch.equal(data["image"], batch(count=3)["image"]), "the input is left alone"


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"expected three angles and a scale from 0 to below 1, got \(10, 10\)"):
        RandAugmentVolumed(rotation=(10, 10))
    with pytest.raises(ValueError, match=r"scale from 0 to below 1, got .* and 1\.0"):
        RandAugmentVolumed(scale=1.0)


@pytest.mark.parametrize("shape", [(7, 5, 6), (1, 4, 3), (2, 1, 1)])
def test_samples_are_those_of_grid_sample(shape: tuple[int, ...]):
    generator = torch.Generator().manual_seed(3)
    matrix, shift = torch.randn(2, 3, 3, generator=generator), torch.randn(2, 3, generator=generator)
    size = (8, 9, 4)
    ends = [torch.arange(length) - (length - 1) / 2 for length in size]
    new = torch.stack(torch.meshgrid(*ends, indexing="ij"), dim=-1)
    old = torch.einsum("bij,xyzj->bxyzi", matrix, new) + shift[:, None, None, None]
    grid = (2 * old / torch.tensor(shape)).flip(-1)  # counts axes from the last, the whole volume from -1 to 1
    assert 0.05 < float((grid.abs() > 1).any(dim=-1).float().mean()) < 0.999, "inside and outside"
    samples = AffineSamples(matrix, shift, size, shape)
    image = torch.rand(2, 3, *shape, generator=generator)
    expected = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(samples.linear(image), expected, atol=1e-4, rtol=1e-4)
    label = torch.randint(1, 100, (2, 2, *shape), generator=generator, dtype=torch.int16)
    nearest = functional.grid_sample(label.float(), grid, mode="nearest", align_corners=False)
    assert torch.equal(samples.nearest(label), nearest.to(torch.int16))
