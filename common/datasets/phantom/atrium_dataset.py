"""Drawn atria as a dataset: two scanners, the left atrium annotated, in fixed folds."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..catalogue import ATRIUM_LABELS
from ..prepared.source import Job, Source
from ..volumes.volume import Volume
from .atrium import ATRIUM_SCANNERS, FIELD, draw_atrium
from .dataset import FOLD_OF_TEN, LICENCE

__all__ = ["atria"]


def _read(scanner: str, patient: int, seed: int, spacing: float) -> Volume:
    drawn = draw_atrium(scanner, patient, seed, spacing)
    affine = np.diag([*drawn.spacing, 1.0])
    affine[:3, 3] = FIELD[:, 0] + spacing / 2
    return Volume(drawn.image, drawn.label, affine)


def atria(patients: int = 40, spacing: float = 2.0, seed: int = 0) -> Source:
    """Draw the MRI of patients of both scanners; all are annotated, and a bundle hides what it treats as unlabelled.

    Args:
        patients: number at each scanner; patient n differs between scanners.
        spacing: mm per voxel.
        seed: of everything.

    Raises:
        ValueError: for fewer than 10 patients, which leave a fold empty, or a spacing that shows no vein.
    """
    if patients < 10:
        raise ValueError(f"{patients} phantom patients leave a fold empty; at least 10 are needed.")
    names = {
        f"{scanner}_{patient:04d}": (scanner, patient) for scanner in ATRIUM_SCANNERS for patient in range(patients)
    }
    jobs = [
        Job(
            id=name,
            item={"dataset": scanner, "patient": name, "fold": FOLD_OF_TEN[patient % 10]},
            read=partial(_read, scanner, patient, seed, spacing),
        )
        for name, (scanner, patient) in names.items()
    ]
    return Source(
        name="atria",
        jobs=jobs,
        licence=LICENCE,
        citation="drawn by formula; no patient's data were used",
        label_sets=dict.fromkeys(ATRIUM_SCANNERS, ATRIUM_LABELS),
        facts={"patients": patients, "modality": "MR", "seed": seed, "standardised": True},
    )
