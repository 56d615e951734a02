"""The phantom in the layout of EchoNet-Dynamic, decoded here without the reader."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
from layout_files import dice, inside, rows_of

from common.datasets.phantom.study import examine
from layouts.echonet_layout import beat, clip_name, write_echonet_dynamic
from layouts.tracing import disc_volume, trace
from layouts.window import draw_window

LV = 1
FRAMES = 2  # an end-diastolic one and an end-systolic one


@pytest.fixture(scope="module")
def echonet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echonet")
    write_echonet_dynamic(folder, 10, seed=1, frames=FRAMES)
    return folder


def test_echonet_tables_have_the_columns_and_the_order_of_the_release(echonet):
    listed, traced = ((echonet / f"{table}.csv").read_text() for table in ("FileList", "VolumeTracings"))
    assert listed.splitlines()[0] == "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
    assert traced.splitlines()[0] == "FileName,X1,Y1,X2,Y2,Frame"
    files, rows = rows_of(echonet / "FileList.csv"), rows_of(echonet / "VolumeTracings.csv")
    assert [row["FileName"] for row in files] == [clip_name(patient, 1) for patient in range(10)]
    for row in files:
        assert re.fullmatch("0X[0-9A-F]{16}", row["FileName"])
        assert (row["FrameHeight"], row["FrameWidth"], row["NumberOfFrames"]) == ("112", "112", str(FRAMES))
        ef, edv, esv = (float(row[key]) for key in ("EF", "EDV", "ESV"))
        assert ef == pytest.approx(100 * (edv - esv) / edv)
        frames = [int(line["Frame"]) for line in rows if line["FileName"] == f"{row['FileName']}.avi"]
        assert frames == [min(frames)] * 21 + [max(frames)] * 21
        assert max(frames) - min(frames) == FRAMES // 2
    assert len(rows) == 10 * 42
    assert [row["Split"] for row in files] == ["TRAIN"] * 7 + ["VAL"] + ["TEST"] * 2


def test_echonet_chords_outline_the_cavity_from_apex_to_base(echonet):
    rows = rows_of(echonet / "VolumeTracings.csv")
    for patient in range(3):
        study = examine("echonet_like", patient, seed=1)
        diastole, hearts = beat(study, patient, 1, FRAMES)
        areas = {}
        for frame in (diastole, (diastole + FRAMES // 2) % FRAMES):
            own = [r for r in rows if r["FileName"][:18] == clip_name(patient, 1) and int(r["Frame"]) == frame]
            lines = np.array([[float(row[key]) for key in ("X1", "Y1", "X2", "Y2")] for row in own])
            axis, chords = lines[0], lines[1:]
            label = draw_window(study, hearts[frame], frame, (study.window[3] / 112, study.window[2] / 112)).label
            mask = inside(np.concatenate([chords[:, :2], chords[::-1, 2:]]), (112, 112))
            assert dice(mask, label == LV) > 0.98
            assert (np.diff(chords[:, 1::2].mean(axis=1)) > 0).all()  # downwards, from the apex to the base
            assert np.abs((chords[:, 2:] - chords[:, :2]) @ (axis[2:] - axis[:2])).max() < 0.05  # square to the axis
            areas[frame] = mask.sum()
        assert areas.pop(diastole) > areas.popitem()[1]


def test_echonet_clips_are_grey_motion_jpeg_of_the_phantom(echonet):
    for patient in range(3):
        study = examine("echonet_like", patient, seed=1)
        _, hearts = beat(study, patient, 1, FRAMES)
        with av.open(str(echonet / "Videos" / f"{clip_name(patient, 1)}.avi")) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("mjpeg", 112, 112)
            assert stream.average_rate == 30
            clip = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(clip) == FRAMES
        for instant in range(FRAMES):
            image = draw_window(study, hearts[instant], instant, (study.window[3] / 112, study.window[2] / 112)).image
            assert np.ptp(clip[instant], axis=2).max() == 0
            assert np.abs(clip[instant][:, :, 0].astype(int) - image).mean() < 2


def test_echonet_clips_start_at_any_point_of_the_beat():
    study = examine("echonet_like", 0)
    starts = [beat(study, patient, 0, 24)[0] for patient in range(20)]
    assert 4 < sum(start < 12 for start in starts) < 16  # end-diastole comes first in some, end-systole in others
    diastole, hearts = beat(study, 0, 0, 24)
    volumes = [disc_volume(trace(study.scanner.protocol, heart)) for heart in hearts]
    assert (int(np.argmax(volumes)), int(np.argmin(volumes))) == (diastole, (diastole + 12) % 24)
