"""Time inference from input file to output files on one CPU core.

    python -m benchmarks.inference

A phantom clip of 256x256, and its frames as stills, are processed by the workflows of echo_segmentation. measure.yaml
reads, finds the sector, segments (stills as nine copies), cleans, measures, and writes label map and overlays.
inference.yaml reads, finds the sector, segments and writes the label map, with MONAI's transforms. Network, weights and
image size are the same. Each way runs twice; the faster run counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import itk
import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from common.datasets.phantom.study import examine
from tests.layouts.echonet_layout import beat
from tests.layouts.window import draw_window

BUNDLE = Path("bundles/echo_segmentation")
SIDE = 256
REFERENCE = "inference.yaml, stills, --augmented never"


def draw(frames: int) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Draw one beat of a phantom, (frames, 256, 256), and return it with its spacing."""
    study = examine("camus_like", 0)
    spacing = study.window[3] / SIDE, study.window[2] / SIDE
    _, hearts = beat(study, 0, 0, frames)
    return np.stack([draw_window(study, heart, number, spacing).image for number, heart in enumerate(hearts)]), spacing


def write(path: Path, pixels: NDArray[np.uint8], spacing: tuple[float, float]) -> None:
    """Write a still or clip as NIfTI."""
    image = itk.image_view_from_array(np.ascontiguousarray(pixels))
    image.SetSpacing((spacing[1], spacing[0], 1.0)[: pixels.ndim])
    itk.imwrite(image, str(path))


def workflow(name: str, source: Path, out: Path, **settings: object) -> Callable[[], None]:
    """Return a workflow of the bundle with some settings changed; it runs once."""
    folders = ("input", "output") if name == "measure" else ("dataset_dir", "output_dir")
    settings |= dict(zip(folders, (str(source), str(out)), strict=True))
    path = str(BUNDLE / "configs" / f"{name}.yaml")
    run = ConfigWorkflow(path, workflow_type="infer", logging_file=False, bundle_root=str(BUNDLE), **settings)
    run.initialize()
    run.parser.get_parsed_content("evaluator")  # building it is not counted
    return lambda: run.run()


def seconds(make: Callable[[Path], Callable[[], None]], folder: Path) -> float:
    """Return the time of the faster of two runs, each into its own folder."""
    times = []
    for attempt in range(2):
        run = make(folder / str(attempt))
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print milliseconds per frame and frames per second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference")
    parser.add_argument("--frames", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pixels, spacing = draw(arguments.frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "clip_4CH.nii.gz", pixels, spacing)
        (folder / "stills").mkdir()
        stills = [folder / "stills" / f"{number:03}.nii.gz" for number in range(len(pixels))]
        for path, frame in zip(stills, pixels, strict=True):
            write(path, frame, spacing)
        clip, images = folder / "clip_4CH.nii.gz", folder / "stills"
        ways = {
            "measure.yaml, clip": lambda out: workflow("measure", clip, out),
            "measure.yaml, clip, --pictures false": lambda out: workflow("measure", clip, out, pictures=False),
            "measure.yaml, stills": lambda out: workflow("measure", images, out),
            "measure.yaml, stills, --augmented never": lambda out: workflow("measure", images, out, augmented="never"),
            "measure.yaml, stills, both": lambda out: workflow(
                "measure", images, out, augmented="never", pictures=False
            ),
            "inference.yaml, stills": lambda out: workflow("inference", images, out),
            REFERENCE: lambda out: workflow("inference", images, out, augmented="never"),
        }
        times = {way: seconds(make, folder / f"out{number}") for number, (way, make) in enumerate(ways.items())}
    slowest = times[REFERENCE]
    table = Table(
        "", "ms per frame", "frames per second", "times as fast", title=f"{len(pixels)} frames of 256x256, one core"
    )
    for way, taken in times.items():
        each = taken / len(pixels)
        table.add_row(way, f"{1000 * each:.1f}", f"{1 / each:.0f}", f"{slowest / taken:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
