"""Write drawn volumes, and measure them with a network that reads the class from the HU value."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.engines import SupervisedEvaluator
from torch import nn
from torch.utils.data import DataLoader

from common.datasets.files.volume.volume_files import volume_files
from common.engines import FramesInferer, inferer_for
from common.inference import Plan, one_scan
from common.inference.algorithm import Algorithm
from common.inference.volumes import VolumeResults, Volumes, VolumeScans

CLASSES = ["background", "left_kidney", "spleen"]
HU = np.array([-100, 100, 250], np.int16)  # of each class
NORMALISATION = {"window": [-200, 300], "mean": 20.0, "sd": 80.0}
TURN = np.deg2rad(20)
OBLIQUE = np.array([[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]])


def affine(axes: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return a matrix from voxel indices to mm (right, anterior, superior), with an origin off the middle."""
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = [-31.0, 17.5, 42.25]
    return matrix


def drawn(shape: tuple[int, int, int] = (14, 12, 10)) -> np.ndarray:
    """Labels (i, j, k) of two blocks, neither symmetric nor at an edge."""
    labels = np.zeros(shape, np.uint8)
    labels[2:7, 3:5, 2:8], labels[9:12, 6:10, 4:6] = 1, 2
    return labels


def save(path: Path, labels: np.ndarray, matrix: np.ndarray, **header: Any) -> Path:
    """Write HU values as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(HU[labels], matrix)
    for name, value in header.items():
        image.header[name] = value
    image.to_filename(path)
    return path


class Reader(nn.Module):
    """Logits that are highest for the class whose HU value is nearest."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        levels = torch.tensor((HU - NORMALISATION["mean"]) / NORMALISATION["sd"]).float().view(1, -1, 1, 1, 1)
        return -20 * (image - levels) ** 2


def run(source: Path, out: Path, spacing: list[float] | None = None, **options: Any) -> VolumeResults:
    """Measure volumes with windows of 8 voxels."""
    network = options.pop("network", Reader())
    orientation = options.pop("orientation", None)
    normalisation = options.pop("normalisation", NORMALISATION)
    plan = Plan(source, out, options.pop("made_by", {"weights": "a"}), volume_files)
    results = VolumeResults(plan, CLASSES, "softmax", Volumes(CLASSES), Algorithm("drawn", "7"), **options)
    scans = VolumeScans(plan.unfinished, normalisation, spacing, orientation)
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(scans, batch_size=1, collate_fn=one_scan),
        network=network,
        inferer=FramesInferer(inferer_for("softmax", patch_size=(8, 8, 8)), 1),
        decollate=False,
        val_handlers=[results],
    )
    results.run(evaluator)
    return results
