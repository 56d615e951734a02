"""Measure time and memory of dataset preparation, beside a plain loop over the same files.

    python -m benchmarks.preparation --camus CAMUS_public

Without --camus, the phantom is drawn in the layout of CAMUS first. The plain loop reads with ITK, resizes and writes
the same PNGs in one process, without checks or journal.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import itk
import numpy as np
from PIL import Image

from common.datasets.prepared.preparation import prepare
from common.datasets.prepared.source import Source
from common.datasets.readers.camus import camus


def plain_loop(source: Source, out: Path, size: int) -> None:
    """Read, resize and write one image after another."""
    for name in ("images", "labels"):
        (out / name).mkdir(parents=True)
    for job in source.jobs:
        image, label = job.read.args  # type: ignore[attr-defined]  # functools.partial
        for path, name, resample in (
            (image, "images", Image.Resampling.BILINEAR),
            (label, "labels", Image.Resampling.NEAREST),
        ):
            pixels = np.squeeze(itk.array_from_image(itk.imread(str(path)))).astype(np.uint8)
            Image.fromarray(pixels).resize((size, size), resample).save(out / name / f"{job.id}.png")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camus", type=Path, help="a release of CAMUS")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.camus is None:
            from tests.layouts import LAYOUTS

            LAYOUTS["camus"](folder / "source", 50, 0)
        source = camus(arguments.camus or folder / "source", skip_incomplete=True)
        start = time.perf_counter()
        prepare(source, folder / "prepared", arguments.size, arguments.workers)
        prepared = time.perf_counter() - start
        usage = (resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        own, child = usage  # GiB; Linux counts in KiB
        start = time.perf_counter()
        plain_loop(source, folder / "plain", arguments.size)
        plain = time.perf_counter() - start
        count = len(source.jobs)
        print(f"{count} images of CAMUS at {arguments.size}x{arguments.size}, {arguments.workers} processes")
        print(f"prepare     {1000 * prepared / count:6.1f} s for 1,000 images")
        print(f"plain loop  {1000 * plain / count:6.1f} s for 1,000 images; ratio {plain / prepared:.2f}")
        print(f"peak memory {own + arguments.workers * child:6.2f} GiB at most, over all processes")


if __name__ == "__main__":
    main()
