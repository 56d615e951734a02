"""A small made-up dataset for tests of the preparation."""

from functools import partial

import numpy as np

from common.datasets.prepared.source import Frame, Job, Source


def ramp(number: int) -> Frame:
    """An image that differs for each number; annotation values 0 and 2."""
    image = (np.arange(40 * 30).reshape(40, 30) * (number + 1) % 251).astype(np.uint8)
    return Frame(image, (2 * (image > 100)).astype(np.uint8), (0.5, 0.25))


def broken() -> Frame:
    raise ValueError("patient2.nii.gz cannot be read")


def unequal() -> Frame:
    return Frame(np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8), None)


def job(number: int, fold: str = "training", read=None) -> Job:
    item = {"dataset": "clinic", "patient": f"patient{number}", "view": "4CH", "phase": "ED", "fold": fold}
    return Job(f"patient{number}_4CH_ED", item, read or partial(ramp, number))


def source(*jobs: Job, **others) -> Source:
    sets = {"clinic": [["background"], ["lv_cavity"], ["lv_myocardium"]]}
    return Source("clinic", jobs, licence="none", citation="nobody", label_sets=sets, **others)
