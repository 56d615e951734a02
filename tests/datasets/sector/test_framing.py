"""The network sees the sector and nothing beside it."""

import numpy as np

from common.datasets.files.scan import Scan
from common.datasets.sector.finder import FoundSector, SectorFinder
from common.datasets.sector.framing import frame
from common.datasets.sector.geometry import Sector


def screen(count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return frames with text burnt in beside the sector, and the sector."""
    rng = np.random.default_rng(0)
    sector = Sector((40.0, 200.0), -40, 40, inner=0, outer=220, frame=(0, 0, 299, 399)).mask((300, 400))
    frames = rng.integers(60, 200, (count, 300, 400), np.uint8) * sector
    frames[:, 5:15, 5:60:2] = 255  # text
    return frames, sector


def test_the_sector_is_cut_out_and_text_beside_it_is_removed():
    for count in (1, 12):
        frames, sector = screen(count)
        found = frame(Scan(frames), SectorFinder())
        assert found.sector
        assert 2 * (found.seen & sector).sum() / (found.seen.sum() + sector.sum()) > 0.98
        rows, columns = np.flatnonzero(sector.any(axis=1)), np.flatnonzero(sector.any(axis=0))
        expected = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        np.testing.assert_allclose(found.box, expected, atol=4)
        cut = found.cut(frames)
        top, left, bottom, right = found.box
        assert cut.shape == (count, bottom - top, right - left)
        assert not cut[:, ~found.seen[top:bottom, left:right]].any()


def test_an_image_filled_by_its_sector_stays_whole():
    frames, sector = screen()
    rows, columns = np.flatnonzero(sector.any(axis=1)), np.flatnonzero(sector.any(axis=0))
    tight = frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert frame(Scan(tight), SectorFinder()).box == (0, 0, *tight.shape[1:])


def test_only_the_region_that_the_file_names_is_used():
    frames, _ = screen()
    found = frame(Scan(frames, box=(30, 40, 280, 380)), None)
    assert found.box == (30, 40, 280, 380)
    assert not found.sector
    assert found.seen.sum() == 250 * 340
    assert found.seen[30:280, 40:380].all()
    nothing = frame(
        Scan(frames, box=(30, 40, 280, 380)), lambda *_: FoundSector(np.zeros((250, 340), bool), "threshold", 1.0)
    )
    assert not nothing.sector
