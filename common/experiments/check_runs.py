"""Refuse a grid with settings or data that its trainings would refuse, before any starts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..bundle.changed import changed_settings, check_changes
from ..bundle.facts import check_facts
from ..bundle.given import check_effect, lacking
from ..bundle.overrides import with_overrides
from ..bundle.settings import check_given
from ..bundle.steady import check_steady
from ..configuration import resolve, switch
from ..datasets import check_annotation, check_unseen, labels_of, read_datalist, select, stated_label_sets
from ..datasets.prepared.selection import NAMING
from ..engines import check_image_size, read_record
from .grid import Run
from .training import OF_GRID

__all__ = ["check_data", "check_runs"]

SELECTION = ("train_on", "images", "withheld", "withheld_share")
PARTS = (  # settings that decide what `_check_parts` builds
    *("augmentation", "network", "networks", "classes", "image_size", "consistency", "consistency_ramp"),
    *(
        "teacher_passes",
        "predict_with",
        "cotrain",
        "partner",
        "pseudo_labels",
        "initial_weights",
        "shift_multiple",
        "train",
    ),
)
OF_DATA = (*SELECTION, "classes", "renamed", "complete_only", "initial_weights")  # settings that choose what is read


def check_runs(config_file: Path, runs: Sequence[Run]) -> None:
    """Check the settings of runs, of their teachers and of their candidates by what their training states.

    Values of expressions are left to the training, and so are names of datasets, since a grid serves several data.

    Args:
        config_file: the bundle's train.yaml.
        runs: of a grid.

    Raises:
        ValueError: names the setting, and the run; or if the grid decides a setting itself (`OF_GRID`).
    """
    config = dict(ConfigParser.load_config_file(config_file))
    stated = next(item for item in config["initialize"] if "limits" in item)
    passed: set[str] = set()
    useful, idle, trainings = set[str](), dict[str, str](), dict[str, Run]()
    for run in _all(runs):
        if own := [name for name in run.settings if name.replace("#", "::").split("::")[0] in OF_GRID]:
            raise ValueError(
                f"--{own[0]} is decided by the grid for each training; leave it out. Data are named with --data, the "
                "folder of trainings with --runs_dir, MLflow with MLFLOW_TRACKING_URI, the experiment in train.yaml."
            )
        plain = _plain(run.settings)
        limits = {
            name: [bound for bound in bounds if bound in plain or bound not in run.settings]
            for name, bounds in stated["limits"].items()
        }
        try:
            check_steady(run.settings)
            given = {name: value for name, value in plain.items() if name not in NAMING}
            check_given(config, given, {}, stated["choices"], limits, stated["names"])
            full = with_overrides(config, run.settings)
            changed = dict(changed_settings([config], full))
            check_changes(config, full, changed)
            check_facts(config, full)
            check_effect(config, full, changed)
            without = lacking(full, run.settings, stated.get("needs", {}))
            useful |= run.settings.keys() - without.keys()
            idle |= without
            used = {name: value for name, value in run.settings.items() if name not in without}
            other = trainings.setdefault(repr((sorted(used.items(), key=repr), run.teacher)), run)
            if other.settings.keys() != run.settings.keys() or other.settings != run.settings:
                raise ValueError(f"it would train the same as {other.name}: no other difference has an effect.")
            parser = ConfigParser(with_overrides(config, plain))
            parts = [parser.get(name) for name in PARTS]
            if str(parts) not in passed:
                _check_parts(parser, whole="image_size" in plain or "image_size" not in run.settings)
                passed.add(str(parts))
        except ValueError as error:
            raise ValueError(f"{run.name}: {error}") from None
    for name in idle.keys() - useful:
        raise ValueError(f"--{name} has no effect without --{idle[name]} in any training of the grid; leave it out.")


def check_data(config_file: Path, runs: Sequence[Run], folders: Sequence[Path], fold: str) -> None:
    """Check what runs, their teachers and their candidates read of prepared folders, and that it can be learnt.

    Args:
        config_file: the bundle's train.yaml.
        runs: of a grid.
        folders: prepared.
        fold: that is evaluated.

    Raises:
        ValueError: as the training or the evaluation would, with the name of the run.
    """
    passed = set[tuple[str, bool]]()
    read = cache(lambda fold, renamed: read_datalist(folders, fold, json.loads(renamed)))
    for run in _all(runs):
        config = resolve(config_file, _plain(run.settings))
        known: dict[str, Any] = {name: config.get(name) for name in OF_DATA}
        text = json.dumps(known, default=str)
        if (own := (text, run.teacher is None)) in passed or re.search(r'"[$@%]', text):
            continue
        try:
            lists = {name: read(name, json.dumps(known["renamed"])) for name in ("training", "validation", fold)}
            check_annotation(lists[fold])
            if known["initial_weights"]:
                check_unseen(read_record(known["initial_weights"]), lists[fold], fold)
            if run.teacher is None:  # a student reads pseudo-labels
                sets = stated_label_sets(folders, known["classes"], known["renamed"])
                train_on, images, withheld, share = (known[name] for name in SELECTION)
                for part in ("validation", "training"):
                    items = select(lists[part], sets, train_on, images, withheld, share, switch(known["complete_only"]))
                labels_of(known["classes"], sets, items, known["initial_weights"])
        except ValueError as error:
            raise ValueError(f"{run.name}: {error}") from None
        passed.add(own)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without expressions."""
    return {name: value for name, value in settings.items() if not str(value).startswith(("$", "@", "%"))}


def _all(runs: Sequence[Run]) -> Iterator[Run]:
    for run in runs:
        yield run
        yield from _all([*([run.teacher] if run.teacher else []), *run.candidates])


def _check_parts(parser: ConfigParser, whole: bool) -> None:
    """Build what needs no data: transforms, the network, its teacher or partner; check the image size, if known."""
    transforms = enumerate(parser.get("train")["preprocessing"]["transforms"])
    names = [f"train::preprocessing::transforms::{number}" for number, one in transforms if "@labels" not in str(one)]
    try:
        network: Any = parser.get_parsed_content("network_def")
        for name in ("augmentation", "mean_teacher", "co_training", *(names if whole else ())):
            parser.get_parsed_content(name)
    except RuntimeError as error:  # MONAI wraps an error in the names of components
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        raise ValueError(str(root)) from error
    if whole:
        check_image_size(network, (2, 1, *parser.get_parsed_content("image_shape")))
