"""DICOM ultrasound as scanners write it: frames, pixel size, box, frame rate and view, but nothing of the patient."""

import io
import os
import struct
import time
import traceback
from pathlib import Path
from typing import Any

import av
import numpy as np
import pydicom
import pytest
from dicom_files import at_most, bundled, region, scan, write
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from common.datasets.files import jpeg_lossless
from common.datasets.files.dicom_scan import read_dicom_scan
from common.datasets.files.images import read_grey

CLIP = np.stack([scan(), scan() + 1, scan() + 2])
BOX = {"RegionLocationMinX0": 2, "RegionLocationMinY0": 3, "RegionLocationMaxX1": 21, "RegionLocationMaxY1": 17}


def write_us(path: Path, clip: np.ndarray = CLIP, *syntax: str, **fields: Any) -> Path:
    given = {"Modality": "US", "PatientName": "DOE^JANE", "PatientID": "DOE^JANE", "NumberOfFrames": len(clip)}
    return write(path, clip[0], *syntax, **given | {"PixelData": clip.tobytes()} | fields)


def pictures(kind: str, clip: np.ndarray = CLIP, **options: Any) -> bytes:
    """Encode frames as pictures and encapsulate them for DICOM."""
    contents = []
    for frame in clip:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, kind, **options)
        contents.append(buffer.getvalue())
    return encapsulate(contents)


