"""Phantom patients in the layout of EchoNet-Dynamic: clips of a beat, two traced frames each, no spacing."""

from __future__ import annotations

import csv
import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.datasets.phantom.dataset import FOLD_OF_TEN
from common.datasets.phantom.heart import Heart
from common.datasets.phantom.study import Study, examine

from .tracing import chords, disc_volume, trace
from .window import between, canvas, draw_window

__all__ = ["SIZE", "beat", "clip_name", "write_echonet_dynamic"]

SIZE = 112  # pixels a side
FRAME_RATE = 30  # Hz: the default of 24 frames is a beat of 0.8 s
OFFICIAL = {"training": "TRAIN", "validation": "VAL", "test": "TEST"}  # our fold -> official name
FILE_LIST = ["FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split"]
VOLUME_TRACINGS = ["FileName", "X1", "Y1", "X2", "Y2", "Frame"]
# where 20 chords cross the long axis, 0 to 1: dense at both ends, so that their ends outline the cavity
PLACES = (1 - np.cos(np.pi * (np.arange(20) + 0.5) / 20)) / 2


def write_echonet_dynamic(folder: Path, patients: int, seed: int = 0, frames: int = 24) -> None:
    """Write patients of the domain "echonet_like" as Videos, FileList.csv and VolumeTracings.csv.

    Every clip starts at another place in the beat. Volumes are monoplane (20 discs of the traced cavity), where the
    release has those of the clinical report.

    Args:
        folder: an empty folder.
        patients: how many; of every ten seven train, one validates, two test.
        seed: of the population.
        frames: in a clip, one beat; an even number, so that one frame shows end-systole.
    """
    (folder / "Videos").mkdir()
    rows: list[list[object]] = []
    tracings: list[list[object]] = []
    for patient in tqdm(range(patients), desc="draw echonet-dynamic", unit=" patients"):
        name, study = clip_name(patient, seed), examine("echonet_like", patient, seed)
        diastole, hearts = beat(study, patient, seed, frames)
        systole = (diastole + frames // 2) % frames
        spacing = _spacing(study)
        clip = [draw_window(study, heart, instant, spacing).image for instant, heart in enumerate(hearts)]
        _write_avi(folder / "Videos" / f"{name}.avi", clip)
        edv, esv = (disc_volume(trace(study.scanner.protocol, hearts[frame])) for frame in (diastole, systole))
        fold = OFFICIAL[FOLD_OF_TEN[patient % 10]]
        rows.append([name, 100 * (edv - esv) / edv, esv, edv, SIZE, SIZE, FRAME_RATE, frames, fold])
        for frame in sorted((diastole, systole)):
            tracings += [[f"{name}.avi", *line, frame] for line in _lines(study, hearts[frame]).round(4).tolist()]
    for table, header, content in (("FileList", FILE_LIST, rows), ("VolumeTracings", VOLUME_TRACINGS, tracings)):
        with (folder / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *content])


def clip_name(patient: int, seed: int = 0) -> str:
    """Return the name of a patient's clip, without suffix, in the manner of the release.

    Example:
        >>> clip_name(0)
        '0X5513E3EABBA6D754'
    """
    return f"0X{hashlib.sha256(f'{seed}/{patient}'.encode()).hexdigest()[:16].upper()}"


def beat(study: Study, patient: int, seed: int, frames: int) -> tuple[int, list[Heart]]:
    """Move the heart through one beat that starts anywhere.

    Args:
        study: of the patient.
        patient: number of the patient.
        seed: of the population.
        frames: in the beat.

    Returns:
        The frame that shows end-diastole, and the heart at every frame; end-systole is half a beat away.
    """
    diastole = int(np.random.default_rng([seed, patient]).integers(frames))
    fractions = (1 - np.cos(2 * np.pi * (np.arange(frames) - diastole) / frames)) / 2
    return diastole, [between(study.hearts["ED"], study.hearts["ES"], float(fraction)) for fraction in fractions]


def _spacing(study: Study) -> tuple[float, float]:
    return study.window[3] / SIZE, study.window[2] / SIZE


def _lines(study: Study, heart: Heart) -> NDArray[np.float64]:
    """Return X1, Y1, X2, Y2 of the long axis, apex first, and of 20 chords from apex to mitral plane, (21, 4)."""
    tracing = trace(study.scanner.protocol, heart)
    apex, middle = tracing.axis
    reach = (tracing.endocardium - apex) @ (middle - apex) / np.square(middle - apex).sum()
    across = chords(tracing.endocardium, tracing.axis, reach.min() + np.ptp(reach) * PLACES)
    points = np.concatenate([tracing.axis[None], across]).reshape(-1, 2)
    return canvas(study, _spacing(study)).to_pixels(points)[:, ::-1].reshape(-1, 4)


def _write_avi(path: Path, clip: list[NDArray[np.uint8]]) -> None:
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        # coarsest quantiser 3: the frames went through JPEG once already
        stream = container.add_stream("mjpeg", rate=Fraction(FRAME_RATE), options={"qmin": "1", "qmax": "3"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuvj420p"
        stream.codec_context.thread_count = 1
        grey = np.full((SIZE // 2, SIZE), 128, np.uint8)  # both chroma planes
        for image in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate([image, grey]), "yuvj420p")))
        container.mux(stream.encode())
