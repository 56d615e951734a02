"""Begin a bundle: every file that the model zoo asks for, ready to train on a drawn phantom."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import yaml

from ..command import PACKAGE, command
from ..datasets.catalogue import HEART_LABELS
from ..datasets.phantom.organs import check_classes
from ..sides import pairs_of_sides
from ..spelling import did_you_mean
from .blocks import parts_of, split
from .complete import BASES, SETTINGS, WORKFLOWS, chain, header_and_body, write_complete

__all__ = ["new_bundle"]

README = Path(__file__).with_name("new_readme.md")
README_OF_VOLUMES = Path(__file__).with_name("new_readme_of_volumes.md")
OWN = (
    "bundle_root",
    "experiment",
    "runs_dir",
    "data",
    "renamed",
    "withheld",
)  # shared settings that depend on the bundle
OF_HEART = ("patient", "subject", "find_sector", "masking", "other_metrics")  # taken for classes of the heart
KEPT = ("schema", "supported_apps", "network_data_format", "monai_version", "pytorch_version", "numpy_version")
TO_WRITE = "TO WRITE"  # marks what only a person can state
TERMS = f"""Third Party Licenses
--------------------

The bundle contains no data and no weights. The default training data, a phantom, is drawn (Apache-2.0) and shows no
person. Weights inherit the terms of the data that they are trained on:

{TO_WRITE}: name, address and terms of every dataset.
"""


def new_bundle(name: str, like: str, classes: Sequence[str], folder: Path = Path("bundles")) -> Path:
    """Write a bundle.

    Args:
        name: of the bundle and its folder.
        like: bundle in `folder` or in bundles/, whose hyper-parameters, network, image size and augmentation are taken.
        classes: to segment, without background.
        folder: to create the bundle in.

    Returns:
        The folder of the bundle.

    Raises:
        FileExistsError: if the folder of the bundle exists.
        ValueError: for a wrong name of the bundle or of a class, or an unknown `like`.
    """
    bundle = folder / name
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ValueError(f"expected a name of lower-case words joined by underscores, got {name!r}.")
    if bundle.exists():
        raise FileExistsError(f"{bundle} exists; choose another name, or remove it.")
    check_classes(classes)
    known = {
        path.parents[1].name: path.parents[1]
        for root in (Path("bundles"), folder)
        for path in root.glob("*/configs/bundle.yaml")
    }
    if not known:
        raise ValueError(f"--like {like}: expected a bundle in bundles/ or {folder}, found none; run this in a clone.")
    if like not in known:
        raise ValueError(f"--like {like}: expected one of {', '.join(sorted(known))}.{did_you_mean(like, known)}")
    model = known[like]
    of_volumes = _shared_base(model) is not None
    facts = _facts(bundle, like, classes) | (_facts_of_volumes(bundle) if of_volumes else {})
    readme = README_OF_VOLUMES if of_volumes else README
    metadata = json.loads((model / "configs" / "metadata.json").read_text(encoding="utf-8"))
    texts = {
        "configs/bundle.yaml": _settings(model, classes, facts),
        "configs/metadata.json": json.dumps(_metadata(metadata, facts), indent=4, ensure_ascii=False),
        "docs/README.md": Template(readme.read_text(encoding="utf-8")).substitute(facts),
        "docs/data_license.txt": TERMS,
        "models/.gitkeep": "",
    }
    for path, text in texts.items():
        (bundle / path).parent.mkdir(parents=True, exist_ok=True)
        (bundle / path).write_text(text, encoding="utf-8")
    for path in ("LICENSE", "configs/logging.conf"):
        shutil.copyfile(model / path, bundle / path)
    write_complete(bundle)
    return bundle


def _heart() -> list[str]:
    """Return the classes that the ordinary phantom annotates."""
    return [names[0] for names in HEART_LABELS[1:]]


def _facts(bundle: Path, like: str, classes: Sequence[str]) -> dict[str, str]:
    """Return what the files of a new bundle say about it."""
    root = shlex.quote(bundle.as_posix())
    *others, last = (name.replace("_", " ") for name in classes)
    of_heart = set(classes) <= set(_heart())
    data = "data/phantom" if of_heart else f"data/{bundle.name}_phantom"
    words = "phantom data/phantom" if of_heart else f"organs {data} --classes {' '.join(classes)}"
    drawn = "organs at several sites, each of which annotates one of them" if others else "one organ at one site"
    return {
        "name": bundle.name,
        "title": bundle.name.replace("_", " ").capitalize(),
        "named": f"{', '.join(others)} and {last}" if others else last,
        "values": ", ".join(f"{value} {name}" for value, name in enumerate(["background", *classes])),
        "count": str(len(classes) + 1),
        "phantom": "hearts in several scanner domains" if of_heart else drawn,
        "data": data,
        "draw": command(f"datasets {words}"),
        "complete": command(f"bundle complete {root}"),
        "root": root,
        "package": PACKAGE,
        "like": like,
    }


def _shared_base(model: Path) -> Path | None:
    """Return the shared file that a bundle is based on, such as that of volumes; None if there is none."""
    last = chain(model)[-1]
    return last if last.parent.name == BASES else None


def _facts_of_volumes(bundle: Path) -> dict[str, str]:
    data, description = f"data/{bundle.name}", f"{bundle.name}.yaml"
    return {
        "phantom": "none is drawn for these classes",
        "data": data,
        "draw": command(f"datasets volumes SOURCE {data} --description {description}"),
        "data_source": "volumes that are prepared first",
        "data_type": f"NIfTI, prepared by {PACKAGE}.datasets",
    }


def _settings(model: Path, classes: Sequence[str], facts: dict[str, str]) -> str:
    """Return bundle.yaml: classes, data, and what the model bundle sets of the shared settings."""
    shared = yaml.safe_load((WORKFLOWS / SETTINGS).read_text(encoding="utf-8"))
    base = _shared_base(model)
    taken = {*shared, "losses"} - {*OWN} | ({*OF_HEART} if set(classes) <= set(_heart()) else set())
    taken |= {parts_of(key)[0] for key, _ in split(base.read_text(encoding="utf-8")) if key} - {*OWN} if base else set()
    blocks: dict[str, str] = {}
    for source in reversed([source for source in chain(model) if source != base]):
        for key, block in split(header_and_body(source)[1]):
            first, *below = parts_of(key)
            if first in taken:
                replaced = [other for other in blocks if other == key or (not below and parts_of(other)[0] == first)]
                blocks = {other: text for other, text in blocks.items() if other not in replaced}
                blocks[key] = block.strip("\n") + "\n"
    run = f"python -m monai.bundle run --config_file {facts['root']}/configs/train.yaml --bundle_root {facts['root']}"
    lines = [
        f"# Segment {facts['named']}.",
        f"#   {run}",
        f"classes: [{', '.join(['background', *classes])}]",
        f"data: {facts['data']}  # a prepared folder, or a list of them: {command('datasets')}",
    ]
    if base is not None:
        blocks.pop("exchanged", None)
        pairs = ", ".join(f"[{left}, {right}]" for left, right in pairs_of_sides(classes))
        lines.insert(2, f"base: {base.stem}\n")
        lines.append(f"exchanged: [{pairs}]  # pairs of classes that exchange when left and right do")
    others = [f"{name}: background" for name in _heart() if name not in classes]
    if set(classes) < set(_heart()):
        lines.insert(3, f"renamed: {{{', '.join(others)}}}  # drawn by the phantom, not studied")
    if "loss" not in blocks:  # with cross entropy alone, small structures take much longer to be learned
        lines.append("loss: marginal_dice_ce  # learns small structures sooner than `marginal`")
    return "\n".join([*lines, *(f"\n{block}".rstrip("\n") for block in blocks.values())]) + "\n"


def _metadata(model: dict[str, Any], facts: dict[str, str]) -> dict[str, Any]:
    """Return metadata.json in the order of that of the model bundle."""
    for tensor in model["network_data_format"]["inputs"].values():
        tensor["modality"] = "n/a"
    own = {
        "version": "0.1.0",
        "changelog": {"0.1.0": "first version, no weights"},
        "name": facts["title"],
        "task": f"Segmentation of {facts['named']}",
        "description": f"{TO_WRITE}: what the bundle is for",
        "authors": f"{TO_WRITE}: who made this bundle",
        "copyright": f"{TO_WRITE}: Copyright (c) ...",
        "data_source": facts.get("data_source", f"by default a phantom: {facts['phantom']}"),
        "data_type": facts.get("data_type", f"8-bit PNG, prepared by {PACKAGE}.datasets"),
        "image_classes": f"{TO_WRITE}: what the images show",
        "label_classes": facts["values"],
        "pred_classes": facts["values"],
        "eval_metrics": {},
        "intended_use": "Research; not for diagnosis",
        "references": [],
    }
    return {key: own.get(key, value) for key, value in model.items() if key in own or key in KEPT or "packages" in key}
