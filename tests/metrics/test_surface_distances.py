"""Distances of outlines: MONAI's numbers where everything is annotated, and only the annotated part elsewhere."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from torch.nn.functional import one_hot

from common.label_sets import LabelSets
from common.metrics import SurfaceDistances

NAMES = ["background", "lv", "la"]
SETS = {"full": {0: "background", 1: "lv", 2: "la", 255: "ignore"}, "lv": {0: "background", 1: "lv"}}
LABELS = LabelSets(NAMES, SETS)
SPACING = (0.7, 0.4)


def discs(shift: int = 0, radius: int = 9) -> torch.Tensor:
    rows, columns = np.mgrid[:40, :40]
    labels = (np.hypot(rows - 14 - shift, columns - 15) < radius).astype(np.int64)
    labels[np.hypot(rows - 31, columns - 25 + shift) < 6] = 2
    return torch.from_numpy(labels)[None]


def distances(prediction: torch.Tensor, label: torch.Tensor, dataset: str = "full", spacing=SPACING) -> dict:
    target = LABELS.encode(label, dataset)[None]
    found = SurfaceDistances([None, spacing])(prediction, target, 3, torch.tensor([1]))
    return {name: values[0].tolist() for name, values in found.items()}


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_fully_annotated_images_have_the_distances_of_monai(shift: int):
    predicted, label = discs(shift, 8), discs()
    both = [one_hot(one, 3).movedim(-1, 1) for one in (predicted, label)]
    found = distances(predicted, label)
    expected = compute_hausdorff_distance(*both, percentile=95, spacing=SPACING)[0].tolist()
    assert found["hd95_mm"][1:] == pytest.approx(expected, abs=1e-5)
    expected = compute_average_surface_distance(*both, symmetric=True, spacing=SPACING)[0].tolist()
    assert found["asd_mm"][1:] == pytest.approx(expected, abs=1e-5)
    assert math.isnan(found["asd_mm"][0]), "background has no outline"


def test_a_square_shifted_by_two_rows_is_two_rows_away():
    label = torch.zeros(1, 40, 40, dtype=torch.int64)
    label[:, 10:20, 10:30] = 1
    found = distances(label.roll(2, 1), label)
    assert found["hd95_mm"][1] == pytest.approx(2 * SPACING[0])


@pytest.mark.parametrize("side", ["prediction", "annotation", "spacing", "NaN", "label set"])
def test_without_one_of_both_sides_or_without_spacing_there_is_no_distance(side: str):
    label, empty = discs(), torch.zeros(1, 40, 40, dtype=torch.int64)
    found = distances(
        empty if side == "prediction" else label,
        empty if side == "annotation" else label.clamp(max=1) if side == "label set" else label,
        "lv" if side == "label set" else "full",
        {"spacing": None, "NaN": (math.nan, math.nan)}.get(side, SPACING),
    )
    assert math.isnan(found["hd95_mm"][2])
    assert math.isnan(found["asd_mm"][2])
    assert math.isnan(found["asd_mm"][1]) == (side != "label set")


def test_outlines_are_compared_only_where_the_annotation_decides():
    """What is predicted in an ignored region costs nothing, and its border is no outline."""
    label, predicted = discs(), discs()
    predicted[:, 14:, :18] = 1  # wrong, but below
    label[:, 14:] = 255
    found = distances(predicted, label)
    assert found["hd95_mm"][1] == found["asd_mm"][1] == 0
    predicted[:, 2:4, 2:4] = 1  # wrong, and annotated
    assert distances(predicted, label)["asd_mm"][1] > 0


def balls(shift: int = 0, radius: int = 5) -> torch.Tensor:
    x, y, z = np.mgrid[:24, :20, :14]
    labels = ((x - 9 - shift) ** 2 + (y - 9) ** 2 + (1.5 * (z - 6)) ** 2 < radius**2).astype(np.int64)
    labels[(x - 19) ** 2 + (y - 14 + shift) ** 2 + (z - 10) ** 2 < 9] = 2
    return torch.from_numpy(labels)[None]


@pytest.mark.parametrize("shift", [0, 2])
def test_volumes_have_the_distances_of_monai(shift: int):
    spacing = (0.8, 1.3, 2.5)
    predicted, label = balls(shift, 4), balls()
    both = [one_hot(one, 3).movedim(-1, 1) for one in (predicted, label)]
    found = distances(predicted, label, spacing=spacing)
    expected = compute_hausdorff_distance(*both, percentile=95, spacing=spacing)[0].tolist()
    assert found["hd95_mm"][1:] == pytest.approx(expected, abs=1e-5)
    expected = compute_average_surface_distance(*both, symmetric=True, spacing=spacing)[0].tolist()
    assert found["asd_mm"][1:] == pytest.approx(expected, abs=1e-5)


def test_a_box_at_the_border_of_a_volume_has_an_outline_there():
    label = torch.zeros(1, 6, 6, 6, dtype=torch.int64)
    label[:, :3] = 1
    moved = torch.zeros_like(label)
    moved[:, :4] = 1
    assert distances(moved, label, spacing=(2.0, 1.0, 1.0))["hd95_mm"][1] == pytest.approx(2.0)
