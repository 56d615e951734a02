"""MetaImage, NRRD and DICOM series: the same values in the same places as ITK reads."""

from pathlib import Path

import itk
import numpy as np
import pytest
from ct_series import write_series
from own_volumes import ct

from common.datasets.files.images import with_pixel_files
from common.datasets.files.volume.volume_file import read_voxels
from common.datasets.files.volume.voxels import Voxels

ANGLE = np.deg2rad(15)
TURNED = np.array([[0, -np.cos(ANGLE), -np.sin(ANGLE)], [0, -np.sin(ANGLE), np.cos(ANGLE)], [-1, 0, 0]])
HU = np.random.default_rng(3).integers(-1000, 2000, (5, 6, 4)).astype(np.int16)


def write(path: Path, values: np.ndarray, compressed: bool = False) -> "itk.Image":
    """Write (i, j, k) values through ITK, oblique, with axes exchanged."""
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    image.SetSpacing([0.5, 1.5, 3.0])
    image.SetOrigin([10.0, -20.0, 30.0])
    image.SetDirection(itk.matrix_from_array(TURNED))
    itk.imwrite(image, str(path), compression=compressed)
    return image


def assert_places_agree(voxels: Voxels, image: "itk.Image") -> None:
    assert voxels.affine is not None
    for index in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (3, 2, 1)):
        right, anterior, superior = (voxels.affine @ [*index, 1])[:3]
        place = image.TransformIndexToPhysicalPoint(list(index))
        np.testing.assert_allclose([-right, -anterior, superior], list(place), atol=1e-4)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_formats_agree_with_itk(tmp_path: Path, suffix: str, dtype: type, compressed: bool):
    values = ct().clip(0, 200).astype(dtype)
    image = write(tmp_path / f"scan{suffix}", values, compressed)
    voxels = read_voxels(tmp_path / f"scan{suffix}")
    np.testing.assert_array_equal(voxels.values, values)
    assert voxels.lengths == pytest.approx((0.5, 1.5, 3.0))
    assert_places_agree(voxels, image)


def without(path: Path, *keys: str) -> Path:
    raw = path.read_bytes()
    lines = [line for line in raw.split(b"\n") if not line.startswith(tuple(key.encode() for key in keys))]
    path.write_bytes(b"\n".join(lines))
    return path


def changed(path: Path, old: bytes, new: bytes) -> Path:
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))
    return path


def test_a_header_without_directions_leaves_the_orientation_unknown(tmp_path: Path):
    write(tmp_path / "scan.mha", np.ones((6, 5, 4), np.uint8))
    assert read_voxels(without(tmp_path / "scan.mha", "TransformMatrix")).affine is None
    write(tmp_path / "scan.nrrd", np.ones((6, 5, 4), np.uint8))
    path = without(tmp_path / "scan.nrrd", "space:", "space directions", "space origin", "kinds")
    with pytest.raises(ValueError, match="it states no spacing"):
        read_voxels(path)
    changed(path, b"encoding", b"spacings: 0.5 1.5 3\nencoding")
    voxels = read_voxels(path)
    assert voxels.affine is None
    assert voxels.lengths == pytest.approx((0.5, 1.5, 3.0))


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        (".nrrd", b"NRRD000", b"GRRR000", "its first line is not that of a NRRD file"),
        (".nrrd", b"sizes: 6 5 4", b"sizes: 60000 60000 4", "size 60000 x 60000 x 4"),
        (".nrrd", b"sizes: 6 5 4", b"sizes: 6 5", "size 6 x 5"),
        (".nrrd", b"encoding: raw", b"encoding: hex", "encoding 'hex' is not read"),
        (".nrrd", b"encoding: raw", b"data file: x.raw\nencoding: raw", "its voxels are in another file"),
        (".nrrd", b"type: short", b"type: block", "type 'block' is not single numbers"),
        (".mha", b"DimSize = 6 5 4", b"DimSize = 60000 60000 4", "size 60000 x 60000 x 4"),
        (".mha", b"DimSize = 6 5 4", b"DimSize = 6 20", "size 6 x 20"),
        (".mha", b"TransformMatrix = ", b"TransformMatrix = 1 ", "has 10 numbers, expected 9"),
        (".mha", b"ElementSpacing = 0.5", b"ElementSpacing = 0.0", r"its voxels are \[0"),
    ],
)
def test_a_broken_header_is_refused_with_the_reason(tmp_path: Path, suffix: str, old: bytes, new: bytes, message: str):
    path = tmp_path / f"scan{suffix}"
    write(path, ct())
    with pytest.raises(ValueError, match=rf"scan\{suffix} cannot be read as \w+: .*{message}"):
        read_voxels(changed(path, old, new))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, compressed: bool):
    path = tmp_path / f"scan{suffix}"
    write(path, np.random.default_rng(0).integers(0, 255, (30, 30, 30)).astype(np.uint8), compressed)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="truncated, damaged or not"):
        read_voxels(path)


@pytest.mark.parametrize(
    "orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)]
)
def test_a_dicom_series_agrees_with_itk(tmp_path: Path, orientation: tuple[float, ...]):
    folder = write_series(tmp_path / "ct", HU, orientation)
    (folder / "README.txt").write_text("not a slice")
    voxels = read_voxels(folder)
    names = itk.GDCMSeriesFileNames.New(Directory=str(folder))
    image = itk.imread(list(names.GetInputFileNames()), itk.SS)
    assert sorted(voxels.lengths) == pytest.approx([0.7, 0.8, 2.5])
    for index in np.ndindex(4, 6, 5):  # column, row, slice of ITK
        place = [*image.TransformIndexToPhysicalPoint([int(one) for one in index]), 1]
        i, j, k = np.linalg.solve(voxels.affine, np.array([-1, -1, 1, 1]) * place)[:3].round().astype(int)
        assert voxels.values[i, j, k] == image.GetPixel([int(one) for one in index])
    assert voxels.values.min() >= -1000
    assert voxels.values.dtype.kind == "i"
    assert len(with_pixel_files(folder)) == 6


@pytest.mark.parametrize("missing", [(2,), (0, 1, 2, 3, 4)])
def test_an_incomplete_series_is_refused_without_quoting_its_header(tmp_path: Path, missing: tuple[int, ...]):
    folder = write_series(tmp_path / "ct", HU, leave_out=missing)
    message = "do not make one volume" if len(missing) == 1 else "has 0 DICOM series"
    with pytest.raises(ValueError, match=message) as caught:
        read_voxels(folder)
    assert "Doe" not in str(caught.value)


def test_two_series_in_one_folder_are_refused(tmp_path: Path):
    folder = write_series(tmp_path / "ct", HU)
    for number, path in enumerate(write_series(tmp_path / "other", HU, series="1.2.3.4").iterdir()):
        path.rename(folder / f"b{number}.dcm")
    with pytest.raises(ValueError, match="has 2 DICOM series of CT, MR or PET slices, expected one"):
        read_voxels(folder)


def test_a_damaged_slice_is_named(tmp_path: Path):
    folder = write_series(tmp_path / "ct", HU)
    path = folder / "007.dcm"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"007\.dcm cannot be read as DICOM|do not make one volume|has 0"):
        read_voxels(folder)
