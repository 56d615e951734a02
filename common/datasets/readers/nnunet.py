"""Datasets in the layout of nnU-Net (raw, version 2) or of the Medical Segmentation Decathlon.

nnU-Net: SOURCE/dataset.json with channel_names, labels (name -> value; `ignore` has the highest) and file_ending;
imagesTr/CASE_0000<ending>, labelsTr/CASE<ending>; annotated test cases in imagesTs and labelsTs; `dataset` may list
cases instead (case -> images and label). Decathlon: dataset.json with labels (value -> name) and training (image and
label of each case). A file splits_final.json beside it states training and validation by its first split; otherwise
preparation assigns folds. Test images without annotation are left out. One channel is read; several are refused, as are
regions (a name of several values), which overlap.

References:
    F. Isensee et al., Nature Methods 18:203-211, 2021. M. Antonelli et al., Nature Communications 13:4128, 2022.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...label_sets import IGNORE
from ..prepared.source import Job, Source
from .own_folder.records import is_within
from .tables import check_size
from .volume_and_masks import read_volume_and_masks

__all__ = ["nnunet"]

MAX_BYTES = 2**24  # of dataset.json: a hundred thousand cases
NEITHER = "it has neither 'channel_names' and 'labels' of nnU-Net nor 'modality', 'labels' and 'training' of Decathlon"
MODALITIES = {"CT": "CT", "MRI": "MR", "MR": "MR", "PET": "PT"}


def nnunet(source: Path) -> Source:
    """Find the cases of a dataset in the layout of nnU-Net or Decathlon.

    Args:
        source: the folder with dataset.json.

    Raises:
        FileNotFoundError: if dataset.json is missing, or no case has image and annotation.
        ValueError: if it is malformed, or has several channels or regions.
    """
    stated = _read_json(source / "dataset.json")
    if not isinstance(stated, dict):
        raise ValueError(f"{source / 'dataset.json'} cannot be read as a dataset: {NEITHER}.")
    try:
        meaning = _meaning(stated.get("labels"))
        channel = _channel(stated)
        name = _name(stated.get("name") or re.sub(r"Dataset\d+_", "", source.resolve().name))
        cases = _cases(source, stated)
    except ValueError as error:
        raise ValueError(f"{source / 'dataset.json'}: {error}") from error
    splits = _splits(source)
    skipped: dict[str, str] = {}
    jobs = []
    for case, (image, label, fold) in cases.items():
        missing = next((path for path in (image, label) if not (source / path).is_file()), None)
        if missing is not None or not (is_within(source, source / image) and is_within(source, source / label)):
            skipped[case] = f"{missing} is missing" if missing else "its files are outside SOURCE"
            continue
        read = partial(read_volume_and_masks, source / image, source / label, values=tuple(meaning))
        jobs.append(Job(case, {"dataset": name, "patient": case, "fold": fold or splits.get(case)}, read))
    if not jobs:
        raise FileNotFoundError(f"{source}: none of {len(cases)} cases has image and annotation in imagesTr, labelsTr.")
    modality = MODALITIES.get(channel.upper())
    return Source(
        name=name,
        jobs=jobs,
        licence=str(stated.get("licence") or stated.get("license") or "not stated in dataset.json"),
        citation=str(stated.get("reference") or ""),
        label_sets={name: meaning},
        skipped=skipped,
        facts={"modality": modality} if modality else {},
    )


def _read_json(path: Path) -> Any:
    check_size(path, MAX_BYTES)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not readable JSON ({error}).") from error


def _name(given: Any) -> str:
    """Return a name without spaces, as settings need it.

    Example:
        >>> _name("left atrium"), _name("Task02 (MRI)")
        ('left_atrium', 'Task02_MRI')
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(given)).strip("_-")
    if not name:
        raise ValueError(f"{str(given)[:50]!r} is not a name of letters and digits.")
    return name


