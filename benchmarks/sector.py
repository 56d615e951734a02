"""Measure the sector finder: geometry alone, the network alone, and both.

    python -m benchmarks.sector
    python -m benchmarks.sector --camus SOURCE

Phantom screens of the test fold, as stills and as clips, and with --camus the real images of the NIfTI release: as they
are (reference: non-black pixels, holes filled), and on a larger phantom screen. Dice of the sector mask; `sure` is the
fraction on which geometry is confident, `undecided` the fraction without a result from both (it counts as 0).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.ndimage import binary_closing

from common.datasets.phantom.dataset import FOLD_OF_TEN
from common.datasets.phantom.screen_overlay import overlay
from common.datasets.phantom.screens import SCANNERS, draw_screen
from common.datasets.readers.camus import camus
from common.datasets.sector.finder import CONFIDENT, FoundSector, SectorFinder, find_sector, propose_sector
from common.datasets.sector.region import largest, whole

BUNDLE = Path("bundles/sector_segmentation")
FRAMES = 6  # of a clip
WAYS = ("geometry", "network", "both")
Mask = NDArray[np.bool_]
Case = tuple[NDArray[np.uint8], Mask, NDArray[np.float32] | None]  # image, truth, motion


def dice(found: Mask | None, truth: Mask) -> float:
    """Return the Dice; 0 if nothing was found."""
    return 0.0 if found is None else 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def screens(count: int, frames: int, seed: int) -> Iterator[Case]:
    """Draw phantom screens of the test fold, with 256 to 600 rows."""
    numbers = [number for number in range(10 * count) if FOLD_OF_TEN[number % 10] == "test"][:count]
    for number in numbers:
        rows = int(np.random.default_rng([seed, number]).integers(256, 600))
        frame = draw_screen(SCANNERS[number % len(SCANNERS)], number, rows, frames, seed)
        yield frame.image, frame.label == 1, frame.motion


def real(source: Path, step: int) -> Iterator[Case]:
    """Read every `step`-th image of CAMUS."""
    for job in camus(source, skip_incomplete=True).jobs[::step]:
        image = job.read().image
        closed = binary_closing(np.pad(image > 0, 8), iterations=3)[8:-8, 8:-8]
        yield image, whole(largest(closed)), None


def on_screens(cases: Iterator[Case]) -> Iterator[Case]:
    """Draw larger screens around images."""
    for index, (image, truth, _) in enumerate(cases):
        rng = np.random.default_rng(index)
        rows = int(rng.integers(250, 500))
        columns = round(rows * image.shape[1] / image.shape[0])
        height = int(rows * rng.uniform(1.02, 1.4))
        width = max(height * 4 // 3, columns + 8)
        top = int(rng.integers(0, height - rows + 1))
        left = int((width - columns) * np.clip(0.5 + 0.2 * rng.standard_normal(), 0, 1))
        screen, sector = np.zeros((height, width), np.uint8), np.zeros((height, width), np.bool_)
        place = np.s_[top : top + rows, left : left + columns]
        screen[place] = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
        sector[place] = Image.fromarray(truth).resize((columns, rows), Image.Resampling.NEAREST)
        yield np.asarray(Image.fromarray(overlay(screen, sector, rng)).convert("L")), sector, None


def _find(way: str, image: NDArray[np.uint8], motion: NDArray[np.float32] | None) -> FoundSector | None:
    if way == "both":
        return SectorFinder(BUNDLE)(image, motion)
    return find_sector(image, motion) if way == "geometry" else propose_sector(image, BUNDLE)


def report(name: str, cases: Iterator[Case], table: Table) -> None:
    """Score one set three ways."""
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    spent = dict.fromkeys(WAYS, 0.0)
    sure, undecided, count = 0, 0, 0
    for image, truth, motion in cases:
        for way in WAYS:
            start = time.process_time()
            found = _find(way, image, motion)
            spent[way] += time.process_time() - start
            scores[way].append(dice(found.mask if found else None, truth))
            sure += way == "geometry" and found is not None and found.confidence >= CONFIDENT
            undecided += way == "both" and found is None
        count += 1
    for way, values in scores.items():
        note = {"geometry": f"{sure / count:.0%} sure", "both": f"{undecided / count:.0%} undecided"}.get(way, "")
        table.add_row(
            f"{name} ({count})",
            way,
            f"{np.mean(values):.4f}",
            f"{np.percentile(values, 5):.4f}",
            f"{np.mean(np.array(values) < 0.95):.1%}",
            f"{1000 * spent[way] / count:.0f}",
            note,
        )


def main() -> None:
    """Run all sets and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="phantom screens; a third as many clips (200)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the phantom screens; 0 is what the network was trained on"
    )
    parser.add_argument("--camus", type=Path, help="holds database_nifti and database_split")
    parser.add_argument("--step", type=int, default=6, help="use every STEP-th image of CAMUS (6)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("images", "way", "mean Dice", "5th percentile", "below .95", "ms per image", "")
    report("phantom stills", screens(arguments.count, 1, arguments.seed), table)
    report("phantom clips", screens(arguments.count // 3, FRAMES, arguments.seed), table)
    if arguments.camus:
        report("CAMUS", real(arguments.camus, arguments.step), table)
        report("CAMUS on screens", on_screens(real(arguments.camus, arguments.step)), table)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
