"""The datasets that a run reads, for MLflow's list of inputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..datasets.prepared.layout import PROVENANCE, checksum, read_provenance

__all__ = ["dataset_inputs"]

LONGEST_DIGEST = 36  # characters that MLflow keeps


def dataset_inputs(items: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[dict[str, str], ...]:
    """Describe the datasets that a run reads, for MLflow's `log_inputs`.

    Args:
        items: context (training, validation, test) -> items of the datalist (`read_datalist`).

    Returns:
        For each prepared folder, dataset and context: name, digest (of the folder; a context that is not training is
        appended, since MLflow links a run to each name and digest once), source, context, and number of images.
    """
    counts = Counter(
        (context, str(Path(item["image"]).parent.parent), str(item.get("dataset")))
        for context, chosen in items.items()
        for item in chosen
    )
    inputs, contents = [], dict[str, str]()
    for (context, folder, dataset), images in counts.items():
        if not (Path(folder) / PROVENANCE).is_file():  # images that were not prepared
            continue
        stated = read_provenance(Path(folder))
        suffix = "" if context == "training" else f"-{context}"
        if folder not in contents:
            contents[folder] = checksum(folder)
        digest = contents[folder][: LONGEST_DIGEST - len(suffix)] + suffix
        source = {"uri": folder, "made_from": stated.get("source")}
        inputs.append(
            {
                "name": dataset,
                "digest": digest,
                "source": json.dumps(source),
                "context": context,
                "profile": json.dumps({"images": images}),
            }
        )
    return tuple(inputs)
