"""Frames of motion-JPEG clips: as stored, with motion, and from damaged or hostile files."""

import io
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image

from common.datasets.files import scan, unreadable
from common.datasets.files.video_scan import read_motion_jpeg


def clip(frames: int = 40, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Draw (frames, rows, columns): no two frames are equal; columns 40 and up never move."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    moving = 100 + 80 * np.sin(rows / 7 + columns / 11 + np.arange(frames)[:, None, None] * 0.3)
    return np.where(columns < 40, moving, 50 + 2 * rows).astype(np.uint8)


def write_avi(path: Path, frames: np.ndarray, codec: str = "mjpeg", pixels: str = "yuvj420p") -> None:
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream(codec, rate=50)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], pixels
        stream.codec_context.options = {"qmin": "1", "qmax": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=pixels)))
        container.mux(stream.encode())


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    write_avi(path, clip())
    return path


def read_all(path: Path, count: int) -> np.ndarray:
    return np.stack([read_motion_jpeg(path, number)[0] for number in range(count)])


def test_the_requested_frame_comes_back(avi: Path):
    for number in (39, 0, 17):
        frame, _ = read_motion_jpeg(avi, number)
        assert frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - clip()[number]).max() <= 4  # neighbouring frames differ by up to 24


@pytest.mark.slow
def test_grey_values_are_those_another_decoder_finds_in_the_file(avi: Path):
    stored = [np.asarray(Image.open(io.BytesIO(packet)).convert("L")).astype(int) for packet in packets(avi)]
    assert np.abs(read_all(avi, 40) - np.stack(stored)).max() <= 1  # the decoders' cosine transforms round differently


def test_black_and_white_stay_black_and_white(tmp_path: Path):
    board = np.kron([[0, 255], [255, 0]], np.ones((16, 16))).astype(np.uint8)
    write_avi(tmp_path / "board.avi", board[None])
    np.testing.assert_array_equal(read_motion_jpeg(tmp_path / "board.avi", 0)[0], board)


@pytest.mark.parametrize("frames", [1, 20, 40])
@pytest.mark.slow
def test_motion_is_the_standard_deviation_of_evenly_spaced_frames(tmp_path: Path, frames: int):
    write_avi(tmp_path / "clip.avi", clip(frames))
    motion = read_motion_jpeg(tmp_path / "clip.avi", frames - 1)[1]
    step = 2 if frames == 40 else 1  # at most 32 frames are sampled
    expected = read_all(tmp_path / "clip.avi", frames)[::step].std(axis=0)
    np.testing.assert_allclose(motion, expected, rtol=1e-5, atol=1e-6)
    assert motion.dtype == np.float32


def test_still_pixels_have_no_motion(avi: Path):
    motion = read_motion_jpeg(avi, 3)[1]
    assert motion[:, 48:].max() < 1 < 40 < motion[:, :32].min()


@pytest.mark.parametrize("index", [40, -1, 10**12])
def test_a_frame_outside_the_clip_is_refused(avi: Path, index: int):
    with pytest.raises(
        ValueError,
        match=rf"clip\.avi cannot be read as a video: it has no frame {index}: it has 40 frames, counted from 0",
    ):
        read_motion_jpeg(avi, index)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"gone\.avi is missing"):
        read_motion_jpeg(tmp_path / "gone.avi", 0)


@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_file_that_breaks_off_is_refused_even_if_the_frame_is_there(avi: Path, tmp_path: Path, kept: float):
    content = avi.read_bytes()
    start = content.rindex(packets(avi)[-1])
    (tmp_path / "half.avi").write_bytes(content[: int(start * kept)])
    with pytest.raises(ValueError, match=r"half\.avi .*: it breaks off before frame \d+ of 40\. Download"):
        read_motion_jpeg(tmp_path / "half.avi", 1)


@pytest.mark.parametrize("content", ["", "a picture of a heart\n" * 50, "ffconcat version 1.0\nfile whole.avi\n"])
def test_other_files_are_refused_and_playlists_are_not_followed(avi: Path, tmp_path: Path, content: str):
    (tmp_path / "whole.avi").write_bytes(avi.read_bytes())
    (tmp_path / "text.avi").write_text(content)
    with pytest.raises(ValueError, match=r"text\.avi cannot be read as a video: .*Export it again"):
        read_motion_jpeg(tmp_path / "text.avi", 0)


