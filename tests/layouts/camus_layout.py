"""Phantom patients in the layouts of CAMUS: the NIfTI release and the 2019 release, four-chamber view only.

The half sequences are left out, so NbFrame only says how long they would be. Volumes are monoplane (20 discs of the
annotated cavity), where CAMUS has biplane ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.datasets.phantom.dataset import FOLD_OF_TEN
from common.datasets.phantom.study import Study, examine

from .tracing import disc_volume, trace
from .window import draw_window

__all__ = ["SPACING", "SPACING_2019", "write_camus", "write_camus_2019"]

SPACING = (0.308, 0.308)  # mm per pixel, (row, column)
SPACING_2019 = (0.154, 0.308)
OFFICIAL = {"training": "training", "validation": "validation", "test": "testing"}  # our fold -> official name
METAIMAGE = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1  0  0  0  1  0  0  0  1
CenterOfRotation = 0  0  0
AnatomicalOrientation = RAI
Offset = 0  0  0
ElementSpacing = 0.308       0.154        1.54
DimSize = {columns}  {rows}    1
ElementNumberOfChannels = 1
ElementType = MET_UCHAR
ElementDataFile = {name}.raw
"""


def write_camus(folder: Path, patients: int, seed: int = 0) -> None:
    """Write patients of the domain "camus_like" as database_nifti and database_split.

    Patient n of the phantom becomes patient n + 1 of the release.

    Args:
        folder: an empty folder.
        patients: how many; of every ten seven train, one validates, two test.
        seed: of the population.
    """
    split = folder / "database_split"
    split.mkdir()
    for fold, name in OFFICIAL.items():
        listed = [f"patient{n + 1:04d}\n" for n in range(patients) if FOLD_OF_TEN[n % 10] == fold]
        (split / f"subgroup_{name}.txt").write_text("".join(listed))
    (split / "information.txt").write_text("Split of phantom patients: of every ten 7 train, 1 validates, 2 test.\n")
    for patient in tqdm(range(patients), desc="draw camus", unit=" patients"):
        name, study = f"patient{patient + 1:04d}", examine("camus_like", patient, seed)
        home = folder / "database_nifti" / name
        home.mkdir(parents=True)
        rng = np.random.default_rng([seed, patient])
        facts = _facts(rng) | {"EF": f"{_volumes(study)['LVef']:.0f}", "FrameRate": f"{rng.uniform(40, 70):.1f}"}
        _write_info(home, facts)
        for instant, (phase, heart) in enumerate(study.hearts.items()):
            frame = draw_window(study, heart, instant, SPACING)
            _write_nifti(home / f"{name}_4CH_{phase}.nii.gz", frame.image)
            _write_nifti(home / f"{name}_4CH_{phase}_gt.nii.gz", frame.label)


def write_camus_2019(folder: Path, patients: int, seed: int = 0) -> None:
    """Write patients of the domain "camus_like" as the folders training and testing of MetaImages.

    The last of every ten patients becomes a testing patient: numbered from one again, without annotation, volumes and
    ejection fraction.

    Args:
        folder: an empty folder.
        patients: how many, in both folders together.
        seed: of the population.
    """
    for patient in tqdm(range(patients), desc="draw camus-2019", unit=" patients"):
        testing = patient % 10 == 9
        number = patient // 10 if testing else patient - patient // 10
        name, study = f"patient{number + 1:04d}", examine("camus_like", patient, seed)
        home = folder / ("testing" if testing else "training") / name
        home.mkdir(parents=True)
        measured = {} if testing else {key: f"{value:.1f}" for key, value in _volumes(study).items()}
        _write_info(home, _facts(np.random.default_rng([seed, patient])) | measured)
        for instant, (phase, heart) in enumerate(study.hearts.items()):
            frame = draw_window(study, heart, instant, SPACING_2019)
            _write_metaimage(home, f"{name}_4CH_{phase}", frame.image)
            if not testing:
                _write_metaimage(home, f"{name}_4CH_{phase}_gt", frame.label)


def _volumes(study: Study) -> dict[str, float]:
    """Return end-diastolic and end-systolic volume, ml, and ejection fraction, percent."""
    diastole, systole = (disc_volume(trace(study.scanner.protocol, heart)) for heart in study.hearts.values())
    return {"LVedv": diastole, "LVesv": systole, "LVef": 100 * (diastole - systole) / diastole}


def _facts(rng: np.random.Generator) -> dict[str, str]:
    """Draw the facts of a patient that both releases state; frames count from one."""
    last, sex, age = str(rng.integers(15, 31)), str(rng.choice(["F", "M"])), str(rng.integers(20, 91))
    quality = str(rng.choice(["Good", "Medium", "Poor"], p=[0.58, 0.33, 0.09]))
    return {"ED": "1", "ES": last, "NbFrame": last, "Sex": sex, "Age": age, "ImageQuality": quality}


def _write_info(home: Path, facts: Mapping[str, str]) -> None:
    (home / "Info_4CH.cfg").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))


def _write_nifti(path: Path, values: NDArray[np.uint8]) -> None:
    # like the release: float, (columns, rows) for nibabel, and an affine of diag(-0.308, -0.308, 1)
    image = itk.image_from_array(values.astype(np.float32))
    image.SetSpacing(SPACING[::-1])
    itk.imwrite(image, str(path), compression=True)


def _write_metaimage(home: Path, name: str, values: NDArray[np.uint8]) -> None:
    rows, columns = values.shape
    (home / f"{name}.mhd").write_text(METAIMAGE.format(rows=rows, columns=columns, name=name))
    (home / f"{name}.raw").write_bytes(values.tobytes())
