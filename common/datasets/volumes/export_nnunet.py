"""Write a prepared folder of volumes in the layout of nnU-Net (raw, version 2).

Partial labels become what nnU-Net knows of them: a voxel whose annotation leaves several classes possible, such as the
background of a patient who does not annotate every structure, gets the value `ignore`. So nnU-Net learns the annotated
structures there, but nothing from the rest; nnU-Net cannot use that such a voxel is not one of the annotated ones.

    OUT/dataset.json           channel_names, labels (with `ignore` as the highest value if it occurs), numTraining
    OUT/imagesTr, labelsTr     training and validation
    OUT/imagesTs, labelsTs     test
    OUT/splits_final.json      one split: copy it to nnUNet_preprocessed/DATASET, and train with fold 0
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ...atomic import write_text
from ...label_set_map import drop_classes
from ...label_sets import IGNORE, LabelSets, by_value
from ..prepared.labels import stated_label_sets
from ..prepared.layout import check_items, read_datalist, read_label_sets, read_provenance, stated_pixels
from .layout import VOLUMES, read_affine, read_volume_pair, save_voxels

__all__ = ["export_nnunet", "exported_values"]

ENDING = ".nii.gz"
CHANNELS = {"CT": "CT", "MR": "MRI", "PT": "PET"}


def exported_values(label_sets: LabelSets, dataset: str, unlabelled: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Return for each annotation value, 0 to 255, the class that it decides, or the number of classes: `ignore`.

    Args:
        label_sets: of the dataset.
        dataset: its name.
        unlabelled: classes that this patient does not annotate.

    Example:
        >>> sets = LabelSets(["background", "liver", "spleen"], {"a": [["background"], ["liver"], ["spleen"]]})
        >>> exported_values(sets, "a")[:4].tolist(), exported_values(sets, "a", ["spleen"])[:3].tolist()
        ([0, 1, 2, 3], [3, 1, 3])
    """
    count = len(label_sets.classes)
    table = np.full(256, count, np.uint8)
    known = list(by_value(label_sets.label_sets[dataset]))
    encoded = label_sets.encode(torch.tensor([known]), dataset)
    dropped = label_sets.unlabelled([{"dataset": dataset, "unlabelled": unlabelled}])
    admitted = drop_classes(encoded.unsqueeze(0), dropped)[0, 0].tolist()
    for value, bits in zip(known, admitted, strict=True):
        if bits > 0 and bits & (bits - 1) == 0:
            table[value] = bits.bit_length() - 1
    return table


def export_nnunet(prepared: Path, out: Path) -> int:
    """Write `prepared` as a new folder `out`.

    Args:
        prepared: a prepared folder of volumes.
        out: the folder to create; nnU-Net expects a name such as Dataset101_Clinic.

    Returns:
        The number of cases.

    Raises:
        FileExistsError: if `out` exists.
        ValueError: if `prepared` holds pictures, or a file is not what was prepared.
    """
    provenance = read_provenance(prepared)
    if provenance.get("kind") != VOLUMES:
        raise ValueError(f"{prepared} holds pictures; the export writes volumes.")
    if out.exists():
        raise FileExistsError(f"{out} exists; remove it or choose another folder.")
    items = read_datalist(prepared)
    check_items(prepared, items)
    structures = {name: None for own in read_label_sets(prepared).values() for names in own.values() for name in names}
    classes = ["background", *(name for name in structures if name not in ("background", IGNORE))]
    label_sets = LabelSets(classes, stated_label_sets(prepared, classes))
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    ignored = False
    for item, stated in zip(tqdm(items, desc="export", unit=" volumes"), stated_pixels(items), strict=True):
        _, label = read_volume_pair(item, stated)
        end, case = "Ts" if item["fold"] == "test" else "Tr", Path(item["image"]).stem
        for folder in (partial / f"images{end}", partial / f"labels{end}"):
            folder.mkdir(parents=True, exist_ok=True)
        values = exported_values(label_sets, item["dataset"], item.get("unlabelled", ()))[label]
        ignored |= bool((values == len(classes)).any())
        save_voxels(partial / f"labels{end}" / f"{case}{ENDING}", values, read_affine(item["label"]))
        with (
            Path(item["image"]).open("rb") as source,
            gzip.GzipFile(partial / f"images{end}" / f"{case}_0000{ENDING}", "wb", compresslevel=1, mtime=0) as target,
        ):
            shutil.copyfileobj(source, target)
    _state(partial, items, provenance, classes, ignored)
    partial.rename(out)
    return len(items)


def _state(
    folder: Path,
    items: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    classes: Sequence[str],
    ignored: bool,
) -> None:
    folds: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
    for item in items:
        folds[item["fold"]].append(Path(item["image"]).stem)
    labels = {name: value for value, name in enumerate([*classes, *([IGNORE] if ignored else [])])}
    stated = {
        "name": provenance["source"],
        "channel_names": {"0": CHANNELS.get(str(provenance.get("modality")), "intensity")},
        "labels": labels,
        "numTraining": len(folds["training"]) + len(folds["validation"]),
        "file_ending": ENDING,
        "licence": provenance["licence"],
        "reference": provenance["citation"],
    }
    write_text(folder / "dataset.json", json.dumps(stated, indent=2) + "\n")
    split = [{"train": folds["training"], "val": folds["validation"]}]
    write_text(folder / "splits_final.json", json.dumps(split, indent=2) + "\n")
