"""Where on the screen the ultrasound is: the sector ("cone") of a still or a clip.

Text, logos and traces outside the sector name patients and tempt networks. The sector is found from motion (text stands
still) or from what differs from a flat background, fitted as geometry (`common.datasets.sector`), and judged; where the
fit is not sure, a small network proposes the region instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label
from scipy.spatial import ConvexHull, QhullError

from common.datasets.contours import fill
from common.datasets.sector import Sector, fit_sector

__all__ = ["CONFIDENT", "Cone", "ConeFinder", "find_cone"]

Mask = NDArray[np.bool_]
Method = Literal["motion", "threshold", "network"]
CONFIDENT = 0.75
FITS = 0.95  # Dice of network and fitted sector below which the network's own outline is kept
SMALL = 0.12  # share of the image below which a sector is unlikely
SIDE = 256  # pixels of the longer side while the sector is looked for


@dataclass(frozen=True)
class Cone:
    """The sector of an image.

    Args:
        mask: bool, (rows, columns).
        method: what showed the region: motion, difference from the background, or the network.
        confidence: 0 to 1; above `CONFIDENT` it can be used.
    """

    mask: Mask
    method: Method
    confidence: float


@dataclass(frozen=True)
class ConeFinder:
    """Find the sector of one image after another; picklable, so that worker processes can have it.

    Args:
        bundle: folder of the bundle cone_segmentation, whose network is asked where geometry is not sure; None, or a
            bundle without models/model.pt, leaves those images undecided.

    Example:
        >>> image = np.zeros((200, 200), np.uint8)
        >>> image[Sector((10, 100), -40, 40, 0, 170, (0, 0, 199, 199)).mask((200, 200))] = 90
        >>> cone = ConeFinder()(image)
        >>> cone.method, cone.confidence > CONFIDENT
        ('threshold', True)
    """

    bundle: Path | None = None

    def __call__(self, image: NDArray[np.uint8], motion: NDArray[np.float32] | None = None) -> Cone | None:
        """Find the sector; None where neither geometry nor the network is sure.

        Args:
            image: grey values, (rows, columns).
            motion: standard deviation of each pixel over the clip, (rows, columns); None for a still.

        Raises:
            ValueError: if image and motion differ in shape.
        """
        if motion is not None and motion.shape != image.shape:
            raise ValueError(f"image {image.shape} and motion {motion.shape} differ in shape.")
        found = find_cone(image, motion)
        if (found is None or found.confidence < CONFIDENT) and self.bundle is not None:
            found = propose_cone(image, self.bundle)
        return found if found is not None and found.confidence >= CONFIDENT else None


def find_cone(image: NDArray[np.uint8], motion: NDArray[np.float32] | None = None) -> Cone | None:
    """Find the sector by geometry alone.

    Args:
        image: grey values, (rows, columns).
        motion: standard deviation of each pixel over the clip, (rows, columns); None for a still.

    Returns:
        The best guess with its confidence; None where there is nothing like a sector.
    """
    best: Cone | None = None
    for seen, method in _seen(image, motion):
        guess = _guess(seen, image.shape, method)
        if guess is not None and (best is None or guess.confidence > best.confidence):
            best = guess
        if best is not None and best.confidence >= CONFIDENT:
            break
    return best


def _seen(image: NDArray[np.uint8], motion: NDArray[np.float32] | None) -> Iterator[tuple[Mask, Method]]:
    """What shows the ultrasound, the most exact first."""
    different = _different(_small(image))
    if motion is not None:
        moving = _moving(_small(motion))
        yield moving & different, "motion"  # next to what moves, compression makes the background tremble
        yield moving, "motion"
    yield different, "threshold"


def propose_cone(image: NDArray[np.uint8], bundle: Path) -> Cone | None:
    """Find the sector by the network of a bundle; None where the bundle has no weights or the network sees nothing.

    Args:
        image: grey values, (rows, columns).
        bundle: folder of the bundle cone_segmentation.
    """
    if not (bundle / "models" / "model.pt").is_file():
        return None
    import torch

    network, side = _network(bundle)
    squashed = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
    with torch.inference_mode():
        logits = network(torch.from_numpy(squashed / np.float32(255))[None, None])
    inside = logits.softmax(dim=1)[0, 1].numpy()
    rows, columns = _small_shape(image.shape)
    probability = np.asarray(Image.fromarray(inside).resize((columns, rows), Image.Resampling.BILINEAR))
    mask = _filled(_largest(probability > 0.5))
    if not mask.any():
        return None
    fitted = fit_sector(mask)
    if fitted is not None and _dice(fitted[0].mask(mask.shape), mask) > FITS:
        sure = (
            2
            * float(probability[fitted[0].mask(mask.shape)].sum())
            / float(probability.sum() + fitted[0].mask(mask.shape).sum())
        )
        return Cone(_drawn(fitted[0], mask.shape, image.shape), "network", sure)
    native = np.asarray(Image.fromarray(mask).resize(image.shape[::-1], Image.Resampling.NEAREST))
    return Cone(native, "network", 2 * float(probability[mask].sum()) / float(probability.sum() + mask.sum()))


@lru_cache(maxsize=1)
def _network(bundle: Path) -> tuple[Any, int]:
    """Read network and image side of a bundle, once a process."""
    import torch
    from monai.bundle import ConfigParser

    torch.set_num_threads(1)  # every worker process has a core of its own
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", map_location="cpu", weights_only=True))
    return network.eval(), int(parser.get_parsed_content("image_size"))


def _small_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = (max(16, round(side * SIDE / max(shape))) for side in shape)
    return rows, columns


def _small(image: NDArray[Any]) -> NDArray[Any]:
    rows, columns = _small_shape(image.shape)
    return np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))


def _drawn(sector: Sector, small: tuple[int, ...], shape: tuple[int, ...]) -> Mask:
    rows, columns = shape
    return sector.scaled(rows / small[0], columns / small[1]).mask((rows, columns))


def _dice(first: Mask, second: Mask) -> float:
    return 2 * float((first & second).sum()) / max(float(first.sum() + second.sum()), 1.0)


def _guess(seen: Mask, shape: tuple[int, ...], method: Method) -> Cone | None:
    """Fit sectors to what is seen, and choose the one that its outline and what lies outside speak for most."""
    grains = _eroded(~_eroded(~_eroded(seen, 1), 1), 0)
    best: tuple[Sector, float] | None = None
    for mask in _cleaned(seen):
        fitted = fit_sector(mask)
        if fitted is None:
            continue
        found = fitted[0].mask(mask.shape)
        explained = float((grains & found).sum()) / max(float(grains.sum()), 1.0)
        share = float(found.mean())
        confidence = fitted[1] * min(1.0, explained / 0.9) ** 2 * min(1.0, share / SMALL)
        if best is None or confidence > best[1]:
            best = fitted[0], confidence
    hull, sure = _hull(seen)
    if method == "threshold" and sure > (best[1] if best else 0.5):
        native = Image.fromarray(hull).resize(shape[::-1], Image.Resampling.NEAREST)
        return Cone(np.asarray(native), method, sure)
    return None if best is None else Cone(_drawn(best[0], seen.shape, shape), method, best[1])


def _hull(seen: Mask) -> tuple[Mask, float]:
    """Convex hull of an image on whose background nothing else is: an export that was masked already, of any shape."""
    core = _largest(_filled(seen))
    if core.sum() < SMALL * core.size or (seen & ~core).sum() > 0.002 * core.size:
        return core, 0.0
    places = np.argwhere(core)
    try:
        hull = fill(places[ConvexHull(places).vertices].astype(np.float64), core.shape) | core
    except QhullError:  # all on one line
        return core, 0.0
    return hull, max(0.0, 1 - 5 * (1 - _dice(hull, core)))


def _moving(motion: NDArray[np.float32]) -> Mask:
    """Mark what moves about as much as the tissue does."""
    moving: Mask = motion > max(0.12 * float(np.percentile(motion, 95)), 0.5)
    return moving


def _different(image: NDArray[np.uint8]) -> Mask:
    """Mark what differs from the flat background and is no flat area itself."""
    padded = np.pad(image, 1, mode="edge").astype(np.int16)
    parts = [padded[r : r + image.shape[0], c : c + image.shape[1]] for r in range(3) for c in range(3)]
    flat = np.maximum.reduce(parts) - np.minimum.reduce(parts) <= 3
    if not flat.any():
        return np.ones(image.shape, np.bool_)
    background = int(np.bincount(image[flat]).argmax())
    mask = np.abs(image.astype(np.int16) - background) > 4
    panel = mask & ~_eroded(~_eroded(flat, 4), 4)
    different: Mask = mask & ~panel
    return different


def _cleaned(mask: Mask) -> Iterator[Mask]:
    """Fill holes, cut thin things off and keep the largest part; once carefully, once for grainy images."""
    for closing, opening in ((0, 2), (3, 4)):
        closed = _eroded(~_eroded(~mask, closing), closing) if closing else mask
        closed = _filled(closed)
        core = _largest(_eroded(closed, opening))
        yield _filled(~_eroded(~core, opening) & closed)


def _eroded(mask: Mask, steps: int) -> Mask:
    """Erode by an octagon; the image's border erodes nothing."""
    for step in range(steps):
        padded = np.pad(mask, 1, mode="edge")
        mask = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, 1:-1]
        if step % 2:
            padded = np.pad(mask, 1, mode="edge")
            mask = padded[1:-1, :-2] & padded[1:-1, 2:] & padded[1:-1, 1:-1]
        else:
            mask = mask & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _largest(mask: Mask) -> Mask:
    parts, _ = label(mask)
    count = np.bincount(parts.ravel())
    count[0] = 0
    largest: Mask = (parts == count.argmax()) & mask
    return largest


def _filled(mask: Mask) -> Mask:
    parts, count = label(~mask)
    outside = np.zeros(count + 1, np.bool_)
    outside[np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])] = True
    outside[0] = False
    return ~outside[parts]
