"""Image files as other libraries write them, and damaged or hostile ones."""

import gzip
import struct
import zlib
from pathlib import Path

import itk
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import MEBIBYTE, peak_of_refusing, scan

from common.datasets.files.images import MAX_PIXELS, read_annotation, read_grey

SPACING = (0.154, 0.308)  # mm, (row, column)


def write(path: Path, pixels: np.ndarray, spacing: tuple[float, ...] = SPACING, compressed: bool = False) -> Path:
    """Write with ITK; the spacing is in the order of the array's axes."""
    image = itk.image_view_from_array(np.ascontiguousarray(pixels))
    image.SetSpacing(spacing[::-1])  # ITK: (x, y)
    itk.imwrite(image, str(path), compression=compressed)
    return path


def nifti(pixels: np.ndarray, **fields: tuple[int, str, tuple]) -> bytes:
    """Build a NIfTI file by the standard; a field is its place, format and value."""
    code = {"uint8": 2, "int16": 4, "float32": 16}[pixels.dtype.name]
    sizes = (pixels.ndim, *pixels.shape[::-1], *[1] * (7 - pixels.ndim))
    header = bytearray(352)
    standard = {
        "sizeof_hdr": (0, "<i", (348,)),
        "dim": (40, "<8h", sizes),
        "datatype": (70, "<2h", (code, pixels.itemsize * 8)),
        "pixdim": (76, "<4f", (1, SPACING[1], SPACING[0], 1)),
        "vox_offset": (108, "<f", (352,)),
        "units": (123, "<B", (2,)),
        "magic": (344, "4s", (b"n+1\0",)),
    }
    for place, form, value in (standard | fields).values():
        struct.pack_into(form, header, place, *value)
    return bytes(header) + pixels.tobytes()


def mhd(path: Path, pixels: bytes = bytes(12), **changes: str | None) -> Path:
    """Write a header as in CAMUS of 2019, for an image of 3 rows and 4 columns."""
    fields = {
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "DimSize": "4 3 1",
        "ElementSpacing": "0.308 0.154 1.54",
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "scan.raw",
    }
    fields |= changes
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # ends the header
    path.write_text("".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None))
    path.with_name("scan.raw").write_bytes(pixels)
    return path


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mhd", "scan.mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_itk_writes_is_read_upright_with_its_spacing(
    tmp_path: Path, name: str, dtype: type[np.generic], compressed: bool
):
    path = write(tmp_path / name, scan().astype(dtype), compressed=compressed)
    for read in (read_grey, read_annotation):
        values, spacing = read(path)
        assert values.dtype == np.uint8
        np.testing.assert_array_equal(values, scan())
        assert spacing == pytest.approx(SPACING)


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mha"])
def test_a_clip_needs_a_frame_number(tmp_path: Path, name: str):
    clip = np.stack([scan(), scan() + 1, scan() + 2])
    path = write(tmp_path / name, clip, (1.54, *SPACING))
    np.testing.assert_array_equal(read_grey(path, frame=2)[0], clip[2])
    assert read_grey(path, frame=0)[1] == pytest.approx(SPACING)
    with pytest.raises(ValueError, match=rf"{name} cannot be .*: it has 3 frames; say which one.*datasets volumes'"):
        read_grey(path)
    for frame in (3, -1):
        with pytest.raises(ValueError, match=rf"it has the frames 0 to 2, not {frame}\."):
            read_grey(path, frame=frame)


def test_a_third_dimension_of_one_is_a_still(tmp_path: Path):
    path = write(tmp_path / "scan.nii.gz", scan()[None], (1.54, *SPACING))
    np.testing.assert_array_equal(read_grey(path)[0], scan())
    np.testing.assert_array_equal(read_grey(path, frame=0)[0], scan())


