"""Left Atrium Segmentation Challenge 2018: late-gadolinium MRI of 100 patients, in two forms.

The preprocessed release of Yu et al. (UA-MT): SOURCE/train.list and SOURCE/test.list name cases, one a line (80, 20);
CASE/mri_norm2.h5, at any depth, holds `image` (normalised) and `label` (0 and 1), cropped around the atrium, voxels of
0.625 mm whose axes run to the left, to the back and upwards. As NIfTI: SOURCE/cases.csv (id, fold: train or test),
mri/<id>.nii.gz, labels/<id>.nii.gz.

The official test patients test. Of the others the last tenth by name validates, 8 of 80, and the rest train.

Grey values of MRI have no unit and differ between patients by a factor of four, so in both forms each volume is
standardised by its own mean and standard deviation; values are hundredths of that standard deviation (`standardised`).

References:
    Z. Xiong et al., Medical Image Analysis 67:101832, 2021, doi 10.1016/j.media.2020.101832.
    L. Yu et al., Uncertainty-aware self-ensembling model for semi-supervised 3D left atrium segmentation, MICCAI 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..catalogue import ATRIUM_LABELS
from ..files.volume.voxels import MAX_VOXELS, affine_of_letters
from ..prepared.source import Job, Source
from ..volumes.volume import Volume, standardised
from .tables import check_size, read_columns
from .volume_and_masks import read_volume_and_masks

__all__ = ["left_atrium", "read_h5", "read_nifti"]

FILE = "mri_norm2.h5"
AXES, LENGTH = "LPS", 0.625  # of the release; mm
FOLDS = ("train", "test")  # official names


def left_atrium(source: Path) -> Source:
    """Find the patients of the Left Atrium Segmentation Challenge 2018 in either form.

    Args:
        source: the folder with train.list, or with cases.csv.

    Raises:
        FileNotFoundError: if it is neither, or a patient's file is missing.
        ValueError: if a list or the table of cases is malformed.
    """
    if (source / "cases.csv").is_file():
        form, reads, official = "NIfTI", *_nifti_form(source)
    elif (source / "train.list").is_file():
        form, reads, official = "HDF5", *_h5_form(source)
    else:
        raise FileNotFoundError(
            f"{source} has neither train.list nor cases.csv; SOURCE is the folder 'data' of the release of UA-MT, with "
            f"train.list, test.list and CASE/{FILE}."
        )
    folds = _folds(official)
    items = {name: {"dataset": "left_atrium", "patient": name, "fold": fold} for name, fold in folds.items()}
    return Source(
        name="left_atrium",
        jobs=[Job(name, items[name], read) for name, read in reads.items()],
        licence="research use, under the terms of the Left Atrium Segmentation Challenge 2018",
        citation=(
            "Z. Xiong et al., Medical Image Analysis 67:101832, 2021, doi 10.1016/j.media.2020.101832; preprocessed "
            "release: L. Yu et al., MICCAI 2019"
        ),
        label_sets={"left_atrium": ATRIUM_LABELS},
        facts={"modality": "MR", "release": form, "standardised": True},
    )


def _folds(official: dict[str, str]) -> dict[str, str]:
    """Return our fold of each patient.

    Example:
        >>> list(_folds({"b": "test"} | dict.fromkeys("acdefg", "train")).values())
        ['test', 'training', 'training', 'training', 'training', 'training', 'validation']
    """
    training = sorted(name for name, fold in official.items() if fold == "train")
    validation = training[len(training) - round(len(training) / 10) :]
    ours = {"train": "training", "test": "test"}
    return {name: "validation" if name in validation else ours[fold] for name, fold in official.items()}


def _nifti_form(source: Path) -> tuple[dict[str, Callable[[], Volume]], dict[str, str]]:
    reads: dict[str, Callable[[], Volume]] = {}
    official = {}
    for number, (name, fold) in read_columns(source / "cases.csv", "id", "fold"):
        if fold not in FOLDS or name in official:
            raise ValueError(
                f"{source / 'cases.csv'}, row {number}: {name!r} is in the fold {fold!r}; expected each id once, in "
                f"one of {list(FOLDS)}."
            )
        image, label = (source / folder / f"{name}.nii.gz" for folder in ("mri", "labels"))
        for path in (image, label):
            if not path.is_file():
                raise FileNotFoundError(f"{name} has no {path}; download it again.")
        reads[name], official[name] = partial(read_nifti, image, label), fold
    return reads, official


def _h5_form(source: Path) -> tuple[dict[str, Callable[[], Volume]], dict[str, str]]:
    paths = {path.parent.name: path for path in sorted(source.rglob(FILE))}
    official = {name: fold for fold in FOLDS for name in _listed(source / f"{fold}.list")}
    for name in official:
        if name not in paths:
            raise FileNotFoundError(f"{name} of the lists in {source} has no {name}/{FILE}; download it again.")
    if twice := sorted(set(_listed(source / "train.list")) & set(_listed(source / "test.list"))):
        raise ValueError(f"{source} has {twice[0]!r} in train.list and in test.list; download the lists again.")
    return {name: partial(read_h5, paths[name]) for name in official}, official


def _listed(path: Path) -> Sequence[str]:
    """Return the names of a list, one a line; without a file none."""
    if not path.is_file():
        return []
    check_size(path)
    return [name for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if (name := line.strip())]


def read_nifti(image: Path, label: Path) -> Volume:
    """Read a patient of the NIfTI form, standardised.

    Raises:
        ValueError: if a file cannot be used.
    """
    volume = read_volume_and_masks(image, label, values=range(len(ATRIUM_LABELS)))
    return _volume(volume.image, volume.label, volume.affine, image)


def read_h5(path: Path) -> Volume:
    """Read a patient of the release of Yu et al., standardised.

    Raises:
        ValueError: if the file cannot be used.
    """
    import h5py  # the other form needs no HDF5

    check_size(path)
    try:
        with h5py.File(path, "r") as file:
            image, label = (_dataset(h5py, file, name) for name in ("image", "label"))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {str(error)[:200]} Download it again.") from error
    if image.shape != label.shape or not np.isin(label, (0, 1)).all():
        raise ValueError(
            f"{path}: image {image.shape} and label {label.shape} with values {np.unique(label)[:5].tolist()}, "
            "expected one shape, and values 0 and 1."
        )
    return _volume(image, label.astype(np.uint8), affine_of_letters(AXES, (LENGTH,) * 3), path)


def _dataset(h5py: Any, file: Any, name: str) -> NDArray[Any]:
    """Return the values of a dataset whose size is in bounds and whose values are in this file."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise ValueError(f"it has no dataset {name!r} of its own.")
    data = file[name]
    if data.ndim != 3 or data.dtype.kind not in "biuf" or not 0 < data.size <= MAX_VOXELS:
        raise ValueError(f"{name!r} has the shape {data.shape} and type {data.dtype}, expected numbers in 3-D.")
    if data.external or data.is_virtual:
        raise ValueError(f"{name!r} refers to other files.")
    values: NDArray[Any] = data[()]
    return values


def _volume(image: NDArray[Any], label: NDArray[np.uint8], affine: NDArray[np.float64], path: Path) -> Volume:
    try:
        return Volume(standardised(image), label, affine)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
