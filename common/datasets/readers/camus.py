"""CAMUS: apical views of 500 patients, ED and ES, with LV cavity, LV myocardium and left atrium.

There are two public releases. NIfTI: SOURCE/database_nifti/patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES}[_gt].nii[.gz] with
the official split SOURCE/database_split/subgroup_{training,validation,testing}.txt. 2019: SOURCE/training/patientXXXX/
patientXXXX_{2CH,4CH}_{ED,ES}[_gt].mhd with pixels twice as wide as high and no split, so preparation assigns one; its
testing folder has no annotations, numbers its patients from 1 again and is left out. Annotation values: 0 background,
1 LV cavity, 2 LV myocardium, 3 left atrium.

References:
    S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..catalogue import HEART_LABELS
from ..prepared.source import Job, Source
from ..views import PHASES, VIEWS
from .image_and_mask import read_image_and_mask

__all__ = ["OPTIONS", "camus"]

OPTIONS = {"--skip-incomplete": {"action": "store_true", "help": "leave out images with missing files"}}
SPLIT_FILES = {"training": "training", "validation": "validation", "testing": "test"}  # official name -> our fold
MAX_TEXT = 65536  # characters: an Info file has a dozen lines, a list of the split 400
# key in Info_2CH.cfg or Info_4CH.cfg -> field of the item: percent, ml, ml, and what describes patient and image
INFO: dict[str, tuple[str, Callable[[str], Any]]] = {
    "LVef": ("ef", float),
    "EF": ("ef", float),
    "LVedv": ("edv", float),
    "LVesv": ("esv", float),
    "ImageQuality": ("quality", str),
    "Sex": ("sex", str),
    "Age": ("age", float),
    "FrameRate": ("frame_rate", float),
}


def _find(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    return next((path for suffix in suffixes if (path := folder / (stem + suffix)).is_file()), None)


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MAX_TEXT)


def _folds(source: Path) -> dict[str, str | None]:
    folds: dict[str, str | None] = {}
    for official, fold in SPLIT_FILES.items():
        path = source / "database_split" / f"subgroup_{official}.txt"
        for patient in _text(path).split():
            if not re.fullmatch(r"patient\d{4}", patient):
                raise ValueError(f"{path} lists {patient!r}, expected patientXXXX; download it again.")
            if patient in folds:
                raise ValueError(f"{path} lists {patient}, which is already in the fold {folds[patient]!r}.")
            folds[patient] = fold
    if not folds:
        raise FileNotFoundError(
            f"{source} has no database_split/subgroup_training.txt, so the official split is unknown; "
            "SOURCE is the folder with database_nifti and database_split."
        )
    return folds


def _info(path: Path) -> dict[str, Any]:
    """Read the fields of an Info file, and the frames of the phases."""
    lines = (line.partition(":") for line in _text(path).splitlines())
    info = {key.strip(): value.strip() for key, colon, value in lines if colon}
    try:
        fields = {name: convert(info[key]) for key, (name, convert) in INFO.items() if info.get(key)}
        frames = {phase: int(float(info[phase])) - 1 for phase in PHASES if info.get(phase)}  # CAMUS counts from 1
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path} has a value that is not a number ({error}).") from error
    return {**fields, "frames": frames}


def camus(source: Path, skip_incomplete: bool = False) -> Source:
    """Find the images of CAMUS in either release; a view that no patient has is left out.

    Args:
        source: the folder with database_nifti and database_split, or with training of the 2019 release.
        skip_incomplete: leave out (and record) an image whose annotation is missing, instead of stopping.

    Raises:
        FileNotFoundError: if `source` is not a release, or an image or annotation of a listed patient is missing.
        ValueError: if the official split is damaged.
    """
    skipped: dict[str, str] = {}
    suffixes: tuple[str, ...]
    if (source / "training").is_dir() and not (source / "database_nifti").is_dir():
        release, root, suffixes = "2019", source / "training", (".mhd",)
        names = sorted(path.name for path in root.glob("patient[0-9][0-9][0-9][0-9]"))
        folds: dict[str, str | None] = dict.fromkeys(names)  # preparation assigns them
        if (source / "testing").is_dir():
            skipped["testing"] = "this release has no annotations of testing patients"
    else:
        release, root, suffixes = "NIfTI", source / "database_nifti", (".nii.gz", ".nii")
        folds = _folds(source)
        unlisted = sorted({folder.name for folder in root.glob("patient*")} - set(folds))
        skipped |= dict.fromkeys(unlisted, "not in the official split")
    present = [view for view in VIEWS if next(root.glob(f"patient*/*_{view}_E[DS]{suffixes[-1]}*"), None)]
    if not present:
        raise FileNotFoundError(f"{root} has no patientXXXX/patientXXXX_{{{','.join(VIEWS)}}}_ED{suffixes[0]}.")
    skipped |= {f"{view} view": "not in this copy of the data" for view in VIEWS if view not in present}
    jobs: list[Job] = []
    for patient, view in ((patient, view) for patient in sorted(folds) for view in present):
        try:
            info = _info(root / patient / f"Info_{view}.cfg")
        except ValueError as error:
            skipped[f"fields of {patient}_{view}"] = str(error)
            info = {}
        frames = info.pop("frames", {})
        for phase in PHASES:
            stem = f"{patient}_{view}_{phase}"
            image, label = (_find(root / patient, stem + kind, suffixes) for kind in ("", "_gt"))
            if image is None or label is None:
                missing = f"{stem}{'_gt' if image else ''}{suffixes[0]}"
                if not skip_incomplete:
                    raise FileNotFoundError(
                        f"{patient} has no {missing}; run with --skip-incomplete to leave the image out."
                    )
                skipped[stem] = f"{missing} is missing"
                continue
            item = {"dataset": "camus", "patient": patient, "view": view, "phase": phase, "fold": folds[patient]}
            frame = {"frame": frames[phase]} if phase in frames else {}
            read = partial(read_image_and_mask, image, label, range(len(HEART_LABELS)))
            jobs.append(Job(stem, {**item, **info, **frame}, read))
    return Source(
        name="camus",
        jobs=jobs,
        licence="CC BY-NC-SA 4.0, non-commercial scientific research only",
        citation="S. Leclerc et al., IEEE TMI 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516",
        label_sets={"camus": HEART_LABELS},
        skipped=skipped,
        facts={"release": release},
    )