def test_big_endian_files_are_read(tmp_path: Path):
    pixels = scan().astype(">i2")
    content = bytearray(nifti(pixels.astype("<i2")))
    for place, form in ((0, "i"), (40, "8h"), (70, "2h"), (76, "4f"), (108, "f")):
        struct.pack_into(">" + form, content, place, *struct.unpack_from("<" + form, content, place))
    (tmp_path / "scan.nii").write_bytes(bytes(content[:352]) + pixels.tobytes())
    assert (itk.array_from_image(itk.imread(str(tmp_path / "scan.nii"))) == scan()).all()
    np.testing.assert_array_equal(read_grey(tmp_path / "scan.nii")[0], scan())
    assert read_grey(tmp_path / "scan.nii")[1] == pytest.approx(SPACING)
    path = mhd(tmp_path / "scan.mhd", scan(3, 4).astype(">i2").tobytes(), ElementType="MET_SHORT")
    path.write_text(path.read_text().replace("MSB = False", "MSB = True"))
    np.testing.assert_array_equal(read_grey(path)[0], scan(3, 4))


def test_a_nifti_file_is_scaled_as_its_header_says(tmp_path: Path):
    path = tmp_path / "scan.nii"
    for slope, intercept in ((2.0, 5.0), (1.0, 0.0), (1.0, 3.0)):
        path.write_bytes(nifti(scan() // 2, scl=(112, "<2f", (slope, intercept))))
        np.testing.assert_array_equal(read_grey(path)[0], slope * (scan() // 2) + intercept)
        np.testing.assert_array_equal(read_grey(path)[0], itk.array_from_image(itk.imread(str(path))))
    for slope in (0.0, float("nan")):  # no scaling, says nifti1.h
        path.write_bytes(nifti(scan(), scl=(112, "<2f", (slope, 7.0))))
        np.testing.assert_array_equal(read_grey(path)[0], scan())


@pytest.mark.parametrize(("code", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001)])
def test_the_spacing_of_a_nifti_file_is_in_millimetres(tmp_path: Path, code: int, factor: float):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(scan(), units=(123, "<B", (code | 8,))))  # 8: seconds, the unit of time
    assert read_grey(path)[1] == pytest.approx([factor * length for length in SPACING])


@pytest.mark.parametrize("value", [-1.0, 256.0, 1.5, float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mha"])
def test_values_other_than_8_bit_integers_are_refused(tmp_path: Path, name: str, value: float):
    pixels = scan().astype(np.float32)
    pixels[3, 4] = value
    path = write(tmp_path / name, pixels)
    message = rf"{name} cannot be read as \w+: it holds values outside the integers 0 to 255 \(.* to .*\)\. Convert"
    with pytest.raises(ValueError, match=message):
        read_grey(path)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mha"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.float32)  # hard to compress
    content = write(tmp_path / name, noise).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(
        ValueError, match=rf"{name} cannot be read as \w+: .*(truncated,? or|truncated, damaged|Is it a MetaImage\?)"
    ):
        read_grey(tmp_path / name)


def test_a_file_that_was_truncated_before_it_was_compressed_is_refused(tmp_path: Path):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(nifti(scan())[:-1]))
    with pytest.raises(ValueError, match=r"scan\.nii\.gz cannot be read as NIfTI: it is truncated, damaged"):
        read_grey(tmp_path / "scan.nii.gz")


def test_a_compressed_file_with_a_wrong_checksum_is_refused(tmp_path: Path):
    content = bytearray(gzip.compress(nifti(scan())))
    content[-5] ^= 1
    (tmp_path / "scan.nii.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"scan\.nii\.gz cannot be read as NIfTI: .* \(BadGzipFile\)"):
        read_grey(tmp_path / "scan.nii.gz")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ((0, "<i", (540,)), "Expected a single file of NIfTI-1"),
        ((344, "4s", (b"ni1\0",)), "Expected a single file of NIfTI-1"),
        ((40, "<h", (0,)), "0 dimensions"),
        ((40, "<h", (1,)), "1 dimensions"),
        ((40, "<h", (-2,)), "-2 dimensions"),
        ((40, "<h", (8,)), "8 dimensions"),
        ((42, "<h", (0,)), "size 0 x 48"),
        ((42, "<h", (-64,)), "size -64 x 48"),
        ((42, "<2h", (-64, -48)), "size -64 x -48"),
        ((40, "<4h", (3, 64, 48, 0)), "size 64 x 48 x 0"),
        ((40, "<4h", (3, 32767, 32767, 10)), rf"allowed are 1 to {MAX_PIXELS} pixels"),
        ((40, "<8h", (7, *[32767] * 7)), rf"allowed are 1 to {MAX_PIXELS} pixels"),
        ((70, "<h", (128,)), "data type 128"),  # RGB
        ((70, "<h", (32,)), "data type 32"),  # complex
        ((80, "<f", (0.0,)), r"spacing \(.*, 0\.0\) mm is not positive"),
        ((84, "<f", (-1.0,)), r"spacing \(-1\.0, .*\) mm is not positive"),
        ((84, "<f", (float("nan"),)), r"spacing \(nan, .*\) mm is not positive"),
        ((108, "<f", (4.0,)), r"begin at byte 4\.0"),
        ((108, "<f", (1e12,)), r"begin at byte 9999"),
        ((108, "<f", (float("nan"),)), "begin at byte nan"),
        ((123, "<B", (5,)), "unit 5"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_an_impossible_nifti_header_is_refused(tmp_path: Path, suffix: str, field: tuple, message: str):
    path, content = tmp_path / f"scan{suffix}", nifti(scan(), wrong=field)
    path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    with pytest.raises(ValueError, match=rf"scan\{suffix} cannot be read as NIfTI: .*{message}"):
        read_grey(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(place=st.integers(0, 351), byte=st.integers(0, 255))
def test_a_damaged_nifti_header_is_read_or_refused(tmp_path: Path, place: int, byte: int):
    content = bytearray(nifti(scan(6, 5)))
    content[place] = byte
    (tmp_path / "scan.nii").write_bytes(content)
    message = ""
    try:
        read_grey(tmp_path / "scan.nii")
    except ValueError as error:
        message = str(error)
    assert message == "" or message.startswith(f"{tmp_path / 'scan.nii'} cannot be read as NIfTI: ")


def test_a_claim_of_ten_gigabytes_costs_no_memory(tmp_path: Path):
    (tmp_path / "scan.nii").write_bytes(nifti(scan(), wrong=(40, "<4h", (3, 32767, 32767, 10))))
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress((tmp_path / "scan.nii").read_bytes()))
    mhd(tmp_path / "scan.mhd", DimSize="100000 100000 1")
    for name in ("scan.nii", "scan.nii.gz", "scan.mhd"):
        assert peak_of_refusing(tmp_path / name) < MEBIBYTE


def test_a_bomb_is_read_no_further_than_its_header_promises(tmp_path: Path):
    zeros = bytes(64 * MEBIBYTE)
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(nifti(scan(), wrong=(84, "<f", (-1.0,))) + zeros, 1))
    fields = {"CompressedData": "True", "DimSize": "200 200 1", "ElementSpacing": "0 0 0"}
    mhd(tmp_path / "scan.mhd", zlib.compress(zeros, 1), **fields)
    del zeros
    for name in ("scan.nii.gz", "scan.mhd"):
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * MEBIBYTE
        assert peak_of_refusing(tmp_path / name) < MEBIBYTE


def test_an_endless_metaimage_header_is_not_read_to_its_end(tmp_path: Path):
    (tmp_path / "scan.mhd").write_bytes(b"Comment = x\n" * MEBIBYTE)
    assert peak_of_refusing(tmp_path / "scan.mhd") < 4 * MEBIBYTE
    (tmp_path / "scan.mha").write_bytes(bytes(16 * MEBIBYTE))
    assert peak_of_refusing(tmp_path / "scan.mha") < MEBIBYTE


def test_the_metaimage_of_camus_is_read(tmp_path: Path):
    values, spacing = read_grey(mhd(tmp_path / "scan.mhd", scan(3, 4).tobytes()))
    np.testing.assert_array_equal(values, scan(3, 4))
    assert spacing == (0.154, 0.308)


@pytest.mark.parametrize(("size", "skipped"), [("5", 5), ("-1", 9)])
def test_a_header_in_the_raw_file_is_skipped(tmp_path: Path, size: str, skipped: int):
    path = mhd(tmp_path / "scan.mhd", bytes(skipped) + scan(3, 4).tobytes(), HeaderSize=size)
    np.testing.assert_array_equal(read_grey(path)[0], scan(3, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DimSize": "4 4 1"}, "truncated, damaged or not MetaImage"),
        ({"DimSize": "0 3 1"}, "size 0 x 3 x 1"),
        ({"DimSize": "-4 -3 1"}, "size -4 x -3 x 1"),
        ({"DimSize": "4"}, "size 4;"),
        ({"DimSize": "four 3 1"}, "damaged or not MetaImage"),
        ({"DimSize": None}, r"its header lacks \['DimSize'\]"),
        ({"ElementSpacing": "0 0.154 1"}, r"spacing \(0\.154, 0\.0\) mm is not positive"),
        ({"ElementSpacing": "nan 0.154 1"}, r"spacing \(0\.154, nan\) mm is not positive"),
        ({"ElementSpacing": None}, r"its header lacks \['ElementSpacing'\]"),
        ({"ElementType": "MET_UCHAR_ARRAY"}, "ElementType is MET_UCHAR_ARRAY"),
        ({"BinaryData": "False"}, "text and several channels are not read"),
        ({"ElementNumberOfChannels": "3"}, "text and several channels are not read"),
        ({"CompressedData": "True"}, "truncated, damaged or not MetaImage"),
        ({"ElementDataFile": "other.raw"}, r"its pixels other\.raw are missing"),
        ({"ElementDataFile": "LIST"}, "its pixels LIST are missing"),
        ({"ElementDataFile": "scan%02d.raw 1 2 1"}, "are missing"),
        ({"ElementDataFile": ""}, "ElementDataFile is ''"),
        ({"ElementDataFile": "."}, r"ElementDataFile is '\.'"),
        ({"ElementDataFile": ".."}, r"ElementDataFile is '\.\.'"),
        ({"ElementDataFile": "scan.mhd"}, r"ElementDataFile is 'scan\.mhd'"),
        (
            {"ElementDataFile": "../secret.raw"},
            r"ElementDataFile is '\.\./secret\.raw'; expected a file in the same",
        ),
        ({"ElementDataFile": "/etc/passwd"}, "ElementDataFile is '/etc/passwd'"),
        ({"ElementDataFile": "link.raw"}, r"ElementDataFile is 'link\.raw'"),
        ({"ElementDataFile": None}, "no ElementDataFile"),
    ],
)
def test_an_impossible_metaimage_header_is_refused(tmp_path: Path, change: dict[str, str | None], message: str):
    (tmp_path / "secret.raw").write_bytes(bytes(100))
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    with pytest.raises(ValueError, match=rf"scan\.mhd cannot be read as MetaImage: .*{message}"):
        read_grey(mhd(folder / "scan.mhd", **change))


@pytest.mark.parametrize("name", ["scan.nii", "scan.mhd", "scan.png", "scan.dcm"])
def test_a_missing_file_is_missing(tmp_path: Path, name: str):
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing or not a file"):
        read_grey(tmp_path / name)


@pytest.mark.slow
def test_the_real_files_of_camus_are_read_as_itk_reads_them(echo_data: Path):
    niftis, metas = sorted(echo_data.glob("camus/**/*.nii.gz"))[::100], sorted(echo_data.glob("camus_2019/**/*.mhd"))
    assert niftis
    for path in niftis + metas:
        image = itk.imread(str(path))
        values, spacing = read_grey(path)
        np.testing.assert_array_equal(values, itk.array_from_image(image).squeeze())
        assert spacing == pytest.approx(tuple(image.GetSpacing())[1::-1])


def test_a_nifti_file_that_states_two_spacings_is_refused(tmp_path: Path):
    pixels = scan().astype(np.uint8)
    rows = [(280, "<4f", (-SPACING[1], 0, 0, 0)), (296, "<4f", (0, -SPACING[0], 0, 0)), (312, "<4f", (0, 0, 1, 0))]
    sform = {f"row {number}": row for number, row in enumerate(rows)} | {"sform_code": (254, "<h", (1,))}
    (tmp_path / "one.nii").write_bytes(nifti(pixels, **sform))
    assert read_grey(tmp_path / "one.nii")[1] == pytest.approx(SPACING)
    (tmp_path / "two.nii").write_bytes(nifti(pixels, **sform, pixdim=(76, "<4f", (1, 1, 1, 1))))
    with pytest.raises(ValueError, match=r"its header states 1 x 1 mm in one place and 0\.154 x 0\.308 mm in another"):
        read_grey(tmp_path / "two.nii")
