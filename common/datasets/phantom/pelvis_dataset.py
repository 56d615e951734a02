"""Drawn pelves as a dataset: a supine and a prone domain, all structures annotated, in fixed folds."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..prepared.source import Job, Source
from ..volumes.volume import Volume
from .dataset import FOLD_OF_TEN, LICENCE
from .pelvis import DOMAINS, FIELD, PELVIS_LABELS, draw_pelvis

__all__ = ["WINDOW", "pelves"]

WINDOW = (-200, 200)  # HU, of Filbrandt et al. (2021)


def _read(domain: str, patient: int, seed: int, spacing: float) -> Volume:
    pelvis = draw_pelvis(domain, patient, seed, spacing)
    affine = np.diag([*pelvis.spacing, 1.0])
    affine[:3, 3] = FIELD[:, 0] + spacing / 2
    return Volume(pelvis.image, pelvis.label, affine)


def pelves(patients: int = 40, spacing: float = 4.0, seed: int = 0) -> Source:
    """Draw the CT of patients of both domains.

    Both annotate all six structures: what the prone domain lacks in an experiment is hidden from its training
    (`withheld` of a bundle), so that tests can score it.

    Args:
        patients: number in each domain; patient n differs between domains.
        spacing: mm per voxel.
        seed: of everything.

    Raises:
        ValueError: for fewer than 10 patients, which leave a fold empty, or a spacing that shows no organ.
    """
    if patients < 10:
        raise ValueError(f"{patients} phantom patients leave a fold empty; at least 10 are needed.")
    jobs = [
        Job(
            id=f"{domain}_{patient:04d}",
            item={
                "dataset": domain,
                "patient": f"{domain}_{patient:04d}",
                "fold": FOLD_OF_TEN[patient % 10],
            },
            read=partial(_read, domain, patient, seed, spacing),
        )
        for domain in DOMAINS
        for patient in range(patients)
    ]
    return Source(
        name="pelvis",
        jobs=jobs,
        licence=LICENCE,
        citation="after the data of G. Filbrandt et al., DART 2021; no patient's data were used",
        label_sets=dict.fromkeys(DOMAINS, PELVIS_LABELS),
        facts={"patients": patients, "modality": "CT", "seed": seed},
    )
