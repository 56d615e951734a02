"""EchoNet-Dynamic: apical four-chamber clips of 10,030 patients, with the LV cavity traced in two frames of each.

Layout: SOURCE/{FileList.csv,VolumeTracings.csv,Videos/<name>.avi}, or the same in SOURCE/EchoNet-Dynamic. A tracing is
one row with the long axis and 20 rows with the chords across it, from apex to mitral plane: X1,Y1,X2,Y2 in pixels of
the clip of 112 x 112. Annotation values: 0 anything else, 1 LV cavity. The pixel spacing is unknown.

References:
    D. Ouyang et al., Nature 580:252-256, 2020, doi 10.1038/s41586-020-2145-8.
"""

from __future__ import annotations

import math
import os
import re
from array import array
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...contours import fill
from ..files.video_scan import read_motion_jpeg
from ..prepared.source import Frame, Job, Source
from .tables import read_columns

__all__ = ["SECTOR", "echonet_dynamic"]

SECTOR = True
SIDE = 112  # rows and columns of every traced clip
ROWS = 21  # of a complete tracing: the long axis and 20 chords
MIN_CHORDS = 3
FOLDS = {"TRAIN": "training", "VAL": "validation", "TEST": "test"}  # official name -> our fold
CLINICAL = {"EF": "ef", "EDV": "edv", "ESV": "esv", "FPS": "frame_rate"}  # column -> key of the item
TABLES = ("FileList.csv", "VolumeTracings.csv")
SAFE_NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)


def echonet_dynamic(source: Path) -> Source:
    """Find the traced frames of EchoNet-Dynamic, two per video, in the official folds.

    The frame with the larger traced area is ED, the frame with the smaller area ES, whatever the order of the rows. If
    a frame has several tracings in succession, the first is used; `facts` counts these frames.

    Args:
        source: the folder with FileList.csv, VolumeTracings.csv and Videos, or the folder above it.

    Raises:
        FileNotFoundError: if `source` is not the release or has none of its videos.
        ValueError: if a table is damaged, lacks a column, or lists a video twice.
    """
    root = source if (source / "FileList.csv").is_file() else source / "EchoNet-Dynamic"
    for name in TABLES:
        if not (root / name).is_file():
            raise FileNotFoundError(f"{root / name} is missing; SOURCE is the folder with FileList.csv and Videos.")
    listed, skipped = _read_list(root / "FileList.csv")
    tracings = _read_tracings(root / "VolumeTracings.csv")
    folder = root / "Videos"
    entries = os.scandir(folder) if folder.is_dir() else ()
    present = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}  # a link may lead anywhere
    if not any(f"{name}.avi" in present for name in listed):
        raise FileNotFoundError(f"{folder} has none of the {len(listed)} videos that FileList.csv names.")
    unlisted = [name[:100] for name in tracings if name not in listed and name not in skipped]
    skipped |= dict.fromkeys(unlisted, "has tracings but is not in FileList.csv")
    jobs: list[Job] = []
    several = 0
    for name, item in listed.items():
        frames = tracings.get(name, {})
        outlines: dict[int, NDArray[np.float64]] = {}
        for number, rows in frames.items():
            try:
                outlines[number] = _outline(number, rows)
            except ValueError as error:
                skipped[f"{name} frame {number}"] = str(error)
        areas = {number: _area(outline) for number, outline in outlines.items()}
        reason = (
            ("" if f"{name}.avi" in present else f"there is no file Videos/{name}.avi")
            or ("" if frames else "has no tracing in VolumeTracings.csv")
            or ("" if len(set(areas.values())) > 1 else "ED and ES need two frames with tracings of different areas")
        )
        if reason:
            skipped[name] = reason
            continue
        for phase, choose in (("ED", max), ("ES", min)):
            number = choose(areas, key=areas.__getitem__)
            several += len(frames[number]) > 4 * ROWS
            read = partial(_read, folder / f"{name}.avi", number, outlines[number])
            jobs.append(Job(f"{name}_4CH_{phase}", item | {"phase": phase, "frame": number}, read))
    return Source(
        name="echonet_dynamic",
        jobs=jobs,
        licence="Stanford University research use agreement: personal, non-commercial research, no redistribution",
        citation="D. Ouyang et al., Nature 580:252-256, 2020, doi 10.1038/s41586-020-2145-8",
        label_sets={"echonet_dynamic": [["background"], ["lv_cavity"]]},
        skipped=skipped,
        facts={"frames_with_several_tracings": several},
    )


