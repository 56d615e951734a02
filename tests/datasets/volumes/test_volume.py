"""Reorientation, resampling and window of a volume, against ITK and against hand-made cases."""

import itk
import numpy as np
import pytest

from common.datasets.volumes.volume import Volume, checked_spacing, checked_window, windowed


def volume(affine: np.ndarray, shape: tuple[int, int, int] = (6, 5, 4)) -> Volume:
    values = np.random.default_rng(0).integers(-500, 500, shape).astype(np.int16)
    return Volume(values, (values % 3).astype(np.uint8), affine)


def world_values(one: Volume) -> dict[tuple[float, float, float], tuple[int, int]]:
    """Image and annotation at each place in the patient."""
    places = np.array([[*index, 1] for index in np.ndindex(*one.image.shape)]) @ one.affine.T
    pairs = zip(one.image.ravel().tolist(), one.label.ravel().tolist(), strict=True)
    return dict(zip(map(tuple, places[:, :3].round(6).tolist()), pairs, strict=True))


@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, -1, -1), (1, 1, 1)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_reorientation_leaves_every_voxel_where_it_lies_in_the_patient(axes, signs):
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, column] = sign * (1.0 + axis)
    affine[:, 3] = [10, -20, 30, 1]
    before = volume(affine)
    after = before.reoriented()
    assert world_values(after) == world_values(before)
    assert (np.diag(after.affine)[:3] == [1, 2, 3]).all()


def test_a_prone_and_a_supine_scan_of_one_patient_agree_when_reoriented():
    supine = volume(np.diag([-1.0, -1.0, 1.0, 1.0]))
    turned = supine.affine @ np.array([[-1, 0, 0, 5], [0, -1, 0, 4], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    prone = Volume(supine.image[::-1, ::-1], supine.label[::-1, ::-1], turned)
    np.testing.assert_array_equal(prone.reoriented().image, supine.reoriented().image)
    np.testing.assert_allclose(prone.reoriented().affine, supine.reoriented().affine)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (0.7, 1.9, 4.0)])
def test_resampling_agrees_with_itk(spacing):
    before = volume(np.diag([1.0, 1.0, 3.0, 1.0]), (12, 10, 8))
    after = before.resampled(spacing)
    for values, own, interpolator in (
        (before.image, after.image, itk.LinearInterpolateImageFunction),
        (before.label, after.label, itk.NearestNeighborInterpolateImageFunction),
    ):
        image = itk.image_from_array(np.ascontiguousarray(values.T).astype(np.float32))
        image.SetSpacing([1.0, 1.0, 3.0])
        expected = itk.resample_image_filter(
            image,
            interpolator=interpolator.New(image),
            size=list(after.image.shape),
            output_spacing=list(spacing),
            output_origin=after.affine[:3, 3].tolist(),
        )
        expected = itk.array_from_image(expected).T
        inside = tuple(slice(1, -1) for _ in range(3))  # beyond the outermost centres ITK writes 0
        difference = np.abs(expected - own)[inside]
        assert difference.size
        if values is before.image:
            assert difference.max() <= 1.0, "truncated to integers"
        else:
            assert (difference != 0).mean() < 0.02, "ties of distance"


def test_resampling_keeps_the_faces_and_the_volume_of_a_box():
    label = np.zeros((10, 10, 10), np.uint8)
    label[2:8, 2:8, 2:8] = 1
    after = Volume(label.astype(np.int16), label, np.eye(4)).resampled((2.0, 2.0, 2.0))
    assert after.label.shape == (5, 5, 5)
    assert after.label.sum() * 8 == label.sum()
    np.testing.assert_allclose(after.affine[:3, 3], 0.5)


def test_a_window_clips_and_rounds():
    assert windowed(np.array([-1000, 3000], np.int32), (-200, 200)).tolist() == [-200, 200]
    assert windowed(np.array([1.6]), (-200, 200)).dtype == np.int16


@pytest.mark.parametrize(("values", "message"), [([0.5], "not integers"), ([70000], "beyond 16 bits")])
def test_values_that_do_not_fit_need_a_window(values, message):
    with pytest.raises(ValueError, match=message):
        windowed(np.array(values), None)


@pytest.mark.parametrize("given", ["wide", [0, 1], [5, -5], [0.5, 100], [0, 1e9], [0, 50, 100], [0, float("inf")]])
def test_a_wrong_window_is_refused(given):
    with pytest.raises(ValueError, match="two integers at least 16 apart"):
        checked_window(given)


@pytest.mark.parametrize("given", [0, -1, "fine", [1, 2], [1, 2, float("nan")], [1, 2, 1000]])
def test_a_wrong_spacing_is_refused(given):
    with pytest.raises(ValueError, match="expected mm along x, y and z"):
        checked_spacing(given)


def test_image_and_annotation_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\) and annotation \(2, 2, 3\)"):
        Volume(np.zeros((2, 2, 2)), np.zeros((2, 2, 3), np.uint8), np.eye(4))
