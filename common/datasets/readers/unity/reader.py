"""Unity Imaging, release of 2020: still frames of several views in which experts drew curves and points.

Layout, in SOURCE or in folders below it:

    labels-{train,tune,ival}.json    the official split: training, validation, test
    labels-all.json                  adds images that are not in the split, in folds by video
    png-cache/01/ab/cd/01-<64 hex digits of the video>-<frame>.png, with or without the leading 01-
    view_index_*.csv                 `file`, `view`; optional, in users' copies
    *database_physical.csv           `FileHash`, `PhysicalDeltaX`, `PhysicalDeltaY`, cm per pixel; likewise

The LV cavity is inside curve-lv-endo, the left atrium inside curve-la-endo. The LV myocardium needs a curve-lv-epi,
which the public files lack; curve-lv-midmyo of later files is not used because it is the middle of the wall. A
structure marked `off` is not in the image and becomes background; a structure that is `blurred` or not marked is listed
in the item's `unlabelled`. Coordinates are pixels of the PNG; whole numbers are pixel centres, as in the heat maps of
the owners' code (which elsewhere puts them at the corners, half a pixel off).

The studies are not public, so each video counts as a patient; the official split is disjoint by study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...catalogue import HEART_LABELS
from ...files.images import read_grey
from ...prepared.source import Frame, Job, Source
from ...views import VIEWS
from .curves import ENDOCARDIUM, LEFT_ATRIUM, Structure, annotation, structures_of, unlabelled
from .tables import find, read_entries, read_spacings, read_views, view_of

__all__ = ["OPTIONS", "SECTOR", "unity"]

OPTIONS = {
    "--view-index": {"type": Path, "help": "CSV of views (SOURCE/**/view_index_*.csv)"},
    "--physical": {"type": Path, "help": "CSV of pixel sizes (SOURCE/**/*database_physical.csv)"},
}
SECTOR = True


def unity(source: Path, view_index: Path | None = None, physical: Path | None = None) -> Source:
    """Find the annotated apical images of Unity Imaging.

    With a view index, only two- and four-chamber views are used; without, every image with an apical curve, and its
    view is None. Without a table of pixel sizes, spacings are None.

    Args:
        source: the folder with the labels and png-cache.
        view_index: CSV with the view of each image; None searches `source`.
        physical: CSV with the pixel size of each video; None searches `source`.

    Raises:
        FileNotFoundError: if `source` has no labels or no images, or a named table is missing.
        ValueError: if a file is malformed, or a list of labels exists twice.
    """
    files = find(source)
    view_tables = [view_index] if view_index else files.views
    physical_tables = [physical] if physical else files.physical
    shown, spacings = read_views(view_tables), read_spacings(physical_tables)
    entries, folds, skipped = read_entries(files.labels)
    jobs: list[Job] = []
    remarks: Counter[str] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()  # through no fault of the image
    for name, labels in sorted(entries.items()):
        video, frame = name.split("-")
        view = view_of(shown.get(name, ""))
        if view_tables and view not in VIEWS:
            left_out[f"of view {shown.get(name, 'unknown')[:40]!a}", f"not of the views {list(VIEWS)}"] += 1
            continue
        try:
            if video not in folds:  # a wrong guess would contaminate the test fold unnoticed
                raise ValueError("its video is in more than one list of the official split")
            structures = structures_of(labels)
            if all(structures[curve].state != "drawn" for curve in (ENDOCARDIUM, LEFT_ATRIUM)):
                left_out[f"without {ENDOCARDIUM} and {LEFT_ATRIUM}", "no structure annotated"] += 1
                continue
            if name not in files.images:
                raise ValueError("its image is missing, or a link that leads out of the source")
        except ValueError as error:
            skipped[name] = str(error)
            continue
        item: dict[str, Any] = {"dataset": "unity", "patient": video, "view": view, "phase": None}
        item |= {"fold": folds[video], "frame": int(frame)}
        if missing := unlabelled(structures):
            item["unlabelled"] = missing
        remarks.update(structure.remark for structure in structures.values() if structure.remark)
        if video in spacings and spacings[video] is None:
            remarks["implausible pixel size, not used"] += 1
        jobs.append(Job(name, item, partial(_read, files.images[name], structures, spacings.get(video))))
    skipped |= {f"{count} images {kind}": reason for (kind, reason), count in left_out.items()}
    return Source(
        name="unity",
        jobs=jobs,
        licence="CC BY-NC-SA 4.0 by its LICENSE file; a survey of datasets says BY-NC-ND, so ask the owners",
        citation="J. P. Howard et al., Circ Cardiovasc Imaging 14(5):e011951, 2021, "
        "doi 10.1161/CIRCIMAGING.120.011951; data.unityimaging.net",
        label_sets={"unity": HEART_LABELS},
        skipped=skipped,
        facts={
            "patients": "videos, because the studies are not public; the official split is disjoint by study",
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