@pytest.mark.parametrize(("number", "asked"), [(0, 0), (5, 5)])
@pytest.mark.parametrize("size", [(65000, 65000), (3000, 3000), (0, 64)])
def test_a_frame_that_claims_another_size_is_refused(
    avi: Path, tmp_path: Path, number: int, asked: int, size: tuple[int, int]
):
    content, packet = bytearray(avi.read_bytes()), packets(avi)[number]
    place = content.index(packet) + packet.index(b"\xff\xc0") + 5  # the size in the JPEG's start of frame
    content[place : place + 4] = size[0].to_bytes(2, "big") + size[1].to_bytes(2, "big")
    (tmp_path / "bomb.avi").write_bytes(content)
    with pytest.raises(ValueError, match=r"bomb\.avi cannot be read as a video"):
        read_motion_jpeg(tmp_path / "bomb.avi", asked)


def test_a_damaged_frame_is_refused(avi: Path, tmp_path: Path):
    content, packet = avi.read_bytes(), packets(avi)[5]
    start = (packet.index(b"\xff\xda") + len(packet)) // 2  # the header stays whole
    damaged = packet[:start] + bytes(len(packet) - start)
    (tmp_path / "damaged.avi").write_bytes(content.replace(packet, damaged))
    with pytest.raises(ValueError, match=r"damaged\.avi cannot be read as a video"):
        read_motion_jpeg(tmp_path / "damaged.avi", 5)


def test_a_frame_of_another_size_than_the_clip_is_refused(avi: Path, tmp_path: Path):
    content, packet, small = avi.read_bytes(), packets(avi)[5], io.BytesIO()
    Image.fromarray(clip()[5, :16, :16]).save(small, "JPEG")
    (tmp_path / "small.avi").write_bytes(content.replace(packet, small.getvalue().ljust(len(packet), b"\0")))
    with pytest.raises(ValueError, match=r"small\.avi cannot be read .*: frames of \(48, 64\) and \(16, 16\) pixels"):
        read_motion_jpeg(tmp_path / "small.avi", 5)


@pytest.mark.parametrize("frames", [0, 10**6])
def test_an_absurd_number_of_frames_is_refused(avi: Path, tmp_path: Path, frames: int):
    content = bytearray(avi.read_bytes())
    place = content.index(b"strh") + 8 + 32  # the stream's length
    content[place : place + 4] = frames.to_bytes(4, "little")
    (tmp_path / "long.avi").write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"long\.avi .*: ({frames} frames of 64 x 48|it has no frame 0: it has {frames})"
    ):
        read_motion_jpeg(tmp_path / "long.avi", 0)


@pytest.mark.parametrize(
    ("module", "limit", "message"),
    [
        (unreadable, "MAX_BYTES", r"clip\.avi has \d+ bytes"),
        (scan, "MAX_SAMPLES", "40 frames of 64 x 48 pixels"),
    ],
)
def test_large_files_and_frames_are_refused(
    avi: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, limit: str, message: str
):
    monkeypatch.setattr(module, limit, 3000)  # a frame has 3072 pixels
    with pytest.raises(ValueError, match=message):
        read_motion_jpeg(avi, 0)


def test_another_codec_is_refused(tmp_path: Path):
    write_avi(tmp_path / "other.avi", clip(2), "mpeg4", "yuv420p")
    with pytest.raises(ValueError, match=r"other\.avi cannot be read .*: its codec is mpeg4, allowed are mjpeg"):
        read_motion_jpeg(tmp_path / "other.avi", 0)


@pytest.mark.slow
def test_bytes_changed_at_random_never_do_more_than_raise(avi: Path, tmp_path: Path):
    content, rng, refused = avi.read_bytes(), np.random.default_rng(0), 0
    for _ in range(50):
        damaged = bytearray(content)
        for place in rng.integers(0, 4000, 12):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "random.avi").write_bytes(damaged)
        try:
            assert read_motion_jpeg(tmp_path / "random.avi", 1)[0].size
        except ValueError as error:
            refused += "random.avi" in str(error)
    assert 5 < refused < 50
