"""The transform that shows a network the sector alone."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Resized

from common.datasets.files.scan import Scan
from common.datasets.sector.finder import SectorFinder
from common.datasets.sector.framing import frame
from common.datasets.sector.geometry import Sector
from common.datasets.sector.mask import MaskSectord


def screen() -> np.ndarray:
    """A sector with a name beside it, (220, 200)."""
    sector = Sector((30, 100), -40, 40, inner=0, outer=150, frame=(0, 0, 219, 199)).mask((220, 200))
    image = np.random.default_rng(0).integers(40, 200, (220, 200), np.uint8) * sector
    image[5:12, 10:60] = 255
    return image


def as_tensor(image: np.ndarray) -> MetaTensor:
    return MetaTensor(torch.from_numpy(image.T.copy())[None].float())  # MONAI reads (columns, rows)


def test_the_network_sees_what_it_sees_when_a_scan_is_measured():
    image = screen()
    shown = MaskSectord("image")({"image": as_tensor(image)})["image"]
    framing = frame(Scan(image[None]), SectorFinder())
    assert framing.sector
    np.testing.assert_array_equal(shown.numpy(), framing.cut(image[None]))
    assert shown.max() < 255


def test_predictions_return_to_the_place_they_came_from():
    image = screen()
    transforms = Compose([MaskSectord("image"), Resized("image", (64, 64))])
    data = transforms({"image": as_tensor(image)})
    ones = torch.ones_like(data["image"])
    whole = transforms.inverse({"image": ones})["image"]
    top, left, bottom, right = frame(Scan(image[None]), SectorFinder()).box
    expected = np.zeros(image.shape)
    expected[top:bottom, left:right] = 1
    np.testing.assert_allclose(whole[0].numpy(), expected.T, atol=1e-6)


def test_an_image_without_a_sector_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)
    np.testing.assert_array_equal(MaskSectord("image")({"image": as_tensor(image)})["image"][0].numpy(), image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 30, 40), r"image: it holds values outside the integers 0 to 255 .*Convert it to 8 bit"),
        (torch.full((1, 30, 40), 300.0), r"\(300\.0 to 300\.0\)"),
        (torch.full((5, 30, 40), 100.0), r"expected one image, got 30 x 40 pixels with 5 channels"),
    ],
)
def test_other_images_are_refused(image: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        MaskSectord("image")({"image": image})
