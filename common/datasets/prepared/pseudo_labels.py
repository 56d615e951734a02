"""Write the predictions of a teacher for unannotated classes as a prepared dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from ...engines.weights_record import read_record
from ...label_set_map import admitted, drop_classes
from ...label_sets import IGNORE, LabelSets
from .changes import plain, read_earlier
from .layout import OWN, RESULTS, checksum, folder_paths, read_pair, read_pixels, read_provenance
from .preparation import prepare
from .remarks import MEANING, TEACHER_SEEN, completed_folders, trained_meaning
from .replacing import check_own
from .resident import ResidentDataset
from .source import Frame, Job, Source

__all__ = ["completed", "fill_in", "write_pseudo_labels"]

AMONG = ("admitted", "all")
BATCH = 32  # images
IGNORED = 255  # the value of ignored pixels; a class never has it


def fill_in(logits: Tensor, target: Tensor, among: str = "admitted") -> Tensor:
    """Choose the most likely class where the annotation leaves several open; annotated and ignored pixels stay so.

    Among "all" classes, a pixel that may be background stays so where a class wins that is impossible there: the rule
    of Filbrandt et al. Measured on the phantom, the second choice is more often right (`docs/semi_supervised.md`).

    Args:
        logits: of the teacher, (B, C, *spatial).
        target: label-set map, (B, 2, *spatial).
        among: classes that compete, those that a pixel "admitted", or "all".

    Returns:
        Class indices, 255 where a pixel is ignored, int64, (B, *spatial).

    References:
        Filbrandt et al. (2021), Learning from partially overlapping labels: image segmentation under annotation shift.

    Example:
        >>> logits = torch.tensor([[[1.0] * 3, [9.0] * 3, [2.0] * 3]])  # class 1 is most likely everywhere
        >>> target = torch.tensor([[[0b101, 0b001, 0], [0b011, 0b111, 0]]])  # {0, 2}; {0}, annotated; ignored
        >>> fill_in(logits, target)
        tensor([[  2,   0, 255]])
        >>> fill_in(logits, target, among="all")
        tensor([[  0,   0, 255]])
    """
    open_ = admitted(target, logits.shape[1])
    chosen = logits.masked_fill(~open_, -torch.inf).argmax(dim=1)
    if among == "all":
        impossible = ~open_.gather(1, logits.argmax(dim=1, keepdim=True)).squeeze(1)
        chosen = chosen.masked_fill(impossible & open_[:, 0], 0)
    return chosen.masked_fill(target[:, 0] == 0, IGNORED)


@torch.no_grad()
def completed(
    dataset: Any,
    network: nn.Module,
    inferer: Inferer,
    checkpoint: str | Path,
    weights_digest: str,
    folders: str | Path | Iterable[str | Path],
    overrides: Mapping[str, object] | None,
    renamed: Mapping[str, str] | None,
    among: str,
    out: str | Path,
    read: Callable[[Path, Path, str | None, Sequence[float] | None, NDArray[np.uint8]], Any],
    batch_size: int,
    annotation: Callable[[Mapping[str, Any]], NDArray[np.uint8]] | None = None,
) -> Source:
    """Return the images of a dataset as a source with every class annotated: value i is class i, 255 ignored.

    The items are marked `completed`, so a training does not withhold again what the network has completed.

    Args:
        dataset: images or volumes with their partial annotation, `ResidentDataset` or `WholeVolumes`.
        network: of the teacher, with its weights, on the device of `dataset`.
        inferer: computes its logits.
        checkpoint: path of its weights.
        weights_digest: of them.
        folders: prepared folders of the images; their licences apply to the new folder.
        overrides: settings that change the result, name -> value.
        renamed: setting of this run.
        among: classes that compete (`fill_in`).
        out: the prepared folder that will hold them.
        read: returns a prepared image with a new annotation, given the paths of the image and of its own annotation,
            the digest of both (`stated_pixels`), the spacing and the new annotation.
        batch_size: images.
        annotation: returns that of an item, if `dataset` has it at the size of the network's images; the logits are
            resized to it.

    Raises:
        ValueError: if `among` is another word, or a network has completed the images already.
        FileExistsError: if `out` must not be replaced, before anything is computed.
    """
    if among not in AMONG:
        raise ValueError(f"--pseudo_labels_among: expected one of {', '.join(AMONG)}, got {among!r}.")
    for folder, source_folder in completed_folders(dataset.data):
        raise ValueError(f"a network completed the annotation of {folder} already; complete {source_folder} instead.")
    label_sets: LabelSets = dataset.label_sets
    paths = folder_paths(folders)
    origin = [read_provenance(folder) for folder in paths]
    source = Source(
        name="pseudo-labels",
        jobs=[],
        licence="; ".join(dict.fromkeys(str(one["licence"]) for one in origin)),
        citation="; ".join(dict.fromkeys(str(one["citation"]) for one in origin)),
        label_sets={name: {**dict(enumerate(label_sets.classes)), IGNORED: IGNORE} for name in label_sets.label_sets},
        facts={
            "teacher": str(checkpoint),
            "teacher_digest": weights_digest,
            TEACHER_SEEN: read_record(checkpoint).get("seen", {}),
            MEANING: trained_meaning(dataset.data, label_sets.label_sets, renamed, checkpoint),
            "made_from": [checksum(folder) for folder in paths],
            "folders": [str(folder) for folder in paths],
            **({"overrides": dict(overrides)} if overrides else {}),
        },
    )
    _check_place(Path(out), source)
    network.eval()
    jobs = []
    for start in tqdm(range(0, len(dataset), batch_size), desc="pseudo-labels", unit="batch"):
        batch = dataset.__getitems__(range(start, min(start + batch_size, len(dataset))))
        logits = inferer(batch["image"], network)
        for place, item in enumerate(dataset.data[start : start + batch_size]):
            own, values = logits[place : place + 1], batch["label"][place : place + 1]
            if annotation is not None:
                values = torch.from_numpy(annotation(item))[None, None]
                own = interpolate(own.cpu(), size=values.shape[2:], mode="bilinear", align_corners=False)
            target = label_sets.encode_batch(values, batch["dataset"][place : place + 1])
            target = drop_classes(target, label_sets.unlabelled([item]))
            label = fill_in(own, target, among)[0].to(torch.uint8).cpu().numpy()
            known = {key: value for key, value in item.items() if key not in (*RESULTS, "unlabelled", "withheld")}
            known["completed"] = True
            paths_read = Path(item["image"]), Path(item["label"])
            reading = partial(read, *paths_read, dataset.stated[start + place], item["spacing"], label)
            jobs.append(Job(f"{item['dataset']}_{Path(item['image']).stem}", known, reading))
    return replace(source, jobs=jobs)


def _check_place(out: Path, source: Source) -> None:
    """Refuse a folder that pseudo-labels must not replace, as their preparation would."""
    earlier = read_earlier(out, source)
    if earlier is not None and any(
        earlier.provenance.get(name) != fact for name, fact in plain(dict(source.facts)).items()
    ):
        check_own(out, earlier.items)


def write_pseudo_labels(
    dataset: ResidentDataset,
    network: nn.Module,
    inferer: Inferer,
    checkpoint: str | Path,
    weights_digest: str,
    folders: str | Path | Iterable[str | Path],
    out: str | Path,
    overrides: Mapping[str, object] | None = None,
    renamed: Mapping[str, str] | None = None,
    among: str = "admitted",
) -> None:
    """Write the images of `dataset`, completed by a teacher, as the prepared folder `out`; as for `completed`."""
    source = completed(
        dataset,
        network,
        inferer,
        checkpoint,
        weights_digest,
        folders,
        overrides,
        renamed,
        among,
        out,
        _frame,
        BATCH,
        _own_pixels,
    )
    sizes = {read_provenance(folder)["size"] for folder in folder_paths(folders)}
    prepare(source, Path(out), sizes.pop() if len(sizes) == 1 and OWN not in sizes else None, workers=1, strict=True)


def _frame(
    image: Path, own: Path, stated: str | None, spacing: Sequence[float] | None, label: NDArray[np.uint8]
) -> Frame:
    pixels, _ = read_pair({"image": image, "label": own}, stated)
    return Frame(pixels, label, None if spacing is None else (spacing[0], spacing[1]))


def _own_pixels(item: Mapping[str, Any]) -> NDArray[np.uint8]:
    return read_pixels(Path(item["label"]))
