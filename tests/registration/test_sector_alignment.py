"""The sector is found despite speckle and blood, and sectors are aligned edge to edge."""

import numpy as np
import pytest

from common.datasets.phantom.study import DOMAINS, render
from common.registration.sector_alignment import align_sectors, sector_mask


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_the_sector_of_a_phantom_is_what_the_phantom_drew(domain: str):
    frame = render(domain, patient=0, phase="ED", size=128)
    mask = sector_mask(frame.image)
    overlap = 2 * (mask & frame.sector).sum() / (mask.sum() + frame.sector.sum())
    assert overlap > 0.9  # echonet_like blackens the upper corners of its sector


def test_stray_pixels_do_not_change_the_sector():
    image = np.zeros((128, 128), np.uint8)
    image[40:100, 30:90] = 50
    clean = sector_mask(image)
    image[2, 2] = image[120, 5] = 255
    np.testing.assert_array_equal(sector_mask(image), clean)


def test_a_black_image_is_all_sector():
    assert sector_mask(np.zeros((32, 40), np.uint8)).all()


def box(rows: int, columns: int, top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((rows, columns), bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(("scale", "shown"), [(1.0, 40), (0.5, 20), (1.5, 60)])
def test_edges_meet_edges_and_the_probe_stays(scale: float, shown: float):
    source, target = box(100, 100, 10, 20, 40, 60), box(200, 150, 30, 50, 80, 40)
    alignment = align_sectors(source, target, scale)

    def place(row: float, column: float) -> tuple[float, float]:
        """Map an edge of the target to one of the source; pixel n reaches from n to n + 1."""
        return tuple(
            offset + factor * (edge - 0.5) + 0.5
            for offset, factor, edge in zip(alignment.offset, alignment.factor, (row, column), strict=True)
        )

    assert place(30, 70) == pytest.approx((10, 50)), "the middle of the upper edge"
    assert place(110, 70)[0] == pytest.approx(10 + shown)
    assert place(30, 90)[1] - place(30, 50)[1] == pytest.approx(60 * scale)
