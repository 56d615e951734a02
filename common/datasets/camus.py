"""CAMUS, the NIfTI release: apical views of 500 patients, ED and ES, with LV cavity, LV myocardium and left atrium.

Layout read: SOURCE/database_nifti/patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES}[_gt].nii[.gz] and the official split
SOURCE/database_split/subgroup_{training,validation,testing}.txt. Annotation values: 0 background, 1 LV cavity,
2 LV myocardium, 3 left atrium.

References:
    S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516.
"""

from __future__ import annotations

import gzip
import math
import zlib
from functools import partial
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from common.datasets.prepared import Frame, Job, Source

__all__ = ["camus", "read_nifti"]

VALUES = (0, 1, 2, 3)
VIEWS = ("2CH", "4CH")
PHASES = ("ED", "ES")
SPLIT_FILES = {"training": "training", "validation": "validation", "testing": "test"}  # official name -> our fold


def read_nifti(path: Path) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Read a 2-D NIfTI image upright: rows run downwards from the transducer, columns to the right.

    ITK indexes (row, column) already; CAMUS stores integers 0 to 255 as float.

    Args:
        path: a .nii or .nii.gz file.

    Returns:
        Values, uint8, (rows, columns), and the spacing, mm per pixel, (row, column).

    Raises:
        ValueError: if the file is unreadable, not 2-D, or holds anything but the integers 0 to 255.
    """
    try:
        image = itk.imread(str(path))
        _check_whole(path)
    except (RuntimeError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as NIfTI: truncated or not an image? Download it again.") from error
    array = itk.array_from_image(image)
    if array.ndim != 2:
        raise ValueError(f"{path} has shape {array.shape}; a single 2-D frame is expected.")
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255 or (array != np.round(array)).any():
        raise ValueError(f"{path} holds values outside the integers 0 to 255 ({array.min()} to {array.max()}).")
    column, row = image.GetSpacing()  # ITK's order is (x, y)
    return array.astype(np.uint8), (float(row), float(column))


def _check_whole(path: Path) -> None:
    # ITK reads a truncated file without a word, with zeros for the pixels that are missing
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()  # raises if the compressed stream breaks off
    order = "<" if int.from_bytes(content[:4], "little") == 348 else ">"  # the header's size, its first number
    rank, *sizes = np.frombuffer(content, f"{order}i2", count=8, offset=40).tolist()
    bits = int(np.frombuffer(content, f"{order}i2", count=1, offset=72)[0])
    start = int(np.frombuffer(content, f"{order}f4", count=1, offset=108)[0])
    if len(content) < start + math.prod(sizes[:rank]) * bits // 8:
        raise EOFError(f"{path} ends after {len(content)} bytes.")


def _read(image: Path, label: Path) -> Frame:
    values, spacing = read_nifti(image)
    annotation, annotation_spacing = read_nifti(label)
    if not np.allclose(spacing, annotation_spacing, rtol=1e-3):
        raise ValueError(f"{label} has spacing {annotation_spacing} mm, its image {spacing} mm.")
    unknown = sorted(set(np.unique(annotation).tolist()) - set(VALUES))
    if unknown:
        raise ValueError(f"{label} holds the annotation values {unknown}; CAMUS has {list(VALUES)}.")
    return Frame(values, annotation, spacing)


def _find(folder: Path, stem: str) -> Path | None:
    return next((path for suffix in (".nii.gz", ".nii") if (path := folder / (stem + suffix)).is_file()), None)


def _folds(source: Path) -> dict[str, str]:
    folds: dict[str, str] = {}
    for official, fold in SPLIT_FILES.items():
        path = source / "database_split" / f"subgroup_{official}.txt"
        for patient in path.read_text().split() if path.is_file() else []:
            if patient in folds:
                raise ValueError(f"{path} lists {patient}, which is already in the fold {folds[patient]!r}.")
            folds[patient] = fold
    if not folds:
        raise FileNotFoundError(
            f"{source} has no database_split/subgroup_training.txt, so the official split is unknown; "
            "SOURCE is the folder that holds database_nifti and database_split."
        )
    return folds


def camus(source: Path, views: tuple[str, ...] = VIEWS, skip_incomplete: bool = False) -> Source:
    """Find the images of the CAMUS NIfTI release.

    Args:
        source: the folder that holds database_nifti and database_split.
        views: the views to take, of "2CH" and "4CH"; a view that no patient has is left out.
        skip_incomplete: leave out (and record) an image whose annotation is missing, instead of stopping.

    Raises:
        FileNotFoundError: if `source` is not the release, or an image or annotation of a listed patient is missing.
        ValueError: if a view is unknown or a patient stands in two folds.
    """
    if unknown := set(views) - set(VIEWS):
        raise ValueError(f"views {sorted(unknown)} are unknown; CAMUS has {list(VIEWS)}.")
    folds = _folds(source)
    root = source / "database_nifti"
    present = [view for view in views if next(root.glob(f"patient*/*_{view}_E[DS].nii*"), None)]
    if not present:
        raise FileNotFoundError(f"{root} holds no patientXXXX/patientXXXX_{{{','.join(views)}}}_ED.nii.gz.")
    jobs: list[Job] = []
    skipped = {f"{view} view": "not in this copy of the data" for view in views if view not in present}
    skipped |= {
        folder.name: "in no list of the official split"
        for folder in sorted(root.glob("patient*"))
        if folder.name not in folds
    }
    for patient, fold in sorted(folds.items()):
        for view in present:
            for phase in PHASES:
                stem = f"{patient}_{view}_{phase}"
                image, label = _find(root / patient, stem), _find(root / patient, f"{stem}_gt")
                if image is None or label is None:
                    missing = f"{stem}{'_gt' if image else ''}.nii.gz"
                    if not skip_incomplete:
                        raise FileNotFoundError(
                            f"{patient} has no {missing}; run with --skip-incomplete to leave the image out."
                        )
                    skipped[stem] = f"{missing} is missing"
                    continue
                item = {"dataset": "camus", "patient": patient, "view": view, "phase": phase, "fold": fold}
                jobs.append(Job(stem, item, partial(_read, image, label)))
    return Source(
        name="camus",
        jobs=jobs,
        licence="CC BY-NC-SA 4.0, non-commercial scientific research only",
        citation="S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516",
        skipped=skipped,
    )
