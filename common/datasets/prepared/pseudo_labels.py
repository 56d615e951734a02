"""Pseudo-labels: a teacher fills in what the annotation leaves open, as a prepared dataset that people can look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ...label_sets import LabelSets, admitted, drop_classes
from .layout import read_pixels, read_provenance
from .preparation import prepare
from .resident import ResidentDataset
from .source import Frame, Job, Source

__all__ = ["filled", "write_pseudo_labels"]


def filled(logits: Tensor, target: Tensor) -> Tensor:
    """Choose the likeliest class among those that each pixel's label set admits.

    What is annotated is never overwritten: such a pixel admits one class only.

    Args:
        logits: of the teacher, (B, C, *spatial).
        target: label-set map, (B, 2, *spatial).

    Returns:
        Class index, int64, (B, *spatial).

    Example:
        >>> logits = torch.tensor([[[1.0, 1.0], [9.0, 9.0], [2.0, 2.0]]])  # class 1 looks likeliest everywhere
        >>> filled(logits, torch.tensor([[[0b101, 0b001], [0b011, 0b111]]]))  # {0, 2} is left open, 0 is annotated
        tensor([[2, 0]])
    """
    return logits.masked_fill(~admitted(target, logits.shape[1]), -torch.inf).argmax(dim=1)


@torch.no_grad()
def write_pseudo_labels(
    dataset: ResidentDataset,
    network: nn.Module,
    inferer: Inferer,
    checkpoint: str | Path,
    folders: str | Path | Iterable[str | Path],
    out: str | Path,
) -> None:
    """Write the images of `dataset` as a prepared folder in which every class is annotated, value i meaning class i.

    Args:
        dataset: the images, with what their annotation tells.
        network: the teacher's, on the device of `dataset`.
        inferer: reads its logits.
        checkpoint: its weights.
        folders: where the images come from; their licences apply to what is written.
        out: the prepared folder to make.

    Raises:
        FileExistsError: if `out` exists.
    """
    network.load_state_dict(torch.load(checkpoint, map_location=dataset.images.device, weights_only=True))
    network.eval()
    label_sets = dataset.label_sets
    jobs = []
    for start in range(0, len(dataset), 32):
        batch = dataset.__getitems__(range(start, min(start + 32, len(dataset))))
        target = label_sets.encode_batch(batch["label"], batch["dataset"])
        if "unlabelled" in batch:
            target = drop_classes(target, batch["unlabelled"])
        classes = filled(inferer(batch["image"], network), target).to(torch.uint8).cpu().numpy()
        items = dataset.data[start : start + 32]
        jobs += [_job(item, label) for item, label in zip(items, classes, strict=True)]
    size = len(read_pixels(dataset.data[0]["image"]))
    prepare(_source(label_sets, jobs, folders, checkpoint), Path(out), size, workers=1)


def _job(item: Mapping[str, Any], label: NDArray[np.uint8]) -> Job:
    known = {
        key: value for key, value in item.items() if key not in ("image", "label", "spacing", "values", "unlabelled")
    }
    return Job(f"{item['dataset']}_{Path(item['image']).stem}", known, partial(_frame, item, label))


def _frame(item: Mapping[str, Any], label: NDArray[np.uint8]) -> Frame:
    image = read_pixels(item["image"])
    own = Image.fromarray(label).resize(image.shape[::-1], Image.Resampling.NEAREST)
    return Frame(image, np.asarray(own), item["spacing"] and tuple(item["spacing"]))


def _source(
    label_sets: LabelSets, jobs: list[Job], folders: str | Path | Iterable[str | Path], checkpoint: str | Path
) -> Source:
    folders = [folders] if isinstance(folders, str | Path) else list(folders)
    origin = [read_provenance(Path(folder)) for folder in folders]
    return Source(
        name="pseudo-labels",
        jobs=jobs,
        licence="; ".join(dict.fromkeys(str(one["licence"]) for one in origin)),
        citation="; ".join(dict.fromkeys(str(one["citation"]) for one in origin)),
        label_sets={name: [[label] for label in label_sets.classes] for name in label_sets.label_sets},
        facts={"teacher": str(checkpoint), "made_from": [str(one["checksum"]) for one in origin]},
    )
