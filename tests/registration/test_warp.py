"""Labels keep their values, and folds are found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.registration.warp import carry_image, carry_label, jacobian

LABELS = arrays(np.uint8, (5, 7), elements=st.integers(0, 255))


@given(LABELS, arrays(np.float64, (2, 4, 6), elements=st.floats(-3, 9)))
def test_a_carried_annotation_holds_no_value_that_was_not_there(label: np.ndarray, coordinates: np.ndarray):
    carried = carry_label(label, coordinates)
    assert carried.shape == (4, 6)
    assert carried.dtype == label.dtype
    assert set(np.unique(carried)) <= {*np.unique(label), 0}


@given(LABELS)
def test_where_nothing_moves_nothing_changes(label: np.ndarray):
    still = np.indices(label.shape).astype(float)
    np.testing.assert_array_equal(carry_label(label, still), label)
    np.testing.assert_array_equal(carry_image(label, still), label)
    assert (jacobian(still) == 1).all()


def test_the_map_holds_the_origin_of_each_target_pixel():
    label = np.arange(12).reshape(3, 4)
    shifted = np.indices((3, 4)) + np.array([1, 2]).reshape(2, 1, 1)
    np.testing.assert_array_equal(carry_label(label, shifted.astype(float))[:2, :2], label[1:, 2:])


def test_outside_the_source_is_background():
    assert (carry_label(np.full((4, 4), 3), np.full((2, 2, 2), -5.0)) == 0).all()
    assert (carry_image(np.full((4, 4), 3), np.full((2, 2, 2), 50.0)) == 0).all()


@pytest.mark.parametrize(
    ("matrix", "area"),
    [([[2, 0], [0, 3]], 6), ([[0, 1], [1, 0]], -1), ([[0.6, -0.8], [0.8, 0.6]], 1), ([[1, 1], [1, 1]], 0)],
)
def test_the_jacobian_of_a_linear_map_is_its_determinant(matrix: list[list[float]], area: float):
    coordinates = np.einsum("ij,jrc->irc", np.array(matrix, float), np.indices((5, 6)))
    np.testing.assert_allclose(jacobian(coordinates), area, atol=1e-9)