def stream(codec: str, container: str, frames: int = 6, side: int = 64, rate: int = 25) -> bytes:
    """Encode a video whose frames grow brighter and are dark on top."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as video:
        track = video.add_stream(codec, rate=rate, options={"x265-params": "log-level=none"})
        track.height, track.width, track.pix_fmt = side, side, "yuv420p"
        for number in range(frames):
            grey = np.full((side, side), 100 + 20 * number, np.uint8)
            grey[: side // 2] = 0
            video.mux(track.encode(av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")))
        video.mux(track.encode())
    return file.getvalue()


def refusal(path: Path) -> str:
    """Return why a file is refused: soon, with its name, and without the patient, even in the traceback."""
    start = time.process_time()  # does not count other processes
    with at_most(16), pytest.raises(ValueError, match=r"cannot be read as DICOM: ") as caught:
        read_dicom_scan(path)
    assert time.process_time() - start < 1
    assert path.name in str(caught.value)
    assert "DOE" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_every_frame_of_an_uncompressed_clip_is_read(tmp_path: Path):
    read = read_dicom_scan(write_us(tmp_path / "clip.dcm"))
    np.testing.assert_array_equal(read.frames, CLIP)
    assert (read.spacing, read.spacing_source, read.box, read.frame_rate, read.view, read.notes) == (
        *(None, "", None, None, ""),
        (),
    )


@pytest.mark.parametrize(
    ("syntax", "kind", "options", "tolerance"),
    [
        (JPEGBaseline8Bit, "JPEG", {"quality": 100}, 2),
        (JPEG2000Lossless, "JPEG2000", {"no_jp2": True, "irreversible": False, "num_resolutions": 3}, 0),
    ],
)
def test_every_frame_of_a_compressed_clip_is_read(
    tmp_path: Path, syntax: str, kind: str, options: dict[str, Any], tolerance: int
):
    path = write_us(tmp_path / "clip.dcm", CLIP, syntax, PixelData=pictures(kind, **options))
    np.testing.assert_allclose(read_dicom_scan(path).frames.astype(int), CLIP, atol=tolerance)


def test_run_lengths_are_read(tmp_path: Path):
    dataset = pydicom.dcmread(write_us(tmp_path / "plain.dcm"))
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(tmp_path / "clip.dcm")
    np.testing.assert_array_equal(read_dicom_scan(tmp_path / "clip.dcm").frames, CLIP)


@pytest.mark.slow
def test_jpeg_ls_is_read_in_grey_and_in_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    colours = np.stack([scan(3), scan(3)])
    colours[..., 0] += 40
    for name, clip in (("grey", CLIP), ("colour", colours)):
        dataset = pydicom.dcmread(write_us(tmp_path / "plain.dcm", clip))
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        dataset.save_as(tmp_path / f"{name}.dcm")
        plain, read = (read_dicom_scan(tmp_path / f"{file}.dcm").frames for file in ("plain", name))
        np.testing.assert_array_equal(read, plain)
    damaged = bytearray((tmp_path / "colour.dcm").read_bytes())
    place = damaged.rindex(b"\xff\xda") + 20
    damaged[place : place + 40] = bytes(40)  # in the coded values
    (tmp_path / "damaged.dcm").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"cannot be read as DICOM"):
        read_dicom_scan(tmp_path / "damaged.dcm")
    endless = jpeg_lossless.CHARLS.replace("sys.stdout", "while True: pass\nsys.stdout")  # as some damage makes it
    monkeypatch.setattr(jpeg_lossless, "CHARLS", endless)
    before = os.times()
    with pytest.raises(ValueError, match=r"cannot be read as DICOM: .*damaged"):
        read_dicom_scan(tmp_path / "colour.dcm")
    assert os.times().children_user - before.children_user < 1


def test_jpeg_ls_of_twelve_bits_keeps_its_values(tmp_path: Path):
    content = bytes.fromhex(  # as CharLS 2.4 writes the values below
        "ffd8fff7000b0c0004000601011100ffda0008010100000000a6cd9736580000000a13a65544e00000001426a52931f3a5294aa0ffd9"
    )
    values = np.add.outer(np.arange(4) * 1000, np.arange(6) * 7).astype(np.uint16)
    fields = {"BitsStored": 12, "HighBit": 11, "PixelData": encapsulate([content])}
    read = read_dicom_scan(write_us(tmp_path / "still.dcm", values[None], JPEGLSLossless, **fields))
    np.testing.assert_allclose(read.frames[0], values / 4095 * 255, atol=0.51)


@pytest.mark.parametrize("names", [b"RGB", b"\x01\x02\x03"])
def test_lossless_jpeg_is_read_in_its_colours(tmp_path: Path, names: bytes):
    source = bundled("SC_rgb_jpeg_gdcm.dcm")
    dataset = pydicom.dcmread(source)
    content = bytearray(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    frame, lines = content.index(b"\xff\xc3") + 10, content.index(b"\xff\xda") + 5
    for place, name in enumerate(names):  # some writers name the channels, some number them
        content[frame + 3 * place] = content[lines + 2 * place] = name
    dataset.PixelData = encapsulate([bytes(content)])
    dataset.save_as(tmp_path / "lossless.dcm")
    plain = read_dicom_scan(bundled("SC_ybr_full_422_uncompressed.dcm")).frames  # the same picture
    np.testing.assert_allclose(read_dicom_scan(tmp_path / "lossless.dcm").frames.astype(int), plain, atol=2)


@pytest.mark.parametrize(
    ("syntax", "codec", "container"),
    [
        (MPEG2MPML, "mpeg2video", "mpeg2video"),
        (MPEG2MPML, "mpeg2video", "mpegts"),
        (MPEG4HP41, "libx264", "h264"),
        (MPEG4HP41, "libx264", "mp4"),
        (HEVCMP51, "libx265", "hevc"),
    ],
)
def test_video_inside_dicom_is_read(tmp_path: Path, syntax: str, codec: str, container: str):
    content = stream(codec, container)
    half = len(content) // 4 * 2
    fragments = encapsulate([content[:half] + content[half:]], fragments_per_frame=2)
    fields = {"Rows": 64, "Columns": 64, "NumberOfFrames": 6, "PhotometricInterpretation": "YBR_PARTIAL_420"}
    fields |= {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PixelData": fragments, "FrameTime": 40}
    read = read_dicom_scan(write_us(tmp_path / "clip.dcm", CLIP, syntax, **fields))
    assert read.frames.shape == (6, 64, 64)
    assert read.frame_rate == 25
    assert read.notes == ()
    middle = np.median(read.frames, axis=2).astype(int)
    np.testing.assert_allclose(middle[:, 50], 100 + 20 * np.arange(6), atol=3)
    assert middle[:, 10].max() < 4
    fields["Rows"] = 80
    assert r"frames of (64, 64) pixels; its header says (80, 64)" in refusal(
        write_us(tmp_path / "other.dcm", CLIP, syntax, **fields)
    )


def test_the_largest_tissue_region_gives_box_and_pixel_size(tmp_path: Path):
    small = region(**BOX | {"RegionLocationMaxX1": 5}, PhysicalDeltaX=0.01)
    read = read_dicom_scan(
        write_us(tmp_path / "clip.dcm", SequenceOfUltrasoundRegions=[small, region(**BOX)], PixelSpacing=[1, 1])
    )
    assert (read.spacing, read.spacing_source) == (pytest.approx((0.15, 0.3)), "ultrasound region")
    assert read.box == (3, 2, 18, 22), "DICOM counts the last row and column in"
    assert "2 two-dimensional regions; the largest is used" in read.notes[0]


DOPPLER = {"RegionSpatialFormat": 3, "PhysicalUnitsXDirection": 4, "PhysicalUnitsYDirection": 7}
M_MODE = {"RegionSpatialFormat": 2, "PhysicalUnitsXDirection": 4}


@pytest.mark.parametrize(
    ("fields", "words"), [(DOPPLER, "spectral Doppler in s and cm/s"), (M_MODE, "M-mode in s"), ({}, "")]
)
def test_doppler_and_m_mode_are_refused_unless_tissue_is_beside(tmp_path: Path, fields: dict[str, int], words: str):
    other = region(**BOX, **fields)
    if words:
        message = refusal(write_us(tmp_path / "doppler.dcm", SequenceOfUltrasoundRegions=[other]))
        assert f"regions are {words}: a Doppler or M-mode recording? An apical view in B-mode is needed." in message
    path = write_us(tmp_path / "duplex.dcm", SequenceOfUltrasoundRegions=[other, region(**BOX)])
    read = read_dicom_scan(path)
    assert read.spacing == pytest.approx((0.15, 0.3))
    assert read.notes == (
        (f"The screen also shows {words}; only the two-dimensional region is used.",) if words else ()
    )


def test_colour_flow_and_a_region_without_centimetres_are_noted(tmp_path: Path):
    path = write_us(tmp_path / "flow.dcm", SequenceOfUltrasoundRegions=[region(**BOX, RegionDataType=2)])
    assert "Colour flow is shown" in read_dicom_scan(path).notes[0]
    bare = region(**BOX, PhysicalUnitsXDirection=0, PhysicalUnitsYDirection=0)
    read = read_dicom_scan(write_us(tmp_path / "bare.dcm", SequenceOfUltrasoundRegions=[bare]))
    assert (read.spacing, read.spacing_source, read.box) == (None, "", (3, 2, 18, 22))
    assert "no pixel size in centimetres" in read.notes[0]


def test_empty_regions_are_not_doppler(tmp_path: Path):
    path = write_us(tmp_path / "converted.dcm", SequenceOfUltrasoundRegions=[Dataset()], PixelSpacing=[0.7, 0.8])
    read = read_dicom_scan(path)
    assert (read.spacing, read.box) == (None, None)
    assert read.notes == ("Its ultrasound regions do not say where tissue is.",)


def test_without_regions_pixel_spacing_is_used_with_a_note(tmp_path: Path):
    read = read_dicom_scan(write_us(tmp_path / "clip.dcm", PixelSpacing=[0.7, 0.8]))
    assert (read.spacing, read.spacing_source) == ((0.7, 0.8), "PixelSpacing")
    assert "often wrong" in read.notes[0]


@pytest.mark.parametrize(
    ("fields", "rate"),
    [
        ({"FrameTime": 20, "CineRate": 30}, 50),
        ({"FrameTimeVector": [0, 20, 30]}, 40),
        ({"FrameTime": 0, "CineRate": 30}, 30),
        ({"RecommendedDisplayFrameRate": 60}, 60),
        ({"FrameTime": 0.5}, None),  # 2000 Hz
        ({"FrameTime": -20}, None),
        ({"FrameTimeVector": []}, None),
        ({}, None),
    ],
)
def test_the_frame_rate_is_the_first_plausible_one(tmp_path: Path, fields: dict[str, Any], rate: float | None):
    assert read_dicom_scan(write_us(tmp_path / "clip.dcm", **fields)).frame_rate == rate
    assert read_dicom_scan(write_us(tmp_path / "still.dcm", CLIP[:1], **fields)).frame_rate is None


@pytest.mark.parametrize(
    ("scheme", "code", "view"),
    [("SCT", "399214001", "4CH"), ("SRT", "G-A19B", "2CH"), ("SNM3", "G-A19C", "4CH"), ("99GE", "G-A19C", "")],
)
def test_the_view_is_read_from_its_code(tmp_path: Path, scheme: str, code: str, view: str):
    item = Dataset()
    item.CodingSchemeDesignator, item.CodeValue = scheme, code
    assert read_dicom_scan(write_us(tmp_path / "clip.dcm", ViewCodeSequence=[item])).view == view


def test_a_screen_stored_at_half_size_has_pixels_of_twice_the_size():
    # the ruler in the picture has its 5 cm marks at rows 20.5, 69.5 and 118.5: 1.02 mm per row
    read = read_dicom_scan(bundled("examples_ybr_color.dcm"))
    assert read.frames.shape == (30, 240, 320)
    assert read.spacing == pytest.approx((50 / 49, 50 / 49), rel=0.01)
    assert read.box == (16, 42, 208, 298)
    assert read.notes == ("The image is its screen shrunk 2-fold; box and pixel size are corrected for it.",)
    assert read.frame_rate == pytest.approx(30, rel=1e-4)


def test_a_screen_cut_off_below_keeps_its_pixel_size():
    # the ruler has one mark per centimetre, every 38 rows
    read = read_dicom_scan(bundled("examples_palette.dcm"))
    assert read.spacing == pytest.approx((10 / 38, 10 / 38), rel=0.01)
    assert read.box == (60, 120, 350, 800)
    assert read.notes == ("The image cuts its ultrasound region off.",)


def test_a_region_elsewhere_leaves_the_pixel_size_unknown(tmp_path: Path):
    beyond = region(**BOX | {"RegionLocationMaxX1": 595, "RegionLocationMaxY1": 414})
    read = read_dicom_scan(write_us(tmp_path / "clip.dcm", SequenceOfUltrasoundRegions=[beyond]))
    assert (read.spacing, read.spacing_source, read.box) == (None, "", None)
    assert "give the spacing for ml" in read.notes[0]


@pytest.mark.parametrize("name", ["MR_small.dcm", "CT_small.dcm"])
def test_images_of_other_modalities_are_read_as_training_images_are_prepared(name: str):
    read = read_dicom_scan(bundled(name), ultrasound=False)
    grey, spacing = read_grey(bundled(name))
    np.testing.assert_array_equal(read.frames, grey[None])
    assert len(np.unique(grey)) > 5
    assert (read.spacing, read.spacing_source, read.notes) == (spacing, "PixelSpacing", ())


def test_of_other_modalities_only_single_images_are_read(tmp_path: Path):
    path = write_us(tmp_path / "clip.dcm", Modality="XA")
    with pytest.raises(ValueError, match=r"clip\.dcm .*: it has 3 frames and is not ultrasound; export each"):
        read_dicom_scan(path, ultrasound=False)
    with pytest.raises(ValueError, match=r"its Modality is SEG; an image is expected"):
        read_dicom_scan(bundled("liver_1frame.dcm"), ultrasound=False)
    assert len(read_dicom_scan(write_us(tmp_path / "us.dcm"), ultrasound=False).frames) == 3


def test_other_objects_are_refused_in_words(tmp_path: Path):
    assert "its Modality is MR; ultrasound (US) is expected" in refusal(bundled("MR_small.dcm"))
    assert "its Modality is SEG" in refusal(bundled("liver_1frame.dcm"))
    assert "it holds no image. A report" in refusal(bundled("reportsi.dcm"))
    assert "its Modality is another one" in refusal(write_us(tmp_path / "named.dcm", Modality="DOE"))
    dataset = pydicom.dcmread(write_us(tmp_path / "bare.dcm", CLIP, JPEGBaseline8Bit, PixelData=pictures("JPEG")))
    del dataset.PixelData
    dataset.save_as(tmp_path / "bare.dcm")
    assert "it has no pixels" in refusal(tmp_path / "bare.dcm")


@pytest.mark.parametrize(
    "fields",
    [
        {"Rows": 65535, "Columns": 65535},
        {"NumberOfFrames": 10**9},
        {"NumberOfFrames": 20_000},
        {"NumberOfFrames": 4},
        {"NumberOfFrames": -1},
        {"Columns": None},
        {"BitsAllocated": 7},
        {"PhotometricInterpretation": "DOE^JANE"},
        {"PixelData": b""},
    ],
)
def test_impossible_headers_are_refused(tmp_path: Path, fields: dict[str, Any]):
    refusal(write_us(tmp_path / "wrong.dcm", **fields))


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, MPEG2MPML])
@pytest.mark.parametrize("content", [b"DOE^JANE" * 500, b"\xff\xd8\xff\xc0", b"\0\0"])
def test_compressed_garbage_is_refused(tmp_path: Path, syntax: str, content: bytes):
    refusal(write_us(tmp_path / "garbage.dcm", CLIP, syntax, PixelData=encapsulate([content] * 3)))


@pytest.mark.parametrize("side", [30, 9000, 60_000])
def test_pictures_of_another_size_than_the_header_says_are_refused(tmp_path: Path, side: int):
    content = bytearray(pictures("JPEG"))
    struct.pack_into(">2H", content, content.rindex(b"\xff\xc0") + 5, side, side)  # of the last frame
    path = write_us(tmp_path / "bomb.dcm", CLIP, JPEGBaseline8Bit, PixelData=bytes(content))
    assert f"has ({side}, {side}, 1) samples; its header says (20, 30, 1)" in refusal(path)


def test_truncated_and_endlessly_nested_files_are_refused(tmp_path: Path):
    content = write_us(tmp_path / "clip.dcm").read_bytes()
    for kept in (0.0, 0.01, 0.1, 0.5, 0.99):
        (tmp_path / "cut.dcm").write_bytes(content[: int(len(content) * kept)])
        refusal(tmp_path / "cut.dcm")
    place = content.index(b"\x28\x00\x02\x00US")  # before the first element of the image
    deeper = bytes.fromhex("0800 2011 5351 0000 ffffffff feff 00e0 ffffffff")  # a sequence with an item without end
    view = bytes.fromhex("5400 2002 5351 0000 ffffffff feff 00e0 ffffffff")
    for nested in (deeper * 20_000, view * 20_000):
        (tmp_path / "nested.dcm").write_bytes(content[:place] + nested + content[place:])
        refusal(tmp_path / "nested.dcm")
    (tmp_path / "garbage.dcm").write_bytes(bytes(128) + b"DICM" + b"DOE^JANE" * 1000)
    refusal(tmp_path / "garbage.dcm")


def test_nothing_of_the_patient_is_logged_or_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
):
    content = bytearray(pictures("JPEG"))
    place = content.rindex(b"\xff\xda")  # pydicom logs in full why the last picture fails
    content[place : place + 40] = b"DOE^JANE" * 5
    path = write_us(tmp_path / "clip.dcm", CLIP, JPEGBaseline8Bit, PixelData=bytes(content))
    refusal(path)
    assert caplog.text == ""
    content = bytearray(write_us(path, FrameTime="20.00000").read_bytes())
    path.write_bytes(content.replace(b"20.00000", b"DOE^JANE"))
    recwarn.clear()
    assert read_dicom_scan(path).frame_rate is None
    assert not recwarn.list
    assert caplog.text == ""
