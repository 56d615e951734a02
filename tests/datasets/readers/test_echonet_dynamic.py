"""EchoNet-Dynamic reader on releases written here in the public layout, sound and damaged."""

import csv
import json
import pickle
from pathlib import Path

import av
import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from common.datasets.prepared.source import Job, Source
from common.datasets.readers import tables
from common.datasets.readers.echonet_dynamic import echonet_dynamic

LISTED = ["FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split"]
TRACED = ["FileName", "X1", "Y1", "X2", "Y2", "Frame"]
NAMES = {"0X100009310A3BD7FC": "TRAIN", "0X1002E8FBACD08477": "VAL", "0X1005D03EED19C65B": "TEST"}


def write_avi(path: Path, frames: int = 8, side: int = 112) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=50)
        stream.height, stream.width, stream.pix_fmt = side, side, "yuvj420p"
        for number in range(frames):
            picture = np.full((side, side), 20 * number, np.uint8)  # the grey value identifies the frame
            picture[:10] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode())


def ventricle(size: float = 1.0, chords: int = 20) -> np.ndarray:
    """X1, Y1, X2, Y2 of a half ellipse, apex on top, leaning to the right; first the long axis."""
    depth = np.linspace(0, 1, chords + 1)[1:, None]
    half = size * 14 * np.sqrt(1 - (1 - depth) ** 2)
    x, y = 50 + 10 * depth * size, 20 + 55 * depth * size
    return np.vstack([[50, 20, 50 + 10 * size, 20 + 55 * size], np.hstack([x - half, y - 2, x + half, y + 2])])


def tracing(name: str, frame: object, rows: np.ndarray) -> list[list[object]]:
    return [[f"{name}.avi", *row, frame] for row in rows.tolist()]


def write_table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def make_release(
    root: Path, listed: list[list[object]] | None = None, traced: list[list[object]] | None = None
) -> Path:
    """Three videos; in the first one ES is traced before ED, in the others after."""
    good = [[name, 60.0, 40.5, 101.25, 112, 112, 50, 8, split] for name, split in NAMES.items()]
    write_table(root / "FileList.csv", LISTED, good + (listed or []))
    rows: list[list[object]] = []
    for place, name in enumerate(NAMES):
        first, second = (0.8, 1.0) if place == 0 else (1.0, 0.8)
        rows += tracing(name, 2, ventricle(first)) + tracing(name, 5, ventricle(second))
    write_table(root / "VolumeTracings.csv", TRACED, rows + (traced or []))
    for name in NAMES:
        write_avi(root / "Videos" / f"{name}.avi")
    return root


def extra(root: Path, traced: list[list[object]], name: str = "0XEXTRA", split: str = "TRAIN") -> Source:
    """The release and one more video."""
    make_release(root, [[name, 60, 40, 100, 112, 112, 50, 8, split]], traced)
    write_avi(root / "Videos" / f"{name}.avi")
    return echonet_dynamic(root)