def _meaning(labels: Any) -> dict[int, str]:
    """Return the class of each value; nnU-Net states name -> value, Decathlon value -> name."""
    if not isinstance(labels, Mapping) or not labels:
        raise ValueError(f"'labels' is missing: {NEITHER}.")
    values: dict[int, str] = {}
    for key, entry in labels.items():
        if isinstance(entry, list):
            raise ValueError(
                f"label {key!r} is the region {entry}; regions overlap, and each voxel has one class here. Write the "
                "classes that do not overlap into a copy of dataset.json."
            )
        value, name = (key, entry) if isinstance(entry, str) and str(key).isdecimal() else (entry, key)
        if isinstance(value, bool) or not str(value).isdecimal() or not 0 <= int(value) <= 255 or int(value) in values:
            raise ValueError(f"label {key!r} is {entry!r}, expected different integers from 0 to 255.")
        known = str(name).lower() in ("background", IGNORE)
        values[int(value)] = str(name).lower() if known else _name(name)
    if values.get(0) != "background" or len(set(values.values())) < len(values):
        raise ValueError(f"'labels' are {values}, expected different names, and background for 0.")
    return dict(sorted(values.items()))


def _channel(stated: Mapping[str, Any]) -> str:
    channels = stated.get("channel_names", stated.get("modality"))
    if not isinstance(channels, Mapping) or not channels:
        raise ValueError(f"'channel_names' is missing: {NEITHER}.")
    if len(channels) > 1:
        raise ValueError(
            f"it has {len(channels)} channels ({', '.join(map(str, channels.values()))}), one is read. Choose one in a "
            "description: image: 'imagesTr/{patient}_0000.nii.gz', label: 'labelsTr/{patient}.nii.gz'."
        )
    return str(next(iter(channels.values())))


def _cases(source: Path, stated: Mapping[str, Any]) -> dict[str, tuple[str, str, str | None]]:
    """Return the paths of image and annotation of each case, and its fold if the layout states one."""
    if isinstance(stated.get("training"), list):  # Decathlon
        pairs = [_pair(entry, "image") for entry in stated["training"]]
        return {_case(image): (image, label, None) for image, label in pairs}
    ending = stated.get("file_ending")
    if not isinstance(ending, str):
        raise ValueError("'file_ending' is missing.")
    if isinstance(stated.get("dataset"), Mapping):
        listed = {str(case): _pair(entry, "images") for case, entry in stated["dataset"].items()}
        return {case: (image, label, None) for case, (image, label) in listed.items()}
    cases: dict[str, tuple[str, str, str | None]] = {}
    for end, fold in (("Tr", None), ("Ts", "test")):
        for path in sorted((source / f"labels{end}").glob(f"*{ending}")):
            case = path.name.removesuffix(ending)
            if case in cases:
                raise ValueError(f"case {case!r} is in labelsTr and in labelsTs.")
            cases[case] = f"images{end}/{case}_0000{ending}", f"labels{end}/{path.name}", fold
    return cases


def _pair(entry: Any, key: str) -> tuple[str, str]:
    own = entry if isinstance(entry, Mapping) else {}
    image, label = own.get(key), own.get("label")
    image = image[0] if isinstance(image, list) and image else image
    if not isinstance(image, str) or not isinstance(label, str):
        raise ValueError(f"a case is {str(entry)[:80]}, expected the paths of image and label.")
    return image.removeprefix("./"), label.removeprefix("./")


def _case(image: str) -> str:
    return re.sub(r"\.(nii\.gz|nii)$", "", Path(image).name)


def _splits(source: Path) -> dict[str, str]:
    """Return the folds of the first split, empty without splits_final.json."""
    path = source / "splits_final.json"
    if not path.is_file():
        return {}
    splits = _read_json(path)
    try:
        return {case: fold for key, fold in (("train", "training"), ("val", "validation")) for case in splits[0][key]}
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError(f"{path} is not a list of splits with 'train' and 'val'.") from error
