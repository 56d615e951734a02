"""Pictures (PNG, JPEG, BMP, TIFF) as images and as annotations."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import MEBIBYTE, peak_of_refusing, scan
from PIL import ExifTags, Image

from common.datasets.files.images import read_annotation, read_grey


@pytest.mark.parametrize("name", ["scan.png", "scan.bmp", "scan.tif", "scan.TIFF"])
def test_a_picture_has_no_spacing(tmp_path: Path, name: str):
    Image.fromarray(scan()).save(tmp_path / name, dpi=(300, 300))
    for read in (read_grey, read_annotation):
        values, spacing = read(tmp_path / name)
        np.testing.assert_array_equal(values, scan())
        assert spacing is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_viewers_show_it(tmp_path: Path, suffix: str, orientation: int):
    """Cameras store their sensor's rows, and say in Exif how these are to be turned."""
    shown = np.repeat(np.repeat(np.array([[0, 90, 180], [30, 120, 250]], np.uint8), 8, 0), 8, 1)
    stored = [shown, shown[:, ::-1], shown[::-1, ::-1], shown[::-1]]
    stored = [*stored, shown.T, np.rot90(shown), np.rot90(shown, 2).T, np.rot90(shown, -1)][orientation - 1]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, **({"quality": 100} if suffix == ".jpg" else {}))
    np.testing.assert_allclose(read_grey(tmp_path / f"a{suffix}")[0].astype(int), shown, atol=2)
    if suffix != ".jpg":
        np.testing.assert_array_equal(read_annotation(tmp_path / f"a{suffix}")[0], shown)


def test_jpeg_is_read_as_image_but_not_as_annotation(tmp_path: Path):
    Image.fromarray(scan()).save(tmp_path / "scan.jpg", quality=95)
    assert np.abs(read_grey(tmp_path / "scan.jpg")[0].astype(int) - scan())[:, :-20].mean() < 5
    with pytest.raises(
        ValueError, match=r"scan\.jpg cannot be read as JPEG: JPEG alters .* Export the annotation as PNG"
    ):
        read_annotation(tmp_path / "scan.jpg")


def test_colours_become_grey_by_their_luma(tmp_path: Path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    luma = colours @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    for mode in ("RGB", "RGBA"):
        Image.fromarray(colours).convert(mode).save(tmp_path / "scan.png")
        np.testing.assert_allclose(read_grey(tmp_path / "scan.png")[0], luma, atol=0.6)
    with pytest.raises(ValueError, match=r"scan\.png cannot be read as PNG: colours are not annotation values"):
        read_annotation(tmp_path / "scan.png")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_an_annotation_of_equal_channels_is_read(tmp_path: Path, mode: str):
    Image.fromarray(scan()).convert(mode).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_annotation(tmp_path / "mask.png")[0], scan())


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_annotation_in_the_transparency_is_refused(tmp_path: Path, mode: str):
    picture = Image.new(mode, (8, 6))
    picture.putalpha(Image.fromarray(np.eye(6, 8, dtype=np.uint8)))
    picture.save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"its annotation is in its transparency\. Export it as grey values"):
        read_annotation(tmp_path / "a.png")
    picture.putalpha(255)
    picture.save(tmp_path / "a.png")
    assert not read_annotation(tmp_path / "a.png")[0].any()


def test_an_annotation_with_a_palette_is_its_index(tmp_path: Path):
    picture = Image.fromarray(scan() % 3).convert("P")
    picture.putpalette([0, 0, 0, 255, 255, 255, 100, 100, 100])
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_annotation(tmp_path / "mask.png")[0], scan() % 3)
    np.testing.assert_array_equal(read_grey(tmp_path / "mask.png")[0], np.array([0, 255, 100])[scan() % 3])


def test_a_bilevel_annotation_is_zero_and_one(tmp_path: Path):
    Image.fromarray(scan() > 100).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_annotation(tmp_path / "mask.png")[0], scan() > 100)
    np.testing.assert_array_equal(read_grey(tmp_path / "mask.png")[0], 255 * (scan() > 100))


def test_sixteen_bits_are_read_if_the_values_fit_eight(tmp_path: Path):
    for name in ("scan.png", "scan.tif"):
        Image.fromarray(scan().astype(np.uint16)).save(tmp_path / name)
        np.testing.assert_array_equal(read_grey(tmp_path / name)[0], scan())
        Image.fromarray(scan().astype(np.uint16) * 16).save(tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name} .* 0 to 255 \(0 to 3184\)\. Convert it to 8 bit"):
            read_grey(tmp_path / name)


def test_a_tiff_of_several_pages_needs_a_frame_number(tmp_path: Path):
    first, second = Image.fromarray(scan()), Image.fromarray(scan() + 1)
    first.save(tmp_path / "scan.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_grey(tmp_path / "scan.tif", frame=1)[0], scan() + 1)
    with pytest.raises(ValueError, match=r"scan\.tif cannot be read as TIFF: it has 2 frames; say which one"):
        read_grey(tmp_path / "scan.tif")


@pytest.mark.parametrize("side", [9000, 12000, 40000])  # Pillow itself warns above 9,459 and refuses above 13,377
def test_a_picture_that_claims_too_much_is_refused(tmp_path: Path, side: int):
    Image.new("L", (1, 1)).save(tmp_path / "scan.png")
    content = bytearray((tmp_path / "scan.png").read_bytes())
    content[16:24] = struct.pack(">2I", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "scan.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"scan\.png cannot be read as PNG: .*(allowed are|DecompressionBomb)"):
        read_grey(tmp_path / "scan.png")
    assert peak_of_refusing(tmp_path / "scan.png") < MEBIBYTE


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.7])
def test_a_truncated_picture_is_refused(tmp_path: Path, kept: float):
    for name in ("scan.png", "scan.bmp", "scan.tif", "scan.jpg"):
        Image.fromarray(scan()).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(ValueError, match=rf"{name} cannot be read as \w+: "):
            read_grey(tmp_path / name)


def test_a_picture_of_another_format_than_its_name_is_refused(tmp_path: Path):
    Image.fromarray(scan()).save(tmp_path / "scan.gif")
    (tmp_path / "scan.gif").rename(tmp_path / "scan.png")
    with pytest.raises(ValueError, match=r"scan\.png cannot be read as PNG: .*damaged or not PNG"):
        read_grey(tmp_path / "scan.png")
