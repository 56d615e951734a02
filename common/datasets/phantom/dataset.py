"""The phantom as a dataset: patients of several scanner domains, ED and ES, in fixed folds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from ..catalogue import HEART_LABELS
from ..prepared.source import Frame, Job, Source
from .study import DOMAINS, render

__all__ = ["CITATION", "FOLD_OF_TEN", "LICENCE", "phantom"]

# keeps enough images to test on in small sets
FOLD_OF_TEN = ("training",) * 7 + ("validation",) + ("test",) * 2
LICENCE = "Apache-2.0: drawn by this project, shows no person"
CITATION = "shape and grey-level statistics after S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019"


def _read(domain: str, patient: int, phase: Literal["ED", "ES"], size: int, seed: int) -> Frame:
    frame = render(domain, patient, phase, size, seed)
    return Frame(frame.image, frame.label, frame.spacing)


def phantom(size: int, patients: int = 100, domains: Sequence[str] = tuple(DOMAINS), seed: int = 0) -> Source:
    """Draw phantom patients in each scanner domain.

    Args:
        size: pixels a side.
        patients: number in each domain; patient n differs between domains. All patients of an external domain test.
        domains: names among `DOMAINS`.
        seed: of everything.

    Raises:
        ValueError: if a domain is unknown or there are fewer than 10 patients, which leave a fold empty.
    """
    if unknown := [domain for domain in domains if domain not in DOMAINS]:
        raise ValueError(f"expected phantom domains among {list(DOMAINS)}, got {unknown}.")
    if patients < 10:
        raise ValueError(f"{patients} phantom patients leave a fold empty; at least 10 are needed.")
    phases: tuple[Literal["ED", "ES"], ...] = ("ED", "ES")
    jobs = [
        Job(
            id=f"{domain}_{patient:04d}_4CH_{phase}",
            item={
                "dataset": domain,
                "patient": f"{domain}_{patient:04d}",
                "view": "4CH",
                "phase": phase,
                "fold": "test" if DOMAINS[domain].external else FOLD_OF_TEN[patient % 10],
            },
            read=partial(_read, domain, patient, phase, size, seed),
        )
        for domain in domains
        for patient in range(patients)
        for phase in phases
    ]
    return Source(
        name="phantom",
        jobs=jobs,
        licence=LICENCE,
        citation=CITATION,
        label_sets=dict.fromkeys(domains, HEART_LABELS),
        facts={"patients": patients, "domains": list(domains), "seed": seed},
    )
