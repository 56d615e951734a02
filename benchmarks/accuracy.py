"""Measure the weights of echo_segmentation on patients with reference masks, at native resolution.

    python -m benchmarks.accuracy CAMUS_public
    python -m benchmarks.accuracy CAMUS_public --checkpoint runs/.../model.pt --fold test

CAMUS, NIfTI release, four-chamber view, ED and ES. Each row runs a workflow of the bundle on files, with some settings.
Mean Dice over images; error of the monoplane ejection fraction (discs) of predicted masks relative to that of the
reference masks, percentage points.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import itk
import numpy as np
from monai.bundle import ConfigWorkflow
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from common.datasets.readers.camus import camus
from common.heart.biomarkers import discs_volume, ejection_fraction, ventricle

BUNDLE = Path("bundles/echo_segmentation")
NAMES = ("LV", "LVM", "LA")
WAYS = {  # what differs from the workflow's defaults
    "measure.yaml, network alone": ("measure", {"augmented": "never", "smallest_piece": 0.0}),
    "measure.yaml, pieces cleaned": ("measure", {"augmented": "never"}),
    "measure.yaml, largest piece only": ("measure", {"augmented": "never", "smallest_piece": 1.0}),
    "measure.yaml, nine copies": ("measure", {"smallest_piece": 0.0}),
    "measure.yaml, nine copies, pieces cleaned": ("measure", {}),
    "inference.yaml, network alone": ("inference", {"augmented": "never"}),
    "inference.yaml, nine copies": ("inference", {}),
}
Labels = NDArray[np.uint8]


def dice(found: Labels, truth: Labels) -> list[float]:
    """Return the Dice of each structure; NaN if it is in neither."""
    pairs = [(found == value, truth == value) for value in (1, 2, 3)]
    return [2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else math.nan for a, b in pairs]


def volume(labels: Labels, spacing: tuple[float, float]) -> float:
    """Return the volume of the left ventricle, ml."""
    return discs_volume(ventricle(labels == 1, spacing, labels == 2, labels == 3))


def write(path: Path, pixels: Labels, spacing: tuple[float, float]) -> None:
    """Write an image as NIfTI."""
    image = itk.image_view_from_array(np.ascontiguousarray(pixels))
    image.SetSpacing(spacing[::-1])
    itk.imwrite(image, str(path))


def segment(workflow: str, source: Path, out: Path, **settings: object) -> dict[str, Labels]:
    """Run a workflow of the bundle over a folder of images: name of an image -> its label map, (rows, columns)."""
    if workflow == "measure":
        settings |= {"input": str(source), "output": str(out), "pictures": False}
    else:
        settings |= {"dataset_dir": str(source), "output_dir": str(out)}
    path = str(BUNDLE / "configs" / f"{workflow}.yaml")
    run = ConfigWorkflow(path, workflow_type="infer", logging_file=False, bundle_root=str(BUNDLE), **settings)
    run.initialize()
    run.run()
    names = [image.name.removesuffix(".nii.gz") for image in source.iterdir()]
    return {name: itk.array_from_image(itk.imread(str(out / f"{name}_seg.nii.gz"))) for name in names}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("source", type=Path)
    parser.add_argument("--fold", default="validation")
    parser.add_argument("--checkpoint", type=Path, default=BUNDLE / "models" / "model.pt")
    parser.add_argument("--image_size", type=int, help="pixels a side of the network's images")
    arguments = parser.parse_args()
    given: dict[str, object] = {"checkpoint": str(arguments.checkpoint)}
    given |= {"image_size": arguments.image_size} if arguments.image_size else {}
    wanted = {"fold": arguments.fold, "view": "4CH"}
    jobs = [job for job in camus(arguments.source).jobs if wanted.items() <= job.item.items()]
    truth: dict[str, tuple[Labels, tuple[float, float]]] = {}
    found: dict[str, dict[str, Labels]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for job in track(jobs, "read"):
            image = job.read()
            if image.spacing is None:
                raise ValueError(f"{job.id} has no spacing.")
            truth[job.id] = image.label, image.spacing
            write(folder / "images" / f"{job.id}.nii.gz", image.image, image.spacing)
        for way, (workflow, settings) in WAYS.items():
            found[way] = segment(workflow, folder / "images", folder / way, **{**given, **settings})
    table = Table(
        "", *NAMES, "mean", "EF error", "EF bias", "no EF", title=f"{len(jobs)} images, {arguments.fold} fold"
    )
    for way, own in found.items():
        mean = np.nanmean(np.array([dice(own[name], label) for name, (label, _) in truth.items()]), axis=0)
        volumes: dict[tuple[str, str], list[float]] = {}
        for job in jobs:
            label, spacing = truth[job.id]
            key = job.item["patient"], job.item["phase"]
            volumes[key] = [volume(labels, spacing) for labels in (own[job.id], label)]
        patients = sorted({patient for patient, _ in volumes})
        fractions = [map(ejection_fraction, volumes[name, "ED"], volumes[name, "ES"]) for name in patients]
        errors = np.array([predicted - annotated for predicted, annotated in fractions])
        defined = errors[~np.isnan(errors)]
        cells = [f"{value:.4f}" for value in (*mean, mean.mean())]
        cells += [f"{np.abs(defined).mean():.2f}", f"{defined.mean():+.2f}", str(len(errors) - len(defined))]
        table.add_row(way, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
