"""The sector is found on many kinds of screens, and nothing is found without one."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.datasets.phantom.screen_overlay import overlay
from common.datasets.phantom.screens import draw_screen
from common.datasets.readers.camus import camus
from common.datasets.sector import finder as finder_module
from common.datasets.sector.finder import CONFIDENT, SectorFinder, find_sector, propose_sector, sector_finder
from common.datasets.sector.geometry import Sector
from common.datasets.sector.region import hull, largest, whole

BUNDLE = Path(__file__).parents[3] / "bundles" / "sector_segmentation"
SHAPE = (360, 480)
TRUTH = Sector((20.0, 240.0), -40.0, 40.0, inner=0.0, outer=310.0, frame=(0.0, 0.0, 359.0, 479.0)).mask(SHAPE)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def ultrasound(low: int = 30, high: int = 180) -> np.ndarray:
    """Noise in the sector, black around it."""
    grains = np.random.default_rng(1).integers(low, high, (90, 120)).astype(np.uint8)
    image = np.array(Image.fromarray(grains).resize((480, 360), Image.Resampling.BICUBIC))
    image[~TRUTH] = 0
    return image


@pytest.mark.parametrize("seed", range(6))
def test_a_sector_is_found_among_text_traces_and_panels(seed: int):
    screen = Image.fromarray(overlay(ultrasound(), TRUTH, np.random.default_rng(seed))).convert("L")
    found = SectorFinder()(np.asarray(screen))
    assert found is not None
    assert found.method == "threshold"
    assert found.confidence >= CONFIDENT
    assert overlap(found.mask, TRUTH) > 0.985


@pytest.mark.parametrize("level", [0, 8, 120, 255])
def test_any_flat_background_is_accepted(level: int):
    image = ultrasound()
    image[~TRUTH] = level
    found = SectorFinder()(image)
    assert found is not None
    assert overlap(found.mask, TRUTH) > 0.985


def test_motion_separates_ultrasound_from_a_bright_textured_panel():
    image = ultrasound()
    image[:, :150] = np.random.default_rng(2).integers(0, 255, (360, 150))
    motion = np.where(TRUTH, 12, 0).astype(np.float32)
    still, moving = find_sector(image), find_sector(image, motion)
    assert still is None or still.confidence < CONFIDENT
    assert moving is not None
    assert moving.method == "motion"
    assert moving.confidence >= CONFIDENT
    assert overlap(moving.mask, TRUTH) > 0.985


def test_an_export_that_was_masked_to_another_shape_is_kept_whole():
    rows, columns = np.indices(SHAPE)
    shape = TRUTH & (columns + 0.5 * rows > 200) & (np.abs(columns - 240) < 150)
    image = ultrasound()
    image[~shape] = 0
    found = SectorFinder()(image)
    assert found is not None
    assert overlap(found.mask, shape) > 0.98


def test_nothing_is_found_without_a_sector():
    assert SectorFinder()(np.zeros(SHAPE, np.uint8)) is None
    noise = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    assert SectorFinder()(noise) is None
    text = overlay(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, bool), np.random.default_rng(4))
    assert SectorFinder()(np.asarray(Image.fromarray(text).convert("L"))) is None


def test_the_network_is_used_if_geometry_has_a_low_confidence(monkeypatch: pytest.MonkeyPatch):
    image = ultrasound()
    image[140:, :] //= 40  # only the near field is visible
    image[120:140, 300:] = 200
    guess = find_sector(image)
    assert guess is None or guess.confidence < CONFIDENT
    assert SectorFinder()(image) is None
    asked = []

    def network(image: np.ndarray) -> np.ndarray:
        asked.append(image)
        truth = Image.fromarray(TRUTH).resize((128, 128), Image.Resampling.NEAREST)
        return np.where(np.asarray(truth), 0.97, 0.03).astype(np.float32)

    monkeypatch.setattr(finder_module, "_network", lambda _: (network, 128))
    found = SectorFinder(BUNDLE)(image)
    assert [shown.shape for shown in asked] == [(128, 128)]
    assert found is not None
    assert found.method == "network"
    assert overlap(found.mask, TRUTH) > 0.98
    share = TRUTH.mean()
    expected = 2 * 0.97 * share / (0.97 * share + 0.03 * (1 - share) + share)  # Dice of such probabilities
    assert found.confidence == pytest.approx(1 - 3 * (1 - expected), abs=0.03)
    SectorFinder(BUNDLE)(ultrasound())
    assert len(asked) == 1, "the network is not used if geometry is confident"


def test_a_bundle_without_weights_leaves_the_image_undecided(tmp_path: Path):
    assert propose_sector(ultrasound(), tmp_path) is None


def test_a_finder_travels_to_other_processes_without_its_network():
    assert len(pickle.dumps(SectorFinder(BUNDLE))) < 500
    assert pickle.loads(pickle.dumps(SectorFinder(BUNDLE))) == SectorFinder(BUNDLE)


def test_masks_are_cleaned():
    mask = np.zeros((20, 20), bool)
    mask[2:10, 2:10] = True
    mask[5, 5] = False
    mask[15:17, 15:17] = True
    expected = np.zeros((20, 20), bool)
    expected[2:10, 2:10] = True
    assert (whole(largest(mask)) == expected).all()
    assert not largest(np.zeros((5, 5), bool)).any()
    line = np.eye(9, dtype=bool)
    assert (hull(line) == line).all()


@pytest.mark.slow
def test_phantom_screens_are_solved():
    scores, methods = [], []
    for number in range(3000, 3012):
        frame = draw_screen(["camus_like", "unity_like", "echonet_like"][number % 3], number, rows=300)
        found = SectorFinder(BUNDLE)(frame.image)
        if found is not None:
            scores.append(overlap(found.mask, frame.label == 1))
            methods.append(found.method)
    assert len(scores) >= 11, "one may be too dark"
    assert np.mean(scores) > 0.98
    assert methods.count("threshold") >= 8
    assert methods.count("network") >= 1


@pytest.mark.slow
def test_real_images_are_solved_by_geometry(echo_data: Path):
    jobs = camus(echo_data / "camus", skip_incomplete=True).jobs[::60]
    assert jobs
    for job in jobs:
        frame = job.read()
        found = SectorFinder()(frame.image)
        assert found is not None, job.id
        truth = whole(largest(frame.image > 0))
        assert overlap(found.mask, truth) > 0.985, job.id


def weights(bundle: Path) -> Path:
    (bundle / "models").mkdir(parents=True)
    (bundle / "models" / "model.pt").write_bytes(b"weights")
    return bundle


def test_a_bundle_names_what_finds_its_sector(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert sector_finder(False, None, tmp_path / "kidney") is None
    assert sector_finder(True, None, tmp_path / "echo") == SectorFinder()
    assert "sector_segmentation has no weights: the ultrasound sector is found by geometry alone" in caplog.text
    beside, other = weights(tmp_path / "sector_segmentation"), weights(tmp_path / "other")
    assert sector_finder(True, None, tmp_path / "echo") == SectorFinder(beside)
    found = sector_finder(True, str(other), tmp_path / "echo")
    assert found == SectorFinder(other)
    assert len(found.weights or "") == 16
    assert SectorFinder().weights is None


def test_a_sector_bundle_that_was_asked_for_must_have_weights(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"--sector_bundle: .*nowhere/models/model.pt is missing"):
        sector_finder(True, tmp_path / "nowhere", tmp_path / "echo")
