"""Augmentation moves image and annotation together, draws for each image separately, and uses its own random state."""

import pytest
import torch

from common.transforms import RandAugmentd

VALUES = [0, 80, 160, 240]


def batch(count: int = 3, size: int = 96) -> dict[str, torch.Tensor]:
    """Annotations of three discs, and images that are the annotation as a grey value."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    label = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    for value, (row, column) in zip(VALUES[1:], [(30, 34), (40, 62), (66, 44)], strict=True):
        label[:, :, torch.hypot((y - row).float(), (x - column).float()) < 10] = value
    return {"image": label.float() / 255, "label": label, "dataset": torch.arange(count)}


def augmented(seed: int, data: dict[str, torch.Tensor] | None = None, **settings: float) -> dict[str, torch.Tensor]:
    augment = RandAugmentd(**settings)
    augment.set_random_state(seed=seed)
    return augment(data or batch())


def test_the_same_seed_gives_the_same_batch_and_another_seed_another():
    first, again, other = augmented(3), augmented(3), augmented(4)
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["label"], again["label"])
    assert not torch.equal(first["label"], other["label"])


def test_successive_batches_differ():
    augment = RandAugmentd()
    augment.set_random_state(seed=0)
    assert not torch.equal(augment(batch())["label"], augment(batch())["label"])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_global_generator_is_restored_and_has_no_effect(seed: int):
    torch.manual_seed(seed)
    before = torch.get_rng_state()
    result = augmented(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(seed + 100)
    assert torch.equal(augmented(5)["image"], result["image"])


def test_the_input_is_left_alone_and_other_keys_pass():
    data, kept = batch(), batch()
    result = augmented(0, data)
    assert all(torch.equal(data[key], kept[key]) for key in kept)
    assert torch.equal(result["dataset"], kept["dataset"])
    assert result["label"].dtype == torch.uint8
    assert result["image"].shape == kept["image"].shape


def test_no_annotation_value_is_invented():
    for seed in range(2):
        assert set(augmented(seed)["label"].unique().tolist()) <= set(VALUES)


def test_grey_values_stay_between_black_and_white():
    data = batch()
    data["image"] = (torch.rand(data["image"].shape, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    for seed in range(2):
        image = augmented(seed, data, brightness=0.5, contrast=0.5, prob=1.0)["image"]
        assert image.min() >= 0
        assert image.max() <= 1 + 1e-6  # interpolation weights add up to 1 within rounding


def test_geometry_moves_image_and_annotation_together():
    result = augmented(1, prob=0.0)
    moved = (result["label"] != batch()["label"]).float().mean(dim=(1, 2, 3))
    assert (moved > 0.02).all(), "every image moved"
    # bilinear and nearest neighbour agree within half a class away from the outlines
    apart = (result["image"] - result["label"].float() / 255).abs() > 0.5 * 80 / 255
    assert apart.float().mean() < 0.02


def test_image_and_annotation_move_to_the_same_place():
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    disc = (torch.hypot(y - 20, x - 22) < 12).to(torch.uint8).expand(64, 1, 96, 96)  # far from the centre
    result = augmented(1, {"image": disc.float(), "label": disc}, shift=0.0, prob=0.0)
    for grid in (y, x):
        of_image, of_label = (
            (result[key] * grid).sum(dim=(1, 2, 3)) / result[key].sum(dim=(1, 2, 3)) for key in ("image", "label")
        )
        assert of_image.std() > 1, "the disc moved, by pixels"
        # nearest neighbour scatters by 0.06 pixels; another convention about pixel corners would move all by a quarter
        assert (of_image - of_label).abs().max() < 0.3
        assert (of_image - of_label).mean().abs() < 0.03


def test_each_image_has_its_own_draw():
    label = augmented(2)["label"]
    pairs = [(i, j) for i in range(3) for j in range(i)]
    assert all(not torch.equal(label[i], label[j]) for i, j in pairs)


def test_displacement_and_size_stay_within_their_limits():
    still = augmented(0, batch(32), scale=0.0, rotation=0.0, shift=0.05, prob=0.0)["label"]
    centres = torch.stack([torch.nonzero(label[0] == 80).float().mean(dim=0) for label in still])
    displacement = (centres - torch.nonzero(batch(1)["label"][0, 0] == 80).float().mean(dim=0)).abs()
    assert displacement.max() <= 0.05 * 96 + 1
    assert displacement.max() > 0.02 * 96
    grown = augmented(0, batch(32), scale=0.15, rotation=0.0, shift=0.0, prob=0.0)["label"]
    ratio = (grown == 80).sum(dim=(1, 2, 3)) / (batch(1)["label"] == 80).sum()
    assert 0.80**2 < ratio.min() < 0.95**2
    assert 1.05**2 < ratio.max() < 1.20**2


def test_pixels_that_enter_at_the_border_have_annotation_value_0():
    data = {"image": torch.ones(8, 1, 32, 32), "label": torch.full((8, 1, 32, 32), 3, dtype=torch.uint8)}
    result = augmented(0, data, scale=0.0, rotation=0.0, shift=0.4, prob=0.0)
    assert set(result["label"].unique().tolist()) == {0, 3}
    inside = result["label"] == 3
    assert result["image"][~inside].max() <= 0.5 + 1e-6
    assert result["image"][inside].min() >= 0.25, "half of the pixel along each side, at a corner"


def test_with_all_changes_at_zero_the_batch_is_unchanged():
    result = augmented(0, scale=0.0, rotation=0.0, shift=0.0, prob=0.0)
    torch.testing.assert_close(result["image"], batch()["image"], atol=1e-4, rtol=0)  # resampled all the same
    assert (result["label"] != batch()["label"]).float().mean() < 0.001


def test_appearance_changes_the_given_fraction_of_images():
    data = batch(200, 16)
    data["image"] = torch.full_like(data["image"], 0.5)
    image = augmented(0, data, scale=0.0, rotation=0.0, shift=0.0, blur=0.0, contrast=0.0, prob=0.3)["image"]
    changed = ((image[:, 0, 8, 8] - 0.5).abs() > 1e-4).float().mean()
    assert float(changed) == pytest.approx(0.3, abs=0.1)  # three standard deviations
    assert float((image[:, 0, 8, 8] - 0.5).abs().max()) == pytest.approx(0.15, abs=0.03), "brightness, in grey values"


@pytest.mark.parametrize(
    ("name", "value"),
    [("scale", 2), ("rotation", -15.0), ("shift", 1.1), ("blur", float("nan")), ("brightness", -1), ("contrast", 1.5)],
)
def test_numbers_that_cannot_be_are_refused(name: str, value: float):
    with pytest.raises(ValueError, match=rf"^RandAugmentd: expected {name} from 0 to .*, got {value}\.$"):
        RandAugmentd(**{name: value})
