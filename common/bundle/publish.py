"""Publish a bundle: write it in the form that the model zoo, `monai.bundle.load` and MONAI Label read.

Each workflow becomes one JSON file, and this package is copied unchanged into the bundle as `scripts`. Every published
bundle contains the whole package: bundles loaded into one process share `sys.modules["scripts"]`, so the copy of the
first has to serve them all; a run of another version is refused. Only the configurations change: they refer to
`scripts`, make it importable and state its version.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from monai.bundle import ConfigParser

from ..command import PACKAGE, command
from ..engines import check_explicit_network
from ..engines.weights_record import contradictions, read_record
from .complete import OVERLAY, SHARED_NAME

__all__ = ["LEFT_OUT", "publish"]

SCRIPTS = "scripts"
COPIED = ("LICENSE", "docs", "models", "configs/metadata.json")
LEFT_OUT = ("bundle.yaml", "experiments.yaml", "report.yaml", "pseudo_label.yaml")  # useful in this project only
NAMES = f"(?:{SHARED_NAME}|{PACKAGE})"  # of this package in configurations
PREFIX = re.compile(rf"(?<![\w.]){NAMES}(?=[./]\w)")
LOGGER = re.compile(rf"^qualname={NAMES}$", re.MULTILINE)
# what inference.yaml spells out, the last two for volumes; the others read the record
EXPLICIT = ("activation", "classes", "image_size", "normalisation", "spacing")
# for configurations elsewhere, such as that of a run; `_find_code` finds the code above the configuration of a bundle
FIND_SCRIPTS = {"imports": "$import sys", "initialize": "$sys.path.insert(1, str(@bundle_root))"}
CHECK = f"{SCRIPTS}.bundle.settings.check_settings"


def _renamed(node: Any, key: str = "") -> Any:
    """Return a parsed configuration whose code, `_target_` values and `$` expressions, refers to the copied package."""
    if isinstance(node, dict):
        renamed = {name: _renamed(value, name) for name, value in node.items()}
        version = {"version": resolve_name(f"{PACKAGE}:__version__")} if renamed.get("_target_") == CHECK else {}
        return renamed | version
    if isinstance(node, list):
        return [_renamed(value) for value in node]
    is_code = isinstance(node, str) and (key == "_target_" or node.startswith("$"))
    return PREFIX.sub(SCRIPTS, node) if is_code else node


def _check_weights(bundle: Path) -> None:
    """Refuse weights that the configurations would read in another way than they were trained."""
    weights = bundle / "models" / "model.pt"
    if not weights.is_file():
        return
    if not weights.with_suffix(".json").is_file():
        raise FileNotFoundError(f"{weights} has no record; copy model.json of the training too.")
    record = read_record(weights)
    for source in sorted(bundle.glob("configs/inference.*")):
        config = ConfigParser(ConfigParser.load_config_file(source))
        if wrong := contradictions(record, {name: config.get(name) for name in EXPLICIT}):
            trained = {name: record[name] for name in wrong}
            stated, known = (", ".join(f"{name}: {value}" for name, value in own.items()) for own in (wrong, trained))
            raise ValueError(
                f"{source} says {stated}, but {weights.with_suffix('.json')} says {known}. "
                f"State in configs/bundle.yaml what the weights were trained with and run "
                f"'{command('bundle complete')} {bundle}', or copy model.pt and model.json of another training."
            )
        check_explicit_network(weights, {}, config.get_parsed_content("network_def"))


def publish(bundle: Path, out: Path) -> None:
    """Write the published form of a bundle.

    Args:
        bundle: folder of the bundle, with its complete configurations.
        out: folder to create; its name is the name of the bundle.

    Raises:
        FileExistsError: if `out` exists.
        FileNotFoundError: if `bundle` is not the folder of a bundle, or has weights without their record.
        ValueError: if the record of the weights contradicts the configurations.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; remove it, or publish into another folder.")
    if missing := [name for name in COPIED if not (bundle / name).exists()]:
        raise FileNotFoundError(f"{bundle} is not a bundle: it has no {', '.join(missing)}.")
    _check_weights(bundle)
    configs = out / "configs"
    configs.mkdir(parents=True)
    hidden = shutil.ignore_patterns(".*", "__pycache__")
    for name in COPIED:
        if (bundle / name).is_dir():
            shutil.copytree(bundle / name, out / name, ignore=hidden)
        else:
            shutil.copyfile(bundle / name, out / name)
    shutil.copytree(Path(__file__).parents[1], out / SCRIPTS, ignore=hidden)
    for path in (bundle / "configs").iterdir():
        if path.suffix in (".yaml", ".json") and path.name not in (*LEFT_OUT, "metadata.json"):
            workflow = _renamed(ConfigParser.load_config_file(path))
            if path.stem != Path(OVERLAY).stem:  # MONAI joins that one with a workflow
                workflow["bundle_root"] = "."
                for key, line in FIND_SCRIPTS.items():
                    workflow[key] = [line, *(own for own in workflow.get(key, []) if own != line)]
            text = json.dumps(workflow, indent=4, ensure_ascii=False)
            (configs / f"{path.stem}.json").write_text(text + "\n", encoding="utf-8")
    logging = (bundle / "configs" / "logging.conf").read_text(encoding="utf-8")
    (configs / "logging.conf").write_text(LOGGER.sub(f"qualname={SCRIPTS}", logging), encoding="utf-8")
