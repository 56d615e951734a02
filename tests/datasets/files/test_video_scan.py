"""Video files of many codecs, and other files with the suffix of a video."""

import time
from pathlib import Path

import av
import numpy as np
import pytest
from dicom_files import at_most

from common.datasets.files import scan
from common.datasets.files.scan_reader import read_scan

BOARD = np.kron([[0, 255], [255, 0], [40, 200]], np.ones((32, 32))).astype(np.uint8)  # upside down it is another


def write_video(path: Path, codec: str, pixels: str, frames: int = 6, rate: int = 30) -> Path:
    """Write the board, its last third brighter from frame to frame."""
    container = {".mkv": "matroska", ".wmv": "asf", ".mpg": "mpeg"}.get(path.suffix, path.suffix[1:])
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, options={"x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *BOARD.shape, pixels
        for number in range(frames):
            board = BOARD.copy()
            board[64:] += np.uint8(8 * number)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(board, format="gray").reformat(format=pixels)))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("clip.avi", "mjpeg", "yuvj420p"),
        ("clip.avi", "rawvideo", "bgr24"),
        ("clip.avi", "png", "rgb24"),
        ("clip.avi", "ffv1", "gray"),
        ("clip.avi", "msmpeg4", "yuv420p"),
        ("clip.MP4", "libx264", "yuv420p"),
        ("clip.mp4", "libx265", "yuv420p"),
        ("clip.mp4", "mpeg4", "yuv420p"),
        ("clip.mov", "libx264", "yuv420p"),
        ("clip.mkv", "libvpx-vp9", "yuv420p"),
        ("clip.wmv", "wmv2", "yuv420p"),
        ("clip.mpg", "mpeg2video", "yuv420p"),
    ],
)
def test_every_frame_is_upright_from_black_to_white(tmp_path: Path, name: str, codec: str, pixels: str):
    written = write_video(tmp_path / name.lower(), codec, pixels).rename(tmp_path / name)
    read = read_scan(written)
    assert read.frames.shape == (6, 96, 64)
    assert read.frame_rate == pytest.approx(30, rel=0.01)  # Windows Media states times in whole milliseconds
    assert (read.spacing, read.box, read.notes) == (None, None, ())
    for row, column in ((16, 16), (16, 48), (48, 16), (48, 48)):
        np.testing.assert_allclose(read.frames[:, row, column].astype(int), int(BOARD[row, column]), atol=6)
    np.testing.assert_allclose(read.frames[:, 80, 16].astype(int), 40 + 8 * np.arange(6), atol=6)


def test_a_still_has_no_frame_rate(tmp_path: Path):
    assert read_scan(write_video(tmp_path / "still.avi", "mjpeg", "yuvj420p", 1)).frame_rate is None


def test_a_clip_that_breaks_off_is_noted_or_refused(tmp_path: Path):
    content = write_video(tmp_path / "clip.avi", "mjpeg", "yuvj420p").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: content.index(b"movi") + (len(content) - 6000) // 2])
    read = read_scan(tmp_path / "cut.avi")
    assert 0 < len(read.frames) < 6
    assert read.notes == (f"The file breaks off: {len(read.frames)} of 6 frames are there.",)
    (tmp_path / "empty.avi").write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(ValueError, match=r"empty\.avi cannot be read as a video: .*Export it again"):
        read_scan(tmp_path / "empty.avi")


def test_a_damaged_frame_is_refused(tmp_path: Path):
    content = bytearray(write_video(tmp_path / "clip.avi", "mjpeg", "yuvj420p").read_bytes())
    start = content.index(b"\xff\xda", len(content) // 2) + 14
    content[start : start + 200] = bytes(200)
    (tmp_path / "damaged.avi").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.avi cannot be read as a video: .*Export it again"):
        read_scan(tmp_path / "damaged.avi")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a picture of a heart\n" * 50,
        b"ffconcat version 1.0\nfile whole.avi\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nwhole.avi\n#EXT-X-ENDLIST\n",
        b"RIFF\xff\xff\xff\xffAVI LIST" + b"\xff" * 4000,
        b"\0\0\0\x18ftypmp42" + b"\xff" * 4000,
    ],
)
@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_other_files_are_refused_and_playlists_are_not_followed(tmp_path: Path, content: bytes, suffix: str):
    write_video(tmp_path / "whole.avi", "mjpeg", "yuvj420p")
    path = (tmp_path / "text").with_suffix(suffix)
    path.write_bytes(content)
    start = time.process_time()
    with at_most(8), pytest.raises(ValueError, match=rf"text\{suffix} cannot be read as a video: "):
        read_scan(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(("limit", "value"), [("MAX_SAMPLES", 5 * 96 * 64), ("MAX_FRAMES", 5)])
@pytest.mark.parametrize("name", ["long.avi", "long.mkv"])  # only AVI states the number of frames in front
def test_a_clip_beyond_the_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, name: str
):
    monkeypatch.setattr(scan, limit, value)
    path = write_video(tmp_path / name, "mjpeg", "yuvj420p")
    with pytest.raises(ValueError, match=r"long\.\w+ cannot be read as a video: 6 frames of 64 x 96 pixels; allowed"):
        read_scan(path)


def test_sound_alone_and_codecs_that_are_not_tried_are_refused(tmp_path: Path):
    write_video(tmp_path / "odd.avi", "cinepak", "rgb24", 2)
    with pytest.raises(ValueError, match=r"odd\.avi cannot be read as a video"):
        read_scan(tmp_path / "odd.avi")
    with av.open(str(tmp_path / "sound.avi"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    with pytest.raises(ValueError, match=r"sound\.avi cannot be read as a video: it holds no video"):
        read_scan(tmp_path / "sound.avi")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"gone\.avi is missing"):
        read_scan(tmp_path / "gone.avi")
