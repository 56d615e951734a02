"""Logits on the grid of a network become labels on the grid of a volume, and small pieces vanish."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from common.datasets.volumes.volume import Volume
from common.inference.volumes.label_maps import keep_large, label_map, removal_flags
from common.inference.volumes.overlay import largest_sections

NATIVE = np.array([[0.0, -0.9, 0, 5], [0.8, 0, 0, -7], [0, 0, 2.5, 11], [0, 0, 0, 1]])  # axes exchanged


def by_scipy(logits: np.ndarray, seen: np.ndarray, native: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    places = np.stack([*np.indices(shape), np.ones(shape)]).reshape(4, -1)
    there = (np.linalg.inv(seen) @ native @ places)[:3]
    own = [ndimage.map_coordinates(one, there, order=1, mode="nearest") for one in logits]
    return np.argmax(own, axis=0).reshape(shape)


@pytest.mark.parametrize("spacing", [(2.0, 1.7, 2.5), (0.5, 0.9, 4.0), (0.9, 0.8, 2.5)], ids=["coarse", "mixed", "own"])
def test_logits_are_interpolated_linearly_where_the_voxels_lie(spacing: tuple[float, float, float]):
    shape = (24, 19, 13)
    nothing = np.zeros(shape, np.uint8)
    grid = Volume(nothing, nothing, NATIVE).resampled(spacing)
    logits = np.random.default_rng(0).normal(size=(4, *grid.image.shape)).astype(np.float32)
    logits[0] += 2.0  # mostly background
    logits[0, :3] = logits[0, :, :, -2:] = 9.0  # and nothing else at two sides
    found = label_map(torch.from_numpy(logits), grid.affine, NATIVE, shape)
    assert found.shape == shape
    assert set(np.unique(found)) == {0, 1, 2, 3}
    differing = found != by_scipy(logits, grid.affine, NATIVE, shape)
    assert differing.mean() < 1e-3, "where two classes are equally likely"


def test_an_empty_segmentation_stays_empty():
    logits = torch.zeros(3, 4, 4, 4)
    logits[0] = 1.0
    assert not label_map(logits, np.eye(4), np.diag([0.5, 0.5, 0.5, 1]), (8, 8, 8)).any()


def test_the_largest_piece_of_each_class_survives_and_diagonal_voxels_are_one_piece():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 2] = 1  # one piece of three
    labels[7, 7, 7:9] = 1
    labels[5, 0, 0] = 2
    kept = keep_large(labels, 3, 0.7)
    assert (kept == 1).sum() == 3
    assert (kept == 2).sum() == 1
    np.testing.assert_array_equal(keep_large(labels, 3, 0.6), labels)
    np.testing.assert_array_equal(keep_large(labels, 3, 0.0), labels)
    assert removal_flags(labels, kept, ["background", "kidney", "liver"]) == [
        "kidney: pieces were removed that make up 40 % of it"
    ]


def test_sections_are_those_with_most_voxels():
    mask = np.zeros((6, 7, 8), bool)
    mask[2, 1:6, 1:7] = mask[:, 4, 3] = True
    areas = [[np.take(mask, place, axis).sum() for place in range(mask.shape[axis])] for axis in range(3)]
    assert largest_sections(mask) == [int(np.argmax(own)) for own in areas]
