"""DICOM files that pydicom writes, and those it comes with, as grey values."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import at_most, bundled, region, scan, write
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from common.datasets.files.dicom_frames import MAX_SAMPLES
from common.datasets.files.dicom_grey import read_dicom
from common.datasets.files.images import read_annotation, read_grey
from common.datasets.files.scan_reader import read_scan

SMALL, LARGE = (
    {f"RegionLocation{edge}": place for edge, place in zip(("MinX0", "MinY0", "MaxX1", "MaxY1"), places, strict=True)}
    for places in ((0, 0, 9, 9), (10, 2, 29, 19))
)


@pytest.mark.parametrize("name", ["scan.dcm", "scan", "IM_0001.1.2.840"])
def test_eight_bit_grey_values_are_read_as_they_are(tmp_path: Path, name: str):
    path = write(tmp_path / name, scan())
    for read in (read_grey, read_annotation):
        values, spacing = read(path)
        assert values.dtype == np.uint8
        np.testing.assert_array_equal(values, scan())
        assert spacing is None


def test_monochrome1_is_inverted_but_for_annotations(tmp_path: Path):
    path = write(tmp_path / "scan.dcm", scan(), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_grey(path)[0], 255 - scan())
    np.testing.assert_array_equal(read_annotation(path)[0], scan())


def test_a_window_runs_from_black_to_white(tmp_path: Path):
    pixels = scan().astype(np.uint16) * 20
    fields = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 1001, "WindowWidth": 1001, "RescaleIntercept": -500}
    path = write(tmp_path / "scan.dcm", pixels, **fields, RescaleSlope=1)
    # PS3.3 C.11.2.1.2.1: linear from centre - 0.5 - (width - 1) / 2 over width - 1
    expected = np.clip((pixels - 500.0 - 500.5) / 1000, 0, 1) * 255
    np.testing.assert_allclose(read_grey(path)[0], expected, atol=0.51)


def test_without_a_window_the_stored_range_runs_from_black_to_white(tmp_path: Path):
    pixels = scan().astype(np.uint16) * 20
    path = write(tmp_path / "scan.dcm", pixels, BitsStored=12, HighBit=11)
    np.testing.assert_allclose(read_grey(path)[0], pixels / 4095 * 255, atol=0.51)
    signed = pixels.astype(np.int16) - 2048
    path = write(tmp_path / "scan.dcm", signed, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_allclose(read_grey(path)[0], pixels / 4095 * 255, atol=0.51)


def test_colours_become_grey(tmp_path: Path):
    path = write(tmp_path / "scan.dcm", scan(3))
    np.testing.assert_array_equal(read_grey(path)[0], scan())
    ycbcr = np.asarray(Image.fromarray(scan(3)).convert("YCbCr"))
    path = write(tmp_path / "scan.dcm", ycbcr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(read_grey(path)[0], scan(), atol=1)
    with pytest.raises(ValueError, match=r"scan\.dcm cannot be read as DICOM: an annotation has one channel"):
        read_annotation(path)


def test_one_frame_of_a_clip_is_read(tmp_path: Path):
    clip = np.stack([scan(), scan() + 1, scan() + 2])
    path = write(tmp_path / "clip.dcm", scan(), NumberOfFrames=3, PixelData=clip.tobytes())
    np.testing.assert_array_equal(read_grey(path, frame=1)[0], clip[1])
    with pytest.raises(ValueError, match=r"clip\.dcm cannot be .*: it has 3 frames; say which one.*datasets volumes'"):
        read_grey(path)
    for frame in (3, -1):
        with pytest.raises(ValueError, match=rf"clip\.dcm .* it has the frames 0 to 2, not {frame}\."):
            read_grey(path, frame=frame)


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([region()], (0.15, 0.3)),
        ([region(RegionSpatialFormat=3), region(PhysicalDeltaX=0.02)], (0.15, 0.2)),  # first a Doppler spectrum
        ([region(PhysicalUnitsXDirection=4), region(PhysicalDeltaY=0.02)], (0.2, 0.3)),  # first one in seconds
        ([region(**SMALL, PhysicalDeltaX=0.1, PhysicalDeltaY=0.1), region(**LARGE)], (0.15, 0.3)),
        ([region(**LARGE), region(**SMALL, PhysicalDeltaX=0.1, PhysicalDeltaY=0.1)], (0.15, 0.3)),
        ([region(**LARGE, PhysicalUnitsXDirection=0), region(**SMALL)], (0.15, 0.3)),  # the largest in centimetres
        ([region(PhysicalUnitsXDirection=0)], None),
        ([Dataset()], None),
        ([], (0.7, 0.8)),
    ],
)
def test_preparation_and_use_take_the_spacing_of_the_largest_region(
    tmp_path: Path, regions: list[Dataset], expected: tuple[float, float] | None
):
    fields = {"SequenceOfUltrasoundRegions": regions, "PixelSpacing": [0.7, 0.8], "Modality": "US"}
    path = write(tmp_path / "scan.dcm", scan(), **fields)
    assert read_grey(path)[1] == read_annotation(path)[1] == read_scan(path).spacing == pytest.approx(expected)


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "examples_palette.dcm"])  # screens shrunk and cut off
def test_preparation_and_use_agree_on_real_screens(name: str):
    path = bundled(name)
    found = read_scan(path)
    assert read_dicom(path, frame=len(found.frames) - 1)[1] == found.spacing is not None


def test_a_doppler_spectrum_has_no_spacing_in_millimetres(tmp_path: Path):
    fields = {"SequenceOfUltrasoundRegions": [region(RegionSpatialFormat=3)], "PixelSpacing": [0.7, 0.8]}
    assert read_grey(write(tmp_path / "scan.dcm", scan(), **fields))[1] is None


@pytest.mark.parametrize(
    "fields", [{"PixelSpacing": [0, 1]}, {"SequenceOfUltrasoundRegions": [region(PhysicalDeltaX=0)]}]
)
def test_a_spacing_of_zero_is_refused(tmp_path: Path, fields: dict[str, Any]):
    with pytest.raises(ValueError, match=r"scan\.dcm cannot be read as DICOM: spacing \(.*\) mm is not positive"):
        read_grey(write(tmp_path / "scan.dcm", scan(), **fields))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float):
    path = write(tmp_path / "scan.dcm", scan())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ValueError, match=r"scan\.dcm cannot be read as DICOM: "):
        read_grey(path)


@pytest.mark.parametrize(
    ("fields", "frame", "message"),
    [
        ({"Rows": 65535, "Columns": 65535}, 0, rf"65535 x 65535 x 1 samples; allowed are 1 to {MAX_SAMPLES}"),
        ({"Rows": 0}, 0, "0 x 30 x 1 samples"),
        ({"Rows": None}, 0, r"it lacks \['Rows'\]"),
        ({"Rows": 21}, 0, "pixels stored as Explicit VR Little Endian are not decoded"),
        ({"NumberOfFrames": -3}, 0, "it has the frames"),
        ({"NumberOfFrames": 2000000000}, 1, "pixels stored as Explicit VR Little Endian are not decoded"),
        ({"BitsAllocated": 64}, 0, "pixels stored as Explicit VR Little Endian are not decoded"),
        ({"BitsStored": 0}, 0, "pixels stored as Explicit VR Little Endian are not decoded"),
    ],
)
def test_an_impossible_header_is_refused_without_memory(
    tmp_path: Path, fields: dict[str, Any], frame: int, message: str
):
    path = write(tmp_path / "scan.dcm", scan(), **fields)
    with at_most(4), pytest.raises(ValueError, match=rf"scan\.dcm cannot be read as DICOM: .*{message}"):
        read_grey(path, frame=frame)


def test_a_file_deflated_as_a_whole_is_refused_unread(tmp_path: Path):
    # a deflated file of zeros expands a thousandfold
    path = write(tmp_path / "scan.dcm", scan())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(32 * 1024 * 1024)
    dataset.save_as(path)
    del dataset
    assert path.stat().st_size < 64 * 1024
    with at_most(4), pytest.raises(ValueError, match=r"deflated as a whole\. Convert it to Explicit VR Little Endian"):
        read_grey(path)


def test_run_lengths_beyond_the_frame_are_not_expanded(tmp_path: Path):
    def run_lengths(encoded: bytes) -> bytes:
        return encapsulate([struct.pack("<16L", 1, 64, *[0] * 14) + encoded])

    row = b"".join(bytes([len(line) - 1]) + line.tobytes() for line in scan())  # literal runs
    path = write(tmp_path / "scan.dcm", scan(), RLELossless, PixelData=run_lengths(row))
    np.testing.assert_array_equal(read_grey(path)[0], scan())
    write(path, scan(), RLELossless, PixelData=run_lengths(b"\x81\x00" * 500_000))  # 64 MB of zeros
    with at_most(8), pytest.raises(ValueError, match=r"frame 0 takes 1000064 bytes compressed, 600 uncompressed"):
        read_grey(path)


@pytest.mark.parametrize("side", [300, 10_000, 60_000])  # Pillow itself warns above 9,459 and refuses above 13,377
def test_a_jpeg_larger_than_its_header_is_refused(tmp_path: Path, side: int):
    Image.new("L", (300, 300)).save(tmp_path / "large.jpg")
    content = bytearray((tmp_path / "large.jpg").read_bytes())
    struct.pack_into(">2H", content, content.index(b"\xff\xc0") + 5, side, side)  # of the start of frame
    path = write(tmp_path / "scan.dcm", scan(), JPEGBaseline8Bit, PixelData=encapsulate([bytes(content)]))
    with at_most(4), pytest.raises(ValueError, match=r"scan\.dcm cannot be read as DICOM: .*JPEG Baseline"):
        read_grey(path)


def test_a_compression_without_decoder_is_refused_by_name(tmp_path: Path):
    path = write(tmp_path / "scan.dcm", scan(), JPEGLSLossless, PixelData=encapsulate([bytes(100)]))
    with pytest.raises(ValueError, match=r"scan\.dcm cannot be read as DICOM: pixels stored as JPEG-LS Lossless"):
        read_grey(path)


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x" * 1000)
    with pytest.raises(ValueError, match=r"notes\.txt cannot be read as DICOM: not an image\? Other formats are"):
        read_grey(tmp_path / "notes.txt")


def test_the_ultrasound_files_of_pydicom_are_read():
    path = bundled("examples_ybr_color.dcm")
    values, spacing = read_dicom(path, frame=29)
    luma = pydicom.pixels.pixel_array(path, index=29, raw=True)[..., 0]  # the Y of YBR, PS3.3 C.7.6.3.1.2
    assert np.abs(values.astype(int) - luma).mean() < 0.05  # colours outside RGB are clipped
    area = pydicom.dcmread(path).SequenceOfUltrasoundRegions[0]
    assert spacing == (area.PhysicalDeltaY * 20, area.PhysicalDeltaX * 20)  # mm; the screen was shrunk to half its size
    rgb, _ = read_dicom(bundled("examples_rgb_color.dcm"))
    luma = pydicom.dcmread(bundled("examples_rgb_color.dcm")).pixel_array @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(rgb, luma, atol=0.6)


def test_compressed_and_plain_files_of_one_image_agree():
    plain = read_dicom(bundled("MR_small.dcm"))[0]
    for kind in ("RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit"):
        name = f"MR_small_{kind}.dcm"
        np.testing.assert_array_equal(read_dicom(bundled(name))[0], plain, err_msg=name)
    assert len(np.unique(plain)) > 50


def test_a_palette_is_looked_up():
    values, _ = read_dicom(bundled("examples_palette.dcm"))
    dataset = pydicom.dcmread(bundled("examples_palette.dcm"))
    red, green, blue = (
        np.frombuffer(dataset[f"{name}PaletteColorLookupTableData"].value, "<u2")[dataset.pixel_array] // 256
        for name in ("Red", "Green", "Blue")
    )
    np.testing.assert_allclose(values, 0.299 * red + 0.587 * green + 0.114 * blue, atol=0.6)
