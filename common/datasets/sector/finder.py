"""Find the ultrasound sector on the screen, in a still or a clip.

Text, logos and traces outside the sector identify patients and mislead networks. The sector is found from motion (text
stands still) or from what differs from a flat background, and fitted as geometry (`geometry`). If the fit has a low
confidence, a small network is used.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...identity import fingerprint
from .geometry import Sector, fit_sector
from .region import cleaned, different, dilated, eroded, hull, largest, moving, whole

__all__ = ["CONFIDENT", "FoundSector", "SectorFinder", "find_sector", "propose_sector", "sector_finder"]

LOGGER = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Method = Literal["motion", "threshold", "network"]
# of the 150 phantom screens that the thresholds were chosen on, geometry reaches 0.75 on 130, all with a Dice of 0.975
# or more; at 0.7 there is one of 0.92. All of 150 CAMUS images reach it, on black and on phantom screens.
CONFIDENT = 0.75
CERTAIN = 0.95  # confidence above which the search ends
SMALL, FULL = 0.12, 0.98  # fractions of the image between which a sector is likely
SIDE = 256  # pixels of the longer side during the search
WEIGHTS = Path("models") / "model.pt"  # of a bundle


@dataclass(frozen=True)
class FoundSector:
    """The sector of an image.

    Args:
        mask: bool, (rows, columns).
        method: motion, threshold (difference from the background) or network.
        confidence: 0 to 1; usable from `CONFIDENT` on.
    """

    mask: Mask
    method: Method
    confidence: float


@dataclass(frozen=True)
class SectorFinder:
    """Find the sector of images; picklable for worker processes.

    Args:
        bundle: folder of the bundle sector_segmentation, whose network is used if geometry is not confident; None, or a
            bundle without models/model.pt, leaves those images undecided.

    Example:
        >>> sector = Sector((10, 100), -40, 40, inner=0, outer=170, frame=(0, 0, 199, 199)).mask((200, 200))
        >>> image = np.random.default_rng(0).integers(40, 200, (200, 200), np.uint8) * sector
        >>> found = SectorFinder()(image)
        >>> found.method, found.confidence > CONFIDENT
        ('threshold', True)
    """

    bundle: Path | None = None

    @property
    def weights(self) -> str | None:
        """Fingerprint of the network's weights; None without a network."""
        return None if self.bundle is None else fingerprint(self.bundle / WEIGHTS)

    def __call__(self, image: NDArray[np.uint8], motion: NDArray[np.float32] | None = None) -> FoundSector | None:
        """Find the sector as `find_sector` does; None if neither geometry nor the network is confident."""
        found = find_sector(image, motion)
        if (found is None or found.confidence < CONFIDENT) and self.bundle is not None:
            found = propose_sector(image, self.bundle)
        return found if found is not None and found.confidence >= CONFIDENT else None


def sector_finder(find_sector: bool, sector_bundle: str | Path | None, bundle_root: str | Path) -> SectorFinder | None:
    """Return what finds the sector for a bundle; None if its images are not ultrasound.

    Args:
        find_sector: whether to look for a sector.
        sector_bundle: folder of the bundle sector_segmentation; None takes the one beside the bundle, and geometry
            alone if there is none, with a line in the log.
        bundle_root: folder of the bundle.

    Raises:
        FileNotFoundError: if `sector_bundle` has no weights.
    """
    if not find_sector:
        return None
    if sector_bundle is not None:
        if not (Path(sector_bundle) / WEIGHTS).is_file():
            raise FileNotFoundError(
                f"--sector_bundle: {Path(sector_bundle) / WEIGHTS} is missing; give the folder of sector_segmentation, "
                "or leave the setting out to use geometry alone."
            )
        return SectorFinder(Path(sector_bundle))
    beside = Path(bundle_root).resolve().parent / "sector_segmentation"
    if (beside / WEIGHTS).is_file():
        return SectorFinder(beside)
    LOGGER.warning("%s has no weights: the ultrasound sector is found by geometry alone.", beside)
    return SectorFinder()


def find_sector(image: NDArray[np.uint8], motion: NDArray[np.float32] | None = None) -> FoundSector | None:
    """Find the sector by geometry alone.

    Args:
        image: grey values, (rows, columns).
        motion: standard deviation of each pixel over the clip, (rows, columns); None for a still.

    Returns:
        The best guess with its confidence; None if there is nothing like a sector.
    """
    best: FoundSector | None = None
    for seen, method in _seen(image, motion):
        guess = _guess(seen, image.shape, method)
        if guess is not None and (best is None or guess.confidence > best.confidence):
            best = guess
        if best is not None and best.confidence >= CONFIDENT:
            break
    return best


def _seen(image: NDArray[np.uint8], motion: NDArray[np.float32] | None) -> Iterator[tuple[Mask, Method]]:
    """Yield masks of the ultrasound, the most exact first."""
    differs = different(_small(image))
    if motion is not None:
        moves = moving(_small(motion))
        yield moves & differs, "motion"  # compression noise moves beside the ultrasound
        yield moves, "motion"
    yield differs, "threshold"


