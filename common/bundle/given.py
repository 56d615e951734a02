"""What a run was given: settings below a block, and settings that change its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..identity import SPEED, flattened
from .changed import references
from .overrides import further_names, given_overrides, main_file, with_overrides

__all__ = [
    "check_effect",
    "check_needs",
    "given_below",
    "given_changes",
    "given_names",
    "lacking",
    "result_changes",
    "stated_names",
]

KNOWN_OTHERWISE = frozenset(  # do not change a result, or are among its facts by another name
    (
        *("bundle_root", "device", "experiment", "runs_dir", "run_name", "tracking_uri"),
        *("checkpoint", "data", "renamed", "fold", "input", "output", "output_dir", "out"),
        *("activation", "classes", "image_size", "loss", "network"),  # by the record of the weights
        *("spacing", "frame_rate", "find_sector", "sector_bundle", "augmented", "smallest_piece", "pictures"),
        *("frames_at_once", "finding", "drawing", "orientation"),
    )
)
WITHOUT_USE = ("bundle_root", "experiment", "runs_dir", "tracking_uri")  # common to all workflows, used by some
FIXED = {  # what a result says about itself -> the settings that choose it
    "evaluation": "--checkpoint, --data and --fold",
    "given": "--networks::NAME::ARGUMENT",
    "loaded": "--checkpoint PATH",
    "overrides": "the settings themselves",
    "plan": "--input and --output",
    "record": "--checkpoint PATH",
    "stated": "the settings themselves",
    "trained": "--checkpoint PATH",
    "weights": "--checkpoint PATH",
}
ROOTS = ("initialize", "run", "finalize")
COMPUTED = {  # what the record of a training, or its identity, is taken from elsewhere -> the settings to use
    "loss_function": "--loss, and --losses::NAME for one of your own",
    "network_def": "--network, and --networks::NAME for one of your own",
    "model": "--network, and --networks::NAME for one of your own",
    **dict.fromkeys(("configuration", "settings", "digest", "data_checksum", "prepared"), "the settings themselves"),
}
OF_PROCESSES = ("settings::processes", "@processes")  # as multi_gpu_train.yaml adds it


def given_below(block: str) -> list[str]:
    """Return the names of the settings within a block that the workflow of the caller was given.

    A block that was given as a whole counts as those of its settings that differ from the file.

    Args:
        block: top-level id of a mapping.

    Example:
        >>> given_below("networks")  # no workflow is running
        []
    """
    config, given = given_overrides()
    names = [name.replace("#", "::") for name in given]
    whole = _differing(config, {block: given[block]}) if block in names else {}
    return [*(name for name in names if name.startswith(f"{block}::")), *whole]


def given_changes() -> dict[str, Any]:
    """Return the settings that change the result of the workflow of the caller and that its files do not state.

    Returns:
        Name -> value, without settings that name the data, the weights or a place; None for one that was left out.

    Raises:
        ValueError: for a setting that has no effect, or that replaces what a result says about itself.

    Example:
        >>> given_changes()  # no workflow is running
        {}
    """
    config, overrides = given_overrides()
    return result_changes(main_file() or config, config, overrides) if config else {}


def given_names() -> list[str]:
    """Return the names of the settings, flattened, that the workflow of the caller was given.

    Example:
        >>> given_names()  # no workflow is running
        []
    """
    config, overrides = given_overrides()
    return [*_differing(main_file() or config, overrides, config)] if config else []


def stated_names() -> list[str]:
    """Return the names, of the top level, of the settings that the workflow of the caller was given.

    Unlike `given_names` they contain those that were given as the files have them, and all of a configuration that
    is not of a bundle: that of a run, or of a training in a grid.

    Example:
        >>> stated_names()  # no workflow is running
        []
    """
    names = [*given_overrides()[1], *given_names(), *further_names()]
    return list(dict.fromkeys(name.replace("#", "::").split("::")[0] for name in names))


def result_changes(file: Mapping[str, Any], config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `given_changes` returns, for given files and overrides.

    Args:
        file: configuration of the bundle.
        config: it, joined with further files.
        overrides: setting -> value.

    Example:
        >>> file = {"rate": 1, "unused": 2, "data": "a", "run": ["$@rate", "$@data"]}
        >>> result_changes(file, file, {"rate": 2, "data": "b"})
        {'rate': 2}
        >>> result_changes(file, file, {"rate": 1.0})
        {}
        >>> result_changes(file, file, {"unused": 3})
        Traceback (most recent call last):
        ...
        ValueError: --unused has no effect here; leave it out.
    """
    changed = _differing(file, overrides, config)
    full = with_overrides(config, overrides)
    reached = _reached(full)
    for name in changed:
        top = name.split("::")[0]
        if top in FIXED:
            raise ValueError(f"--{name} would make the result say what is not so; use {FIXED[top]}.")
        if top not in reached and top not in WITHOUT_USE and not top.startswith("_"):
            raise ValueError(f"--{name} has no effect here; leave it out.")
    hidden = {name for name in changed if (top := name.split("::")[0]) in KNOWN_OTHERWISE or top not in reached}
    hidden |= {*SPEED, "dataset::device"}
    return {name: value for name, value in sorted(changed.items()) if name not in hidden}


