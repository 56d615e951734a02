"""Unity Imaging, the release of 2020: still frames of several views in which experts drew curves and points.

Layout read, in SOURCE or in folders below it:

    labels-{train,tune,ival}.json    the official split: training, validation, test
    labels-all.json                  adds what no list of the split names, in folds by video
    png-cache/01/ab/cd/01-<64 hex digits of the video>-<frame>.png, with or without the leading 01-
    view_index_*.csv                 `file`, `view`; in users' copies, optional
    *database_physical.csv           `FileHash`, `PhysicalDeltaX`, `PhysicalDeltaY`, cm a pixel; likewise

The LV cavity lies within curve-lv-endo, the left atrium within curve-la-endo. The LV myocardium needs a curve-lv-epi,
which the public files lack; curve-lv-midmyo of later files is not used: it is the middle of the wall, no outer border.
A structure marked `off` is certainly not in the image and becomes background; one that is `blurred`, or not marked at
all, stands in the item's `unlabelled`. Coordinates are pixels of the PNG, with whole numbers at the pixels' centres as
in the heat maps of the owners' code (which elsewhere puts them at the corners, half a pixel off).

The studies are not public, so a patient is a video here; the official split is disjoint by study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...files.images import read_grey
from ...prepared.source import Frame, Job, Source
from ...views import VIEWS
from .curves import ENDOCARDIUM, LEFT_ATRIUM, Structure, annotation, structures_of, unlabelled
from .tables import find, read_entries, read_spacings, read_views, view_of

__all__ = ["unity"]


def unity(
    source: Path, view_index: Path | None = None, physical: Path | None = None, views: tuple[str, ...] = VIEWS
) -> Source:
    """Find the annotated apical images of Unity Imaging.

    Args:
        source: the folder that holds the labels and png-cache.
        view_index: tells the view of each image; None takes what `source` holds. Without any, the view is None and
            every image with an apical curve is taken, whichever apical view it shows.
        physical: tells the size of the pixels of each video; None takes what `source` holds. Without, no spacing.
        views: to take, of "2CH" and "4CH", where there is a view index.

    Raises:
        FileNotFoundError: if `source` holds no labels or no images, or a table that is named is missing.
        ValueError: if a view is unknown, a file is malformed, or labels are there twice.
    """
    if unknown := set(views) - set(VIEWS):
        raise ValueError(f"views {sorted(unknown)} are unknown; taken are {list(VIEWS)}.")
    files = find(source)
    view_tables = [view_index] if view_index else files.views
    physical_tables = [physical] if physical else files.physical
    shown, spacings = read_views(view_tables), read_spacings(physical_tables)
    entries, folds, skipped = read_entries(files.labels)
    jobs: list[Job] = []
    remarks: Counter[str] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()  # what is no fault of an image
    for name, labels in sorted(entries.items()):
        video, frame = name.split("-")
        view = view_of(shown.get(name, ""))
        if view_tables and view not in views:
            left_out[f"of view {shown.get(name, 'unknown')[:40]!a}", f"not of the views {list(views)}"] += 1
            continue
        try:
            if video not in folds:  # which list is right cannot be told, and a wrong one spoils the test unnoticed
                raise ValueError("its video is in more than one list of the official split")
            structures = structures_of(labels)
            if all(structures[curve].state != "drawn" for curve in (ENDOCARDIUM, LEFT_ATRIUM)):
                left_out[f"without {ENDOCARDIUM} and {LEFT_ATRIUM}", "no structure annotated"] += 1
                continue
            if name not in files.images:
                raise ValueError("its image is missing, or a link that leads outside the source")
        except ValueError as error:
            skipped[name] = str(error)
            continue
        item: dict[str, Any] = {"dataset": "unity", "patient": video, "view": view, "phase": None}
        item |= {"fold": folds[video], "frame": int(frame)}
        if missing := unlabelled(structures):
            item["unlabelled"] = missing
        remarks.update(structure.remark for structure in structures.values() if structure.remark)
        if video in spacings and spacings[video] is None:
            remarks["implausible size of a pixel, not used"] += 1
        jobs.append(Job(name, item, partial(_read, files.images[name], structures, spacings.get(video))))
    skipped |= {f"{count} images {which}": reason for (which, reason), count in left_out.items()}
    return Source(
        name="unity",
        jobs=jobs,
        licence="CC BY-NC-SA 4.0 by its LICENSE file; a survey of datasets says BY-NC-ND, so ask the owners",
        citation="J. P. Howard et al., Circ Cardiovasc Imaging 14(5):e011951, 2021, "
        "doi 10.1161/CIRCIMAGING.120.011951; data.unityimaging.net",
        label_sets={"unity": [["background"], ["lv_cavity"], ["lv_myocardium"], ["left_atrium"]]},
        skipped=skipped,
        facts={
            "patients": "videos, for the studies are not public; the official split is disjoint by study",
            "tables": [path.name for path in (*view_tables, *physical_tables)],
            "remarks": dict(remarks),
        },
    )


def _read(path: Path, structures: Mapping[str, Structure], spacing: tuple[float, float] | None) -> Frame:
    image, _ = read_grey(path)
    rows, columns = image.shape
    try:
        return Frame(image, annotation(structures, (rows, columns)), spacing)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