def _guess(seen: Mask, shape: tuple[int, int], method: Method) -> FoundSector | None:
    """Fit sectors to what is seen, and choose the one with the best outline and the least outside."""
    best: tuple[Sector, float] | None = None
    grains = dilated(eroded(seen, 1), 1)  # without thin lines
    for mask in cleaned(seen):
        fitted = fit_sector(mask)
        if fitted is None:
            continue
        sector, support = fitted
        found = sector.mask(seen.shape)
        inside = float((grains & found).sum()) / max(float(grains.sum()), 1.0)
        # a tenth of what is seen may be text and bars
        confidence = support * min(1.0, inside / 0.9) ** 2 * min(1.0, float(found.mean()) / SMALL)
        if best is None or confidence > best[1]:
            best = sector, confidence
        if confidence > CERTAIN:
            break
    if method == "threshold" and (best is None or best[1] <= CERTAIN):
        mask, confidence = _masked_export(seen)
        if confidence > (best[1] if best else 0.0):
            return FoundSector(_resized(mask, shape), method, confidence)
    return None if best is None else FoundSector(_drawn(best[0], seen, shape), method, best[1])


def _masked_export(seen: Mask) -> tuple[Mask, float]:
    """Return the convex hull of an image with an empty background, as of a screen that was masked before."""
    core = largest(whole(seen))
    filled = hull(core)
    upper_corners = filled[0, 0] or filled[0, -1]  # a sector leaves them free
    if not SMALL < core.mean() < FULL or upper_corners or (seen & ~core).sum() > 0.002 * core.size:
        return core, 0.0
    return filled, max(0.0, 1 - 10 * (1 - _overlap(filled, core)))  # 0.75 at a Dice of 0.975


def propose_sector(image: NDArray[np.uint8], bundle: Path) -> FoundSector | None:
    """Find the sector by the network of a bundle, and fit it if geometry agrees.

    Args:
        image: grey values, (rows, columns).
        bundle: folder of the bundle sector_segmentation.

    Returns:
        The region; its confidence falls with the Dice that the network expects, to 0.75 at 0.917. None if the bundle
        has no weights or the network finds nothing.
    """
    if not (bundle / WEIGHTS).is_file():
        return None
    network, side = _network(bundle)
    squashed = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
    inside = Image.fromarray(network(squashed / np.float32(255)))
    small = _small(image)
    probability = np.asarray(inside.resize(small.shape[::-1], Image.Resampling.BILINEAR))
    mask = whole(largest(probability > 0.5))
    if not mask.any():
        return None
    seen = different(small) & dilated(mask, 3)  # without distant text
    fits = [fit_sector(region) for region in (mask, hull(mask), hull(eroded(seen, 1)))]
    sectors = [fitted[0] for fitted in fits if fitted is not None]
    expected = [_overlap(probability, sector.mask(mask.shape)) for sector in sectors]
    own = _overlap(probability, mask)
    if sectors and max(expected) > own - 0.03:  # a ragged region expects a higher Dice than a smooth one
        best = int(np.argmax(expected))
        return FoundSector(_drawn(sectors[best], mask, image.shape), "network", max(0.0, 1 - 3 * (1 - expected[best])))
    return FoundSector(_resized(mask, image.shape), "network", max(0.0, 1 - 3 * (1 - own)))


@lru_cache(maxsize=1)
def _network(bundle: Path) -> tuple[Any, int]:
    """Return a function from grey values 0 to 1 to probabilities, and its image side; cached in each process."""
    import torch  # here, because it takes seconds

    from ...engines import load_weights, network_of, weights_record, with_weights

    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # each worker process uses one core
    path = bundle / WEIGHTS
    record = weights_record(path, {"classes": ["background", "sector"], "activation": "softmax"})
    network = with_weights(network_of(record, {}), load_weights(path)[0], path).eval()

    def probability(image: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(image)[None, None])
        return np.asarray(logits.softmax(dim=1)[0, 1])

    return probability, int(record["image_size"])


def _small(image: NDArray[Any]) -> NDArray[Any]:
    rows, columns = (max(16, round(side * SIDE / max(image.shape))) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))


def _resized(mask: Mask, shape: tuple[int, int]) -> Mask:
    return np.asarray(Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST))


def _drawn(sector: Sector, small: Mask, shape: tuple[int, int]) -> Mask:
    return sector.scaled(shape[0] / small.shape[0], shape[1] / small.shape[1]).mask(shape)


def _overlap(first: NDArray[Any], second: Mask) -> float:
    """Return the Dice of two masks, or the expected Dice of a mask given probabilities."""
    return 2 * float(first[second].sum()) / max(float(first.sum() + second.sum()), 1.0)
