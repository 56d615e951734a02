"""OpenKBP: CT of the head and neck of 340 patients before radiotherapy; every patient annotates some of seven organs.

There are two forms. The public release: SOURCE/provided-data/{train,validation,test}-pats/pt_N with sparse tables over
128 x 128 x 128 voxels, whose index is flat in C order and whose axes run to the back, to the left and downwards:
ct.csv (HU + 1024, 0 to 4095), one table for each annotated organ (indices alone), possible_dose_mask.csv and
voxel_dimensions.csv (mm). A missing table means that the organ is not annotated. The CT is given inside the mask of the
possible dose alone, so what surrounds it is air here, and slices at both ends that show little more than the spinal
cord are left out: their blank edge would draw the organ. As NIfTI: SOURCE/cases.csv (id, fold, and a column of 0 and 1
for each organ), ct/<id>.nii.gz in HU, labels/<id>.nii.gz.

Patients who annotate all seven organs are the dataset `open_kbp`, all others `open_kbp_partial`.

Values: 0 background, then the organs in the order of `ORGANS`; where two overlap, the later one counts.

References:
    A. Babier et al., Medical Physics 48:5549-5561, 2021, doi 10.1002/mp.14845.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.volume.voxels import affine_of_letters
from ..prepared.source import Job, Source
from ..volumes.volume import Volume
from .tables import check_size, read_columns
from .volume_and_masks import read_volume_and_masks

__all__ = ["ORGANS", "open_kbp", "read_release"]

ORGANS = {  # class -> name of the table in the release
    "brainstem": "Brainstem",
    "spinal_cord": "SpinalCord",
    "right_parotid": "RightParotid",
    "left_parotid": "LeftParotid",
    "esophagus": "Esophagus",
    "larynx": "Larynx",
    "mandible": "Mandible",
}
DATASETS = ("open_kbp", "open_kbp_partial")  # of the patients who annotate every organ, and of the others
FOLDS = {"train": "training", "validation": "validation", "test": "test"}  # official name -> ours
SHAPE = (128, 128, 128)
AXES = "PLI"  # of the release
AIR, ZERO = -1024, 1024  # HU; what is added to HU
WHOLE = 1 / 3  # of the median area of the mask: slices with less are left out


def open_kbp(source: Path) -> Source:
    """Find the patients of OpenKBP in either form.

    Args:
        source: the folder with provided-data, or with cases.csv.

    Raises:
        FileNotFoundError: if it is neither, or a patient's file is missing.
        ValueError: if the table of cases is malformed.
    """
    release = source / "provided-data" if (source / "provided-data").is_dir() else source
    official = {fold: sorted((release / f"{fold}-pats").glob("pt_*"), key=_number) for fold in FOLDS}
    if (source / "cases.csv").is_file():
        form, jobs = "NIfTI", _nifti_jobs(source)
    elif any(official.values()):
        form, jobs = "CSV", [_release_job(folder, FOLDS[fold]) for fold, own in official.items() for folder in own]
    else:
        raise FileNotFoundError(
            f"{source} has neither provided-data/train-pats/pt_1 nor cases.csv; SOURCE is the unpacked repository "
            "ababier/open-kbp."
        )
    return Source(
        name="open_kbp",
        jobs=jobs,
        licence="MIT",
        citation="A. Babier et al., Medical Physics 48:5549-5561, 2021, doi 10.1002/mp.14845",
        label_sets={name: {0: "background", **dict(enumerate(ORGANS, start=1))} for name in DATASETS},
        facts={"modality": "CT", "release": form},
    )


def _number(folder: Path) -> tuple[int, str]:
    digits = folder.name.removeprefix("pt_")
    return (int(digits) if digits.isdecimal() else 0), folder.name


def _item(patient: str, fold: str, annotated: list[str]) -> dict[str, Any]:
    missing = [name for name in ORGANS if name not in annotated]
    item = {"dataset": DATASETS[bool(missing)], "patient": patient, "fold": fold}
    return {**item, "unlabelled": missing} if missing else item


def _nifti_jobs(source: Path) -> list[Job]:
    jobs = []
    for number, (patient, fold, *organs) in read_columns(source / "cases.csv", "id", "fold", *ORGANS):
        if fold not in FOLDS or not set(organs) <= {"0", "1"}:
            raise ValueError(
                f"{source / 'cases.csv'}, row {number}: fold is {fold!r} and the organs are {organs}; expected one of "
                f"{list(FOLDS)}, and 0 or 1."
            )
        image, label = (source / name / f"{patient}.nii.gz" for name in ("ct", "labels"))
        for path in (image, label):
            if not path.is_file():
                raise FileNotFoundError(f"{patient} has no {path}; download it again.")
        read = partial(read_volume_and_masks, image, label, values=tuple(range(1 + len(ORGANS))))
        annotated = [name for name, there in zip(ORGANS, organs, strict=True) if there == "1"]
        jobs.append(Job(patient, _item(patient, FOLDS[fold], annotated), read))
    return jobs


def _release_job(folder: Path, fold: str) -> Job:
    needed = [folder / f"{name}.csv" for name in ("ct", "possible_dose_mask", "voxel_dimensions")]
    for path in needed:
        if not path.is_file():
            raise FileNotFoundError(f"{folder.name} has no {path}; download it again.")
    tables = {name: path for name, table in ORGANS.items() if (path := folder / f"{table}.csv").is_file()}
    values = tuple(list(ORGANS).index(name) + 1 for name in tables)
    read = partial(read_release, *needed, *tables.values(), values=values)
    return Job(folder.name, _item(folder.name, fold, list(tables)), read)


def read_release(ct: Path, possible_dose: Path, dimensions: Path, *organs: Path, values: tuple[int, ...]) -> Volume:
    """Read a patient of the release, cropped to the slices that show more than the spinal cord.

    Args:
        ct: table of HU + 1024.
        possible_dose: table of the voxels whose CT is given.
        dimensions: mm along each axis.
        organs: tables of the organs that this patient annotates.
        values: annotation value of each.

    Raises:
        ValueError: if a table is malformed.
    """
    lengths = _numbers(dimensions, header=False)
    if lengths.shape != (3, 1) or not ((lengths > 0) & (lengths < 100)).all():
        raise ValueError(f"{dimensions} has {lengths.ravel()[:5].tolist()}, expected three lengths in mm.")
    given = np.zeros(SHAPE, bool)
    given.flat[_indices(possible_dose)] = True
    image = np.full(SHAPE, AIR, np.int16)
    index, value = _numbers(ct, columns=2).T
    image.flat[_checked(index, ct)] = (value.clip(0, 4095) - ZERO).round().astype(np.int16)
    image[~given] = AIR
    label = np.zeros(SHAPE, np.uint8)
    for organ, own in zip(organs, values, strict=True):
        label.flat[_indices(organ)] = own
    area = given.sum(axis=(0, 1))
    if not area.any():
        raise ValueError(f"{possible_dose} has no voxel.")
    whole = np.flatnonzero(area >= WHOLE * np.median(area[area > 0]))
    rows, columns = (np.flatnonzero(given[:, :, whole].any(axis=axes)) for axes in ((1, 2), (0, 2)))
    box = tuple(slice(int(places[0]), int(places[-1]) + 1) for places in (rows, columns, whole))
    affine = affine_of_letters(AXES, lengths.ravel().tolist())
    affine[:3, 3] = (affine @ [*(one.start for one in box), 1.0])[:3]
    return Volume(image[box], label[box], affine)


def _indices(path: Path) -> NDArray[np.int64]:
    return _checked(_numbers(path).ravel(), path)


def _checked(index: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    whole = index.astype(np.int64)
    if (whole != index).any() or (whole < 0).any() or (whole >= np.prod(SHAPE)).any():
        raise ValueError(f"{path} has indices that are not whole numbers from 0 to {np.prod(SHAPE) - 1}.")
    return whole


def _numbers(path: Path, columns: int = 1, header: bool = True) -> NDArray[np.float64]:
    """Read the first columns of a table, (rows, columns)."""
    check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty table
            numbers = np.loadtxt(path, delimiter=",", skiprows=int(header), usecols=range(columns), ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a table of numbers; download it again.") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"{path} holds values that are not finite numbers; download it again.")
    return numbers.reshape(-1, columns)
