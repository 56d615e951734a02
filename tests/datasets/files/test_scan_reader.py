"""Any file as a scan, with given values in place of its own, and the files that a folder offers."""

import struct
from pathlib import Path

import itk
import numpy as np
import pytest
from dicom_files import region, scan, write
from PIL import Image

from common.datasets.files import unreadable
from common.datasets.files.scan_reader import read_scan, scan_files

CLIP = np.stack([scan(), scan() + 1, scan() + 2])


def write_itk(path: Path, pixels: np.ndarray, spacing: tuple[float, ...]) -> Path:
    image = itk.image_view_from_array(np.ascontiguousarray(pixels))
    image.SetSpacing(spacing[::-1])
    itk.imwrite(image, str(path))
    return path


@pytest.mark.parametrize("name", ["clip.nii", "clip.nii.gz", "clip.mhd", "clip.mha", "CLIP.NII.GZ"])
@pytest.mark.parametrize("frames", [1, 3])
def test_every_frame_of_a_research_file_is_read_with_its_spacing(tmp_path: Path, name: str, frames: int):
    path = write_itk(tmp_path / name.lower(), CLIP[:frames], (1, 0.15, 0.3)).rename(tmp_path / name)
    read = read_scan(path)
    np.testing.assert_array_equal(read.frames, CLIP[:frames])
    assert (read.spacing, read.spacing_source) == (pytest.approx((0.15, 0.3)), "file header")
    assert read.frame_rate is None


def test_a_plain_image_of_two_dimensions_is_one_frame(tmp_path: Path):
    read = read_scan(write_itk(tmp_path / "still.nii", scan(), (0.15, 0.3)))
    np.testing.assert_array_equal(read.frames, CLIP[:1])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
def test_pictures_are_stills_without_spacing(tmp_path: Path, suffix: str):
    Image.fromarray(scan()).save(tmp_path / f"still{suffix}")
    read = read_scan(tmp_path / f"still{suffix}")
    np.testing.assert_allclose(read.frames.astype(int), CLIP[:1], atol=6 if suffix == ".jpg" else 0)
    assert (read.spacing, read.spacing_source) == (None, "")


def test_pages_are_frames_if_they_are_of_one_size(tmp_path: Path):
    pages = [Image.fromarray(frame) for frame in CLIP]
    pages[0].save(tmp_path / "clip.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_scan(tmp_path / "clip.tif").frames, CLIP)
    pages[0].save(tmp_path / "mixed.tif", save_all=True, append_images=[pages[1].resize((8, 8))])
    with pytest.raises(ValueError, match=r"mixed\.tif cannot be read as TIFF: frames of \(20, 30\) and \(8, 8\)"):
        read_scan(tmp_path / "mixed.tif")


def test_given_values_replace_those_of_the_file(tmp_path: Path):
    path = write_itk(tmp_path / "clip.nii", CLIP, (1, 0.15, 0.3))
    read = read_scan(path, spacing=(0.5, 0.6), frame_rate=40)
    assert (read.spacing, read.spacing_source, read.frame_rate) == ((0.5, 0.6), "given", 40)


@pytest.mark.parametrize("spacing", [(0.019, 1), (1, 5.1), (float("nan"), 1), (0, 0), (-1, 1)])
def test_an_impossible_spacing_is_refused_if_given_and_dropped_if_found(tmp_path: Path, spacing: tuple[float, float]):
    path = write(tmp_path / "scan.dcm", scan())
    with pytest.raises(ValueError, match=r"spacing is \(.*\) mm per pixel; allowed are two numbers from 0\.02 to 5\.0"):
        read_scan(path, spacing=spacing)
    item = region(PhysicalDeltaY=spacing[0] / 10, PhysicalDeltaX=spacing[1] / 10)
    read = read_scan(write(tmp_path / "scan.dcm", scan(), SequenceOfUltrasoundRegions=[item]))
    assert (read.spacing, read.spacing_source) in [(None, ""), (pytest.approx((1, 1)), "ultrasound region")]
    assert (read.spacing is None) == (min(map(abs, spacing)) != 1 or spacing[1] > 5)


@pytest.mark.parametrize("rate", [0, -1, 1001, float("inf")])
def test_an_impossible_frame_rate_is_refused(tmp_path: Path, rate: float):
    path = write(tmp_path / "scan.dcm", scan())
    with pytest.raises(ValueError, match=rf"frame_rate is {rate} frames per second; allowed"):
        read_scan(path, frame_rate=rate)


@pytest.mark.parametrize("name", ["IM_0001", "1.2.840.113", "scan.dcm", "scan.ima"])
def test_any_other_name_is_dicom(tmp_path: Path, name: str):
    np.testing.assert_array_equal(read_scan(write(tmp_path / name, scan())).frames, CLIP[:1])


@pytest.mark.parametrize("name", ["clip.nii", "clip.mha", "clip.png", "clip.tif", "clip.avi", "clip.dcm", "clip"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_garbage_is_refused_by_name(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read as"):
        read_scan(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=rf"gone_{name} is missing"):
        read_scan(tmp_path / f"gone_{name}")


def test_a_header_that_claims_too_many_pixels_is_refused(tmp_path: Path):
    path = write_itk(tmp_path / "clip.nii", CLIP, (1, 0.15, 0.3))
    content = bytearray(path.read_bytes())
    struct.pack_into("<3h", content, 42, 32767, 32767, 1000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"clip\.nii cannot be read as NIfTI: size 32767 x 32767 x 1000"):
        read_scan(path)


def test_large_files_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unreadable, "MAX_BYTES", 100)
    for name in ("clip.dcm", "clip.avi"):
        (tmp_path / name).write_bytes(bytes(101))
        with pytest.raises(ValueError, match=rf"{name} has 101 bytes; at most 100 are read"):
            read_scan(tmp_path / name)


def test_a_folder_offers_scans_and_nothing_else(tmp_path: Path):
    wanted = ["a/clip.avi", "a/IM_0001", "b/STILL.PNG", "b/x_ED.nii.gz", "b/y.mhd", "scan.dcm", "broken.dcm"]
    others = ["a/x_ED_gt.nii.gz", "a/x_gt.PNG", ".hidden/scan.dcm", "a/.scan.dcm", "b/y.raw", "notes.txt", "x.json"]
    others += ["DICOMDIR", "out/overlay.png", "out/deep/overlay.png", "Info.cfg", "labels.yaml", "short", "table.csv"]
    for name in (*wanted, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("a/IM_0001", "DICOMDIR"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    assert scan_files(tmp_path, leave_out=tmp_path / "out") == sorted(tmp_path / name for name in wanted)
    assert len(scan_files(tmp_path)) == len(wanted) + 2
    assert scan_files(tmp_path / "out", leave_out=tmp_path / "out") == []
    assert scan_files(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    with pytest.raises(FileNotFoundError, match="nowhere is missing"):
        scan_files(tmp_path / "nowhere")
