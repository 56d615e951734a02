"""Measure the weights of echo_segmentation on patients with reference masks, at native resolution.

    python -m benchmarks.accuracy CAMUS_public
    python -m benchmarks.accuracy CAMUS_public --checkpoint runs/.../model.pt --fold test

CAMUS, NIfTI release, four-chamber view, ED and ES. Images are processed as by inference.yaml. Mean Dice over images;
error of the monoplane ejection fraction (discs) of predicted masks relative to that of the reference masks, percentage
points. Rows show the effect of cleaning and test-time augmentation.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.inferers import SimpleInferer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from common.datasets.files.scan import Scan
from common.datasets.readers.camus import camus
from common.datasets.sector.finder import SectorFinder
from common.datasets.sector.framing import frame
from common.engines import FramesInferer
from common.heart.biomarkers import discs_volume, ejection_fraction, ventricle
from common.inference.segmentation import clean, label_maps, network_images

BUNDLE = Path("bundles/echo_segmentation")
NAMES = ("LV", "LVM", "LA")
WAYS = {  # test-time augmentation, smallest fraction of the largest piece that is kept
    "network alone": ("never", 0.0),
    "pieces cleaned": ("never", 0.2),
    "largest piece only": ("never", 1.0),
    "nine copies, pieces cleaned": ("always", 0.2),
}
Labels = NDArray[np.uint8]


def dice(found: Labels, truth: Labels) -> list[float]:
    """Return the Dice of each structure; NaN if it is in neither."""
    pairs = [(found == value, truth == value) for value in (1, 2, 3)]
    return [2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else math.nan for a, b in pairs]


def volume(labels: Labels, spacing: tuple[float, float]) -> float:
    """Return the volume of the left ventricle, ml."""
    return discs_volume(ventricle(labels == 1, spacing, labels == 2, labels == 3))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("source", type=Path)
    parser.add_argument("--fold", default="validation")
    parser.add_argument("--checkpoint", type=Path, default=BUNDLE / "models" / "model.pt")
    parser.add_argument("--image_size", type=int, help="pixels a side of the network's images")
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config(BUNDLE / "configs" / "inference.yaml")
    network = config.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(arguments.checkpoint, map_location="cpu", weights_only=True))
    size = arguments.image_size or config.get_parsed_content("image_size")
    wanted = {"fold": arguments.fold, "view": "4CH"}
    jobs = [job for job in camus(arguments.source).jobs if wanted.items() <= job.item.items()]
    rows: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    volumes: dict[str, dict[tuple[str, str], tuple[float, float]]] = {way: {} for way in WAYS}
    for job in track(jobs, "segment"):
        image = job.read()
        if image.spacing is None:
            raise ValueError(f"{job.id} has no spacing.")
        framing = frame(Scan(image.image[None], image.spacing), SectorFinder())
        pixels = network_images(framing.cut(image.image[None]), size)
        true_volume = volume(image.label, image.spacing)
        logits = {}
        for word in ("never", "always"):
            with torch.inference_mode():
                logits[word] = FramesInferer(SimpleInferer(), 1, word)(pixels, network)
        for way, (word, smallest) in WAYS.items():
            labels = label_maps(logits[word], framing)
            labels = clean(labels, 4, smallest) if smallest else labels
            rows[way].append(dice(labels[0], image.label))
            key = job.item["patient"], job.item["phase"]
            volumes[way][key] = volume(labels[0], image.spacing), true_volume
    title = f"{len(jobs)} images, {arguments.fold} fold"
    table = Table("", *NAMES, "mean", "EF error", "EF bias", "no EF", title=title)
    for way, own in volumes.items():
        mean = np.nanmean(np.array(rows[way]), axis=0)
        patients = sorted({patient for patient, _ in own})
        errors = np.array(
            [np.subtract(*(ejection_fraction(own[p, "ED"][i], own[p, "ES"][i]) for i in (0, 1))) for p in patients]
        )
        defined = errors[~np.isnan(errors)]
        cells = [f"{value:.4f}" for value in (*mean, mean.mean())]
        cells += [f"{np.abs(defined).mean():.2f}", f"{defined.mean():+.2f}", str(len(errors) - len(defined))]
        table.add_row(way, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
