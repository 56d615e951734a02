"""Where on the screen the ultrasound is: the sector of a still or a clip.

Text, logos and traces outside the sector name patients and tempt networks. The sector is found from motion (text stands
still) or from what differs from a flat background, fitted as geometry (`geometry`), and judged; where the
fit is not sure, a small network is asked.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .geometry import Sector, fit_sector
from .region import cleaned, different, dilated, eroded, hull, largest, moving, whole

__all__ = ["CONFIDENT", "FoundSector", "SectorFinder", "find_sector", "propose_sector"]

Mask = NDArray[np.bool_]
Method = Literal["motion", "threshold", "network"]
# of 150 phantom screens that the thresholds were chosen on, geometry reaches 0.75 on 130, none with a Dice below 0.975;
# from 0.7 on there is one of 0.92. Every CAMUS image of 150 reaches it, on black and on phantom screens.
CONFIDENT = 0.75
CERTAIN = 0.95  # confidence above which nothing better is looked for
SMALL, FULL = 0.12, 0.98  # shares of the image between which a sector is likely
SIDE = 256  # pixels of the longer side while the sector is looked for


@dataclass(frozen=True)
class FoundSector:
    """The sector of an image.

    Args:
        mask: bool, (rows, columns).
        method: what showed the region: motion, difference from the background, or the network.
        confidence: 0 to 1; from `CONFIDENT` on it can be used.
    """

    mask: Mask
    method: Method
    confidence: float


@dataclass(frozen=True)
class SectorFinder:
    """Find the sector of one image after another; picklable, so that worker processes can have it.

    Args:
        bundle: folder of the bundle sector_segmentation, whose network is asked where geometry is not sure; None, or a
            bundle without models/model.pt, leaves those images undecided.

    Example:
        >>> sector = Sector((10, 100), -40, 40, inner=0, outer=170, frame=(0, 0, 199, 199)).mask((200, 200))
        >>> image = np.random.default_rng(0).integers(40, 200, (200, 200), np.uint8) * sector
        >>> found = SectorFinder()(image)
        >>> found.method, found.confidence > CONFIDENT
        ('threshold', True)
    """

    bundle: Path | None = None

    def __call__(self, image: NDArray[np.uint8], motion: NDArray[np.float32] | None = None) -> FoundSector | None:
        """Find the sector; None where neither geometry nor the network is sure.

        Args:
            image: grey values, (rows, columns).
            motion: standard deviation of each pixel over the clip, (rows, columns); None for a still.

        Raises:
            ValueError: if image and motion differ in shape.
        """
        if motion is not None and motion.shape != image.shape:
            raise ValueError(f"image {image.shape} and motion {motion.shape} differ in shape.")
        found = find_sector(image, motion)
        if (found is None or found.confidence < CONFIDENT) and self.bundle is not None:
            found = propose_sector(image, self.bundle)
        return found if found is not None and found.confidence >= CONFIDENT else None


def find_sector(image: NDArray[np.uint8], motion: NDArray[np.float32] | None = None) -> FoundSector | None:
    """Find the sector by geometry alone.

    Args:
        image: grey values, (rows, columns).
        motion: standard deviation of each pixel over the clip, (rows, columns); None for a still.

    Returns:
        The best guess with its confidence; None where there is nothing like a sector.
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
    """What shows the ultrasound, the most exact first."""
    differs = different(_small(image))
    if motion is not None:
        moves = moving(_small(motion))
        yield moves & differs, "motion"  # next to what moves, compression makes the background tremble
        yield moves, "motion"
    yield differs, "threshold"


def _guess(seen: Mask, shape: tuple[int, ...], method: Method) -> FoundSector | None:
    """Fit sectors to what is seen, and choose the one that its outline and what lies outside speak for most."""
    best: tuple[Sector, float] | None = None
    grains = dilated(eroded(seen, 1), 1)  # without thin lines
    for mask in cleaned(seen):
        fitted = fit_sector(mask)
        if fitted is None:
            continue
        sector, support = fitted
        found = sector.mask(_shape(seen))
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
    """Convex hull of an image on whose background nothing else is, as where the screen was masked already."""
    core = largest(whole(seen))
    filled = hull(core)
    upper_corners = filled[0, 0] or filled[0, -1]  # a sector leaves them free
    if not SMALL < core.mean() < FULL or upper_corners or (seen & ~core).sum() > 0.002 * core.size:
        return core, 0.0
    return filled, max(0.0, 1 - 10 * (1 - _overlap(filled, core)))  # 0.75 at a Dice of 0.975


def propose_sector(image: NDArray[np.uint8], bundle: Path) -> FoundSector | None:
    """Find the sector by the network of a bundle, and fit it where geometry agrees.

    Args:
        image: grey values, (rows, columns).
        bundle: folder of the bundle sector_segmentation.

    Returns:
        The region; its confidence falls with the Dice that the network itself expects, to 0.75 at 0.917. None where the
        bundle has no weights or the network sees nothing.
    """
    if not (bundle / "models" / "model.pt").is_file():
        return None
    network, side = _network(bundle)
    squashed = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
    inside = Image.fromarray(network(squashed / np.float32(255)))
    small = _small(image)
    probability = np.asarray(inside.resize(small.shape[::-1], Image.Resampling.BILINEAR))
    mask = whole(largest(probability > 0.5))
    if not mask.any():
        return None
    seen = different(small) & dilated(mask, 3)  # without the text further away
    fits = [fit_sector(region) for region in (mask, hull(mask), hull(eroded(seen, 1)))]
    sectors = [fitted[0] for fitted in fits if fitted is not None]
    expected = [_overlap(probability, sector.mask(_shape(mask))) for sector in sectors]
    own = _overlap(probability, mask)
    if sectors and max(expected) > own - 0.03:  # a ragged region expects more of itself than a smooth one
        best = int(np.argmax(expected))
        return FoundSector(_drawn(sectors[best], mask, image.shape), "network", max(0.0, 1 - 3 * (1 - expected[best])))
    return FoundSector(_resized(mask, image.shape), "network", max(0.0, 1 - 3 * (1 - own)))


@lru_cache(maxsize=1)
def _network(bundle: Path) -> tuple[Any, int]:
    """Read a bundle, once a process: a function from grey values 0 to 1 to probabilities, and the image side."""
    import torch  # not before it is needed: it takes seconds
    from monai.bundle import ConfigParser

    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # every worker process has a core of its own
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", map_location="cpu", weights_only=True))

    def probability(image: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(image)[None, None])
        found: NDArray[np.float32] = logits.softmax(dim=1)[0, 1].numpy()
        return found

    return probability, int(parser.get_parsed_content("image_size"))


def _shape(mask: Mask) -> tuple[int, int]:
    rows, columns = mask.shape
    return rows, columns


def _small(image: NDArray[Any]) -> NDArray[Any]:
    rows, columns = (max(16, round(side * SIDE / max(image.shape))) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))


def _resized(mask: Mask, shape: tuple[int, ...]) -> Mask:
    rows, columns = shape
    return np.asarray(Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST))


def _drawn(sector: Sector, small: Mask, shape: tuple[int, ...]) -> Mask:
    rows, columns = shape
    return sector.scaled(rows / small.shape[0], columns / small.shape[1]).mask((rows, columns))


def _overlap(first: NDArray[Any], second: Mask) -> float:
    """Dice of two masks, or the Dice that probabilities let expect of a mask."""
    return 2 * float(first[second].sum()) / max(float(first.sum() + second.sum()), 1.0)
