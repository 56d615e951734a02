"""An image and its mask, two files, show the same place."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.datasets.readers.image_and_mask import read_image_and_mask

MASK = np.zeros((8, 6), np.uint8)  # columns, rows, as NIfTI stores them
MASK[1:4, 1:3] = 1


def save(path: Path, pixels: np.ndarray, axes: tuple[float, float], form: str = "sform") -> Path:
    image = nib.Nifti1Image(pixels[..., None], None)
    image.header.set_zooms([*np.abs(axes), 1.0])
    if form != "none":
        getattr(image, f"set_{form}")(np.diag([*axes, 1.0, 1.0]), 1)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("form", ["sform", "qform"])
@pytest.mark.parametrize("axes", [(0.5, 0.3), (-0.5, 0.3), (0.5, -0.3)])
def test_a_mask_whose_axes_lead_elsewhere_is_refused(tmp_path: Path, form: str, axes: tuple[float, float]):
    image = save(tmp_path / "image.nii", 9 * MASK, (0.5, 0.3), form)
    mask = save(tmp_path / "mask.nii", MASK, axes, form)
    if axes == (0.5, 0.3):
        frame = read_image_and_mask(image, mask, values=(0, 1))
        np.testing.assert_array_equal(frame.image, 9 * frame.label)
        assert frame.spacing == pytest.approx((0.3, 0.5))
    else:
        with pytest.raises(ValueError, match=r"mask\.nii to . and .: the mask would be mirrored or turned\. Save it"):
            read_image_and_mask(image, mask, values=(0, 1))


def test_a_mask_that_does_not_say_how_it_lies_is_taken_as_its_image(tmp_path: Path):
    image = save(tmp_path / "image.nii", 9 * MASK, (-0.5, 0.3))
    mask = save(tmp_path / "mask.nii", MASK, (0.5, 0.3), "none")
    frame = read_image_and_mask(image, mask, values=(0, 1))
    np.testing.assert_array_equal(frame.image, 9 * frame.label)