def job_of(source: Source, name: str) -> Job:
    return next(job for job in source.jobs if job.id == name)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that tests must not change."""
    return make_release(tmp_path_factory.mktemp("echonet"))


def test_every_video_has_two_frames_in_its_official_fold(release: Path):
    source = echonet_dynamic(release)
    assert source.skipped == {}
    assert [job.id for job in source.jobs] == [f"{name}_4CH_{phase}" for name in NAMES for phase in ("ED", "ES")]
    assert [job.item["fold"] for job in source.jobs[::2]] == ["training", "validation", "test"]
    assert source.jobs[0].item == {
        "dataset": "echonet_dynamic",
        "patient": "0X100009310A3BD7FC",
        "view": "4CH",
        "phase": "ED",
        "fold": "training",
        "ef": 60.0,
        "edv": 101.25,
        "esv": 40.5,
        "frame_rate": 50.0,
        "frame": 5,
    }
    json.dumps([job.item for job in source.jobs])
    assert source.label_sets == {"echonet_dynamic": [["background"], ["lv_cavity"]]}
    assert source.facts == {"frames_with_several_tracings": 0}


def test_ed_is_the_larger_tracing_whatever_the_order_of_rows(release: Path):
    frames = {job.id: job.item["frame"] for job in echonet_dynamic(release).jobs}
    assert list(frames.values()) == [5, 2, 2, 5, 2, 5]
    for name in NAMES:
        areas = [job_of(echonet_dynamic(release), f"{name}_4CH_{phase}").read().label.sum() for phase in ("ED", "ES")]
        assert areas[1] == pytest.approx(0.64 * areas[0], rel=0.02)  # 0.8^2


def test_the_frame_read_is_the_frame_traced(release: Path):
    for job in echonet_dynamic(release).jobs:
        frame = pickle.loads(pickle.dumps(job.read))()
        assert frame.image[60, 60] == pytest.approx(20 * job.item["frame"], abs=3)
        assert frame.spacing is None
        assert set(np.unique(frame.label)) == {0, 1}
        assert frame.motion[:8].max() < 1  # the strip on top never changes
        assert frame.motion[60, 60] == pytest.approx(20 * np.arange(8).std(), abs=1)


def test_the_mask_agrees_with_the_official_recipe(release: Path):
    # echonet/dynamic: coordinates rounded to whole pixels, polygon filled with its border (skimage.draw.polygon)
    x1, y1, x2, y2 = ventricle()[1:].T
    corners = np.rint(np.stack([np.concatenate([x1, x2[::-1]]), np.concatenate([y1, y2[::-1]])], axis=1))
    y, x = np.mgrid[:112, :112]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    official = Polygon(corners).contains_points(pixels).reshape(112, 112)
    official[tuple(corners.astype(int).T[::-1])] = True
    mask = job_of(echonet_dynamic(release), "0X100009310A3BD7FC_4CH_ED").read().label == 1
    assert 2 * (mask & official).sum() / (mask.sum() + official.sum()) >= 0.98


def test_whole_numbers_are_pixel_centres_and_x_runs_to_the_right(tmp_path: Path):
    box = np.array([[30, 10, 30, 20]] + [[29.5, y, 39.5, y] for y in (9.5, 12, 15, 19.5)])
    source = extra(tmp_path, tracing("0XEXTRA", 1, box) + tracing("0XEXTRA", 3, ventricle()))
    label = job_of(source, "0XEXTRA_4CH_ES").read().label
    expected = np.zeros((112, 112), np.uint8)
    expected[10:20, 30:40] = 1
    np.testing.assert_array_equal(label, expected)


def test_the_folder_above_and_another_order_of_columns_read_the_same(release: Path, tmp_path: Path):
    other = make_release(tmp_path / "EchoNet-Dynamic")
    for name, rename in (("FileList.csv", str), ("VolumeTracings.csv", lambda value: value.removesuffix(".avi"))):
        with (other / name).open() as file:
            rows = [[rename(value) for value in reversed(row)] + ["more"] for row in csv.reader(file)]
        if name == "VolumeTracings.csv":
            rows = [[f"{row[0]}.0" if row[0].isdigit() else row[0], *row[1:]] for row in rows]  # the frame, as "5.0"
        (other / name).write_text("\ufeff" + "\n".join(map(",".join, rows)) + "\n\n", encoding="utf-8")
    expected, read = echonet_dynamic(release), echonet_dynamic(tmp_path)
    assert [job.item for job in read.jobs] == [job.item for job in expected.jobs]
    np.testing.assert_array_equal(read.jobs[0].read().label, expected.jobs[0].read().label)


@pytest.mark.parametrize("copies", [2, 3, 7])
def test_the_first_of_several_tracings_in_a_frame_is_used(tmp_path: Path, copies: int):
    several = np.vstack([ventricle()] + [ventricle(1 + 0.05 * copy) for copy in range(1, copies)])
    source = extra(tmp_path, tracing("0XEXTRA", 5, several) + tracing("0XEXTRA", 2, ventricle(0.8)))
    expected = job_of(source, "0X100009310A3BD7FC_4CH_ED").read().label
    np.testing.assert_array_equal(job_of(source, "0XEXTRA_4CH_ED").read().label, expected)
    assert source.facts == {"frames_with_several_tracings": 1}


def test_a_tracing_of_few_chords_is_used_down_to_three(tmp_path: Path):
    rows = tracing("0XEXTRA", 1, ventricle(1, 15)) + tracing("0XEXTRA", 3, ventricle(0.8, 3))
    source = extra(tmp_path, rows + tracing("0XEXTRA", 4, ventricle(0.5, 2)))
    assert [job_of(source, f"0XEXTRA_4CH_{phase}").item["frame"] for phase in ("ED", "ES")] == [1, 3]
    assert source.skipped == {"0XEXTRA frame 4": "has 2 chords; 3 are needed"}


def test_the_largest_and_smallest_of_several_tracings_are_ed_and_es(tmp_path: Path):
    sizes = {1: 0.9, 2: 0.7, 3: 1.1, 4: 1.0}
    source = extra(tmp_path, [row for frame in sizes for row in tracing("0XEXTRA", frame, ventricle(sizes[frame]))])
    assert [job_of(source, f"0XEXTRA_4CH_{phase}").item["frame"] for phase in ("ED", "ES")] == [3, 2]


@pytest.mark.parametrize("far", [1e300, -1e300, 1e6, 140.0])
def test_points_outside_the_frame_are_moved_to_its_border(tmp_path: Path, far: float):
    rows = ventricle(1.2)
    rows[10, 2 if far > 0 else 0] = far
    source = extra(tmp_path, tracing("0XEXTRA", 1, rows) + tracing("0XEXTRA", 3, ventricle(0.5)))
    label = job_of(source, "0XEXTRA_4CH_ED").read().label
    inside = label[:, 111 if far > 0 else 0]
    assert 1 <= inside.sum() <= 3  # the spike reaches the border
    assert label.sum() < 2500


@pytest.mark.parametrize("bad", ["", "nan", "inf", "left"])
def test_a_tracing_with_an_invalid_coordinate_and_its_video_are_left_out(tmp_path: Path, bad: str):
    rows = tracing("0XEXTRA", 1, ventricle()) + tracing("0XEXTRA", 3, ventricle(0.8))
    rows[7][3] = bad
    source = extra(tmp_path, rows)
    assert len(source.jobs) == 6
    assert source.skipped["0XEXTRA frame 1"] == "has a coordinate that is not a number"
    assert "need two frames" in source.skipped["0XEXTRA"]


def test_a_tracing_with_a_short_row_is_left_out(tmp_path: Path):
    rows = tracing("0XEXTRA", 1, ventricle()) + tracing("0XEXTRA", 3, ventricle(0.8)) + [["0XEXTRA.avi", 50.0]]
    source = extra(tmp_path, rows)
    assert source.skipped == {"0XEXTRA frame -1": "is not a frame; frames are counted from 0"}
    assert len(source.jobs) == 8


@pytest.mark.parametrize("frame", ["-4", "4.5", "", "end", "nan", "1e999"])
def test_an_invalid_frame_number_is_left_out(tmp_path: Path, frame: str):
    source = extra(tmp_path, tracing("0XEXTRA", 1, ventricle()) + tracing("0XEXTRA", frame, ventricle(0.8)))
    assert "need two frames" in source.skipped["0XEXTRA"]
    assert "is not a frame" in source.skipped[f"0XEXTRA frame {'-4' if frame == '-4' else '-1'}"]


@pytest.mark.parametrize("frame", ["8", "1e12", "1e300"])
def test_a_frame_beyond_the_end_is_refused_when_it_is_read(tmp_path: Path, frame: str):
    source = extra(tmp_path, tracing("0XEXTRA", 1, ventricle()) + tracing("0XEXTRA", frame, ventricle(0.8)))
    with pytest.raises(ValueError, match=r"0XEXTRA\.avi .*: it has no frame \d+: it has 8 frames, counted from 0"):
        job_of(source, "0XEXTRA_4CH_ES").read()
    assert job_of(source, "0XEXTRA_4CH_ED").read().label.any()


TWO = [*tracing("0XEXTRA", 1, ventricle()), *tracing("0XEXTRA", 3, ventricle(0.8))]


@pytest.mark.parametrize(
    ("traced", "split", "reason"),
    [
        ([], "TRAIN", "has no tracing in VolumeTracings.csv"),
        (TWO[:21], "TRAIN", "ED and ES need two frames with tracings of different areas"),
        (TWO[:21] + tracing("0XEXTRA", 3, ventricle()), "TRAIN", "ED and ES need two frames"),
        (TWO[:21] + tracing("0XEXTRA", 3, np.full((21, 4), 5)), "TRAIN", "ED and ES need two frames"),
        (TWO, "HOLDOUT", "Split is 'HOLDOUT', expected one of ['TRAIN', 'VAL', 'TEST']"),
    ],
)
def test_a_video_that_cannot_be_used_is_left_out_with_its_reason(
    tmp_path: Path, traced: list[list[object]], split: str, reason: str
):
    source = extra(tmp_path, traced, split=split)
    assert len(source.jobs) == 6
    assert source.skipped["0XEXTRA"].startswith(reason)


def test_a_tracing_whose_video_is_not_listed_is_left_out(tmp_path: Path):
    ghost = [["0X4F8859C8AB4DA9CB.avi", *row[1:]] for row in TWO]  # as in the release
    source = extra(tmp_path, [*ghost, *TWO])
    assert len(source.jobs) == 8
    assert source.skipped == {"0X4F8859C8AB4DA9CB": "has tracings but is not in FileList.csv"}


def test_a_missing_video_is_left_out_and_no_video_at_all_is_an_error(tmp_path: Path):
    make_release(tmp_path)
    first, *others = NAMES
    (tmp_path / "Videos" / f"{first}.avi").unlink()
    source = echonet_dynamic(tmp_path)
    assert source.skipped == {first: f"there is no file Videos/{first}.avi"}
    for name in others:
        (tmp_path / "Videos" / f"{name}.avi").unlink()
    with pytest.raises(FileNotFoundError, match=r"Videos has none of the 3 videos that FileList\.csv names"):
        echonet_dynamic(tmp_path)
    (tmp_path / "Videos").rmdir()
    with pytest.raises(FileNotFoundError, match=r"Videos has none of the 3 videos"):
        echonet_dynamic(tmp_path)


def test_a_link_in_the_folder_of_videos_is_not_followed(tmp_path: Path):
    make_release(tmp_path / "release")
    path = tmp_path / "release" / "Videos" / f"{next(iter(NAMES))}.avi"
    path.rename(tmp_path / "elsewhere.avi")
    path.symlink_to(tmp_path / "elsewhere.avi")
    assert next(iter(NAMES)) in echonet_dynamic(tmp_path / "release").skipped


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a\\b", "..", "", "x" * 101, "a\nb", "-x", "c:d", "ä"])
def test_a_name_that_is_not_a_plain_file_name_is_never_opened(tmp_path: Path, name: str):
    write_avi(tmp_path / "outside.avi")
    traced = [[f"{name}.avi", *row[1:]] for row in TWO]
    source = echonet_dynamic(make_release(tmp_path / "r", [[name, 60, 40, 100, 112, 112, 50, 8, "TRAIN"]], traced))
    assert {job.item["patient"] for job in source.jobs} == set(NAMES)
    assert "is not a plain file name" in source.skipped["row 5 of FileList.csv"]


def test_a_video_of_another_size_is_refused(tmp_path: Path):
    source = extra(tmp_path, TWO)
    write_avi(tmp_path / "Videos" / "0XEXTRA.avi", side=128)
    with pytest.raises(ValueError, match=r"0XEXTRA\.avi has frames of \(128, 128\) pixels; .* \(112, 112\)"):
        job_of(source, "0XEXTRA_4CH_ED").read()


def test_invalid_values_are_left_out_of_the_item(tmp_path: Path):
    make_release(tmp_path, [["0XEXTRA", "n/a", "", "nan", 112, 112, 0, 8, "train"]], TWO)
    write_avi(tmp_path / "Videos" / "0XEXTRA.avi")
    item = job_of(echonet_dynamic(tmp_path), "0XEXTRA_4CH_ED").item
    assert set(item) == {"dataset", "patient", "view", "phase", "fold", "frame"}
    assert item["fold"] == "training"


def test_a_video_listed_twice_is_an_error(tmp_path: Path):
    make_release(tmp_path, [[f"{next(iter(NAMES))}.avi", 60, 40, 100, 112, 112, 50, 8, "TEST"]])
    with pytest.raises(ValueError, match=r"FileList\.csv lists 0X100009310A3BD7FC again in row 5"):
        echonet_dynamic(tmp_path)


@pytest.mark.parametrize("table", ["FileList.csv", "VolumeTracings.csv"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has no column 'FileName'; it has \[\]"),
        (b"Name,X1,Y1\n", r"has no column 'FileName'; it has \['Name', 'X1', 'Y1'\]"),
        (b"\xff\xfe\x00\x01" * 9, "cannot be read as a table"),
        (b"9" * 200_000, "cannot be read as a table .*field larger"),
    ],
)
def test_a_damaged_table_is_an_error(tmp_path: Path, table: str, content: bytes, message: str):
    (make_release(tmp_path) / table).write_bytes(content)
    with pytest.raises(ValueError, match=f"{table} {message}"):
        echonet_dynamic(tmp_path)


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_BYTES", r"has \d+ bytes, expected at most 3"), ("MAX_ROWS", "has more than 3 rows")]
)
def test_a_table_that_is_too_large_is_an_error(
    release: Path, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
):
    monkeypatch.setattr(tables, limit, 3)
    with pytest.raises(ValueError, match=rf"FileList\.csv {message}"):
        echonet_dynamic(release)


@pytest.mark.parametrize("table", ["FileList.csv", "VolumeTracings.csv"])
def test_a_missing_table_is_named_with_the_remedy(tmp_path: Path, table: str):
    (make_release(tmp_path) / table).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{table} is missing; SOURCE is the folder with FileList\.csv"):
        echonet_dynamic(tmp_path)
