"""Time inference from input file to output files on one CPU core.

    python -m benchmarks.inference

A phantom clip of 256x256, and its frames as stills, are processed by the inference of echo_segmentation: reading,
finding the sector, segmentation (stills as nine copies), cleaning, measurement, writing label map and overlays. For
comparison, MONAI's own parts process the stills, as bundles of the model zoo do: LoadImaged, Resized, SimpleInferer on
a batch of one, Invertd, SaveImaged; no sector, cleaning, measurements or overlays. Network, weights and image size are
the same. Each way runs twice; the faster run counts.
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
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import (
    AsDiscreted,
    Compose,
    EnsureTyped,
    Invertd,
    LoadImaged,
    Resized,
    SaveImaged,
    ScaleIntensityRanged,
)
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from common.datasets.phantom.study import examine
from tests.layouts.echonet_layout import beat
from tests.layouts.window import draw_window

BUNDLE = Path("bundles/echo_segmentation")
SIDE = 256


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


def ours(source: Path, out: Path, **settings: object) -> Callable[[], None]:
    """Return the inference of the bundle with some settings changed; it runs once."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.yaml")
    parser.update({"input": str(source), "output": str(out), "device": "cpu", **settings})
    evaluator = parser.get_parsed_content("evaluator")
    return lambda: evaluator.run()


def stock(stills: list[Path], out: Path) -> Callable[[], None]:
    """Return inference of single frames with MONAI's parts; it runs once."""
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.yaml")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(BUNDLE / "models" / "model.pt", weights_only=True))
    size = parser.get_parsed_content("image_size")
    preprocessing = Compose(
        [
            LoadImaged(keys="image", ensure_channel_first=True),
            EnsureTyped(keys="image"),
            Resized(keys="image", spatial_size=[size, size], mode="bilinear", anti_aliasing=True),
            ScaleIntensityRanged(keys="image", a_min=0, a_max=255, b_min=0, b_max=1),
        ]
    )
    postprocessing = Compose(
        [
            Invertd(keys="pred", transform=preprocessing, orig_keys="image", nearest_interp=False, to_tensor=True),
            AsDiscreted(keys="pred", argmax=True),
            SaveImaged(keys="pred", output_dir=str(out), separate_folder=False, resample=False, print_log=False),
        ]
    )
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": str(path)} for path in stills], preprocessing), batch_size=1),
        network=network,
        inferer=SimpleInferer(),
        postprocessing=postprocessing,
    )
    return lambda: evaluator.run()


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
        ways = {
            "clip": lambda out: ours(folder / "clip_4CH.nii.gz", out),
            "clip, --pictures false": lambda out: ours(folder / "clip_4CH.nii.gz", out, pictures=False),
            "stills": lambda out: ours(folder / "stills", out),
            "stills, --augmented never": lambda out: ours(folder / "stills", out, augmented="never"),
            "stills, both": lambda out: ours(folder / "stills", out, augmented="never", pictures=False),
            "MONAI's parts, stills": lambda out: stock(stills, out),
        }
        times = {way: seconds(make, folder / f"out{number}") for number, (way, make) in enumerate(ways.items())}
    slowest = times["MONAI's parts, stills"]
    table = Table(
        "", "ms per frame", "frames per second", "times as fast", title=f"{len(pixels)} frames of 256x256, one core"
    )
    for way, taken in times.items():
        each = taken / len(pixels)
        table.add_row(way, f"{1000 * each:.1f}", f"{1 / each:.0f}", f"{slowest / taken:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