def check_effect(
    file: Mapping[str, Any], config: Mapping[str, Any], changed: Mapping[str, Any], runs: Iterable[str] = ()
) -> None:
    """Refuse settings of a training that nothing uses, or in whose place its record and identity state others.

    Args:
        file: configuration of the bundle.
        config: it, with further files and overrides.
        changed: settings that differ -> value.
        runs: names of what the workflow runs.

    Raises:
        ValueError: names the setting, and the one to use instead.

    Example:
        >>> file = {"data": "a", "dataset_dir": "@data", "run": ["$train(@data)"]}
        >>> check_effect(file, {**file, "dataset_dir": "b"}, {"dataset_dir": "b"}, [])
        Traceback (most recent call last):
        ...
        ValueError: --dataset_dir has no effect here; set --data instead.
    """
    kept = file.get("checkpointed", {})
    for name in [name for name, value in kept.items() if config["checkpointed"].get(name) != value]:
        raise ValueError(f"--checkpointed::{name}: a resumed training would differ; only further names may be added.")
    before, now = (_reached(one, [*ROOTS, "train", "validate", *runs]) for one in (file, config))
    for name, value in changed.items():
        top = name.split("::")[0]
        if top in COMPUTED and top in file and (name, value) != OF_PROCESSES:
            raise ValueError(f"--{name}: the record of the weights would say otherwise; use {COMPUTED[top]}.")
        other = str(file.get(top)).startswith("@")
        if top not in now and (top in before or other):
            remedy = f"set --{file[top][1:]} instead" if other else "leave it out"
            raise ValueError(f"--{name} has no effect here; {remedy}.")


def lacking(config: Mapping[str, Any], given: Iterable[str], needs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the settings that have no effect since another one is off, each with the one that it lacks.

    Args:
        config: with overrides.
        given: names of settings.
        needs: setting -> those that need it.

    Example:
        >>> lacking({"dropout": 0.0, "layers": "all"}, ["layers"], {"dropout": ["layers"]})
        {'layers': 'dropout'}
    """
    off = [needed for needed in needs if config.get(needed) in (None, False, 0, "false", {})]
    return {name: needed for name in given for needed in off if name.replace("#", "::").split("::")[0] in needs[needed]}


def check_needs(config: Mapping[str, Any], given: Iterable[str], needs: Mapping[str, Sequence[str]]) -> None:
    """Refuse settings that have no effect since another one is off (`lacking`).

    Raises:
        ValueError: names both.
    """
    for name, needed in lacking(config, given, needs).items():
        raise ValueError(f"--{name} has no effect without --{needed}; set both, or leave it out.")


def _differing(
    file: Mapping[str, Any], overrides: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the settings, flattened, that overrides and further files change."""
    before, after = flattened(file), flattened(with_overrides(file if config is None else config, overrides))
    names = dict.fromkeys([*after, *before])
    return {
        name: after.get(name)
        for name in names
        if (name in before, before.get(name)) != (name in after, after.get(name))
    }


def _reached(config: Mapping[str, Any], roots: Sequence[str] = ROOTS) -> set[str]:
    """Return the top-level names that a run leads to."""
    reached, found = set(roots), [*roots]
    while found:
        for name in references(config.get(found.pop(), "")):
            if name not in reached:
                reached.add(name)
                found.append(name)
    return reached
