"""OpenKBP: CT of the head and neck of 340 patients before radiotherapy; every patient annotates some organs.

As NIfTI: SOURCE/cases.csv (id, fold, and a column of 0 and 1 for each organ), ct/<id>.nii.gz in HU, labels/<id>.nii.gz
with the values below. An organ with 0 is not annotated: it lies unmarked in the background.

References:
    A. Babier et al., Medical Physics 48:5549-5561, 2021, doi 10.1002/mp.14845.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..prepared.source import Job, Source
from .tables import read_columns
from .volume_and_masks import read_volume_and_masks

__all__ = ["ORGANS", "open_kbp"]

# value i + 1; where organs overlap, the later one counts
ORGANS = ("brainstem", "spinal_cord", "right_parotid", "left_parotid", "esophagus", "larynx", "mandible")
FOLDS = {"train": "training", "validation": "validation", "test": "test"}  # official name -> ours


def open_kbp(source: Path) -> Source:
    """Find the patients of OpenKBP.

    Args:
        source: the folder with cases.csv.

    Raises:
        FileNotFoundError: if there is none, or a patient's file is missing.
        ValueError: if the table is malformed.
    """
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
        jobs.append(Job(patient, _item(patient, FOLDS[fold], [int(one) for one in organs]), read))
    return Source(
        name="open_kbp",
        jobs=jobs,
        licence="MIT",
        citation="A. Babier et al., Medical Physics 48:5549-5561, 2021, doi 10.1002/mp.14845",
        label_sets={"open_kbp": {0: "background", **dict(enumerate(ORGANS, start=1))}},
        facts={"modality": "CT"},
    )


def _item(patient: str, fold: str | None, annotated: list[int]) -> dict[str, Any]:
    missing = [name for name, there in zip(ORGANS, annotated, strict=True) if not there]
    item: dict[str, Any] = {"dataset": "open_kbp", "patient": patient, "fold": fold}
    return {**item, "unlabelled": missing} if missing else item