def _read_list(path: Path) -> tuple[dict[str, dict[str, object]], dict[str, str]]:
    """Return items by video name, and the videos that are left out with reasons."""
    listed: dict[str, dict[str, object]] = {}
    skipped: dict[str, str] = {}
    for number, (file, split, *clinical) in read_columns(path, "FileName", "Split", *CLINICAL):
        name = file.removesuffix(".avi")
        if not SAFE_NAME.fullmatch(name):
            skipped[f"row {number} of FileList.csv"] = f"FileName {file[:100]!r} is not a plain file name"
        elif split.upper() not in FOLDS:
            skipped[name] = f"Split is {split[:100]!r}, expected one of {list(FOLDS)}"
        elif name in listed:
            raise ValueError(f"{path} lists {name} again in row {number}; keep only the right row.")
        else:
            known = {key: _number(text) for key, text in zip(CLINICAL.values(), clinical, strict=True)}
            fixed = {"dataset": "echonet_dynamic", "patient": name, "view": "4CH", "fold": FOLDS[split.upper()]}
            listed[name] = fixed | {key: value for key, value in known.items() if 0 < value < math.inf}
    return listed, skipped


def _read_tracings(path: Path) -> dict[str, dict[int, array[float]]]:
    """Return X1, Y1, X2, Y2 of all rows by video name and frame; NaN where a coordinate is not a number."""
    written: defaultdict[tuple[str, ...], array[float]] = defaultdict(lambda: array("d"))
    for _, fields in read_columns(path, "FileName", "Frame", "X1", "Y1", "X2", "Y2"):
        try:
            row = tuple(map(float, fields[2:]))
        except ValueError:
            row = (math.nan,) * 4
        written[fields[:2]].extend(row)
    tracings: dict[str, dict[int, array[float]]] = {}
    for (file, frame), rows in written.items():
        number = _number(frame)
        frames = tracings.setdefault(file.removesuffix(".avi"), {})
        frames.setdefault(int(number) if number.is_integer() else -1, array("d")).extend(rows)
    return tracings


def _outline(frame: int, rows: array[float]) -> NDArray[np.float64]:
    """Return the outline, down one end of the chords and up the other: (points, 2), (row, column).

    Whole numbers are pixel centres, as in the official code. Points outside the frame are moved to its border.
    """
    if frame < 0:
        raise ValueError("is not a frame; frames are counted from 0")
    chords = np.array(rows).reshape(-1, 4)[1:ROWS]  # the first row is the long axis
    if len(chords) < MIN_CHORDS:
        raise ValueError(f"has {len(chords)} chords; {MIN_CHORDS} are needed")
    if not np.isfinite(chords).all():
        raise ValueError("has a coordinate that is not a number")
    points = np.concatenate([chords[:, :2], chords[::-1, 2:]])
    outline: NDArray[np.float64] = points[:, ::-1].clip(-0.5, SIDE - 0.5)
    if _area(outline) < 1:
        raise ValueError("encloses less than a pixel")
    return outline


def _area(outline: NDArray[np.float64]) -> float:
    row, column = np.concatenate([outline, outline[:1]]).T
    return abs(float(row[:-1] @ column[1:] - column[:-1] @ row[1:])) / 2


def _read(path: Path, frame: int, outline: NDArray[np.float64]) -> Frame:
    image, motion = read_motion_jpeg(path, frame)
    if image.shape != (SIDE, SIDE):
        raise ValueError(f"{path} has frames of {image.shape} pixels; its tracing is for {(SIDE, SIDE)}.")
    return Frame(image, fill(outline, (SIDE, SIDE)).astype(np.uint8), None, motion)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
