"""The settings of a run, from the command line or from Python: stop at what is misspelt or cannot be."""

from __future__ import annotations

import math
import numbers
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from ..command import PACKAGE
from ..configuration import check_overrides, given_words, make_plain
from ..datasets.prepared.selection import NAMING, check_names
from ..engines.processes import check_processes
from ..spelling import did_you_mean
from .changed import changed_settings, check_changes, is_same
from .chosen import check_batched, check_chosen
from .facts import check_facts
from .given import check_effect, check_needs
from .overrides import OWN_ARGUMENTS, accept, given_overrides, is_run, main_file, run_ids, with_overrides
from .steady import check_steady

__all__ = ["check_given", "check_settings", "command_words"]

PATHS = (  # settings that a number cannot be: `2024` is read as one
    *("checkpoint", "data", "dataset_dir", "initial_weights", "input", "out", "output", "output_dir", "runs_dir"),
    "tracking_uri",
)
LONGEST_NAME = 200  # bytes of the name of a training: file systems allow 255, and names beside it are longer


def check_settings(
    choices: Mapping[str, str] | None = None,
    limits: Mapping[str, Sequence[Any]] | None = None,
    names: Sequence[str] = (),
    version: str | None = None,
    needs: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Stop a workflow whose settings the configuration does not know or cannot use, and suggest the nearest setting.

    As an item of `initialize` it checks the workflow that is being initialised, however it was started. From then on
    an error that this project raises on purpose ends a run of the command line with its message, without the traceback
    of the runner, and output that the terminal cannot show is replaced.

    Args:
        choices: setting that names an entry of a block -> that block.
        limits: setting that is a number -> smallest value and, optionally, the largest, or the setting that is.
        names: settings that are text, whatever is typed.
        version: of this package that the bundle was published with; None: not published.
        needs: setting -> those that have no effect where it is off (false, 0 or null).

    Raises:
        ValueError: for an unknown setting, an unknown choice, a value of another kind or outside the limits, a dataset
            that is not in the data, an expression whose value may differ at the next start; or if another version is
            loaded: published bundles share `sys.modules["scripts"]`.
        SystemExit: instead, with the same message, on the command line.
    """
    try:
        words = command_words()
    except ValueError as error:
        sys.exit(str(error))
    if words is not None:
        sys.excepthook = _report
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if version not in (None, loaded := resolve_name(f"{PACKAGE}:__version__")):
        raise ValueError(
            f"this bundle was published with version {version} of its code, but version {loaded} is loaded "
            f"({Path(__file__).parents[1]}). Use the configuration and code of one published bundle, and a process of "
            "its own for each version."
        )
    try:
        config, overrides = given_overrides()
        if config:
            make_plain()
            _check_joined(config)
            check_processes("processes" in config)
            file = main_file() or config
            changed = dict(changed_settings([file], config))
            check_changes(file, config, changed, run_ids())
            check_steady({**changed, **overrides})
            check_overrides(config, {name: changed[name] for name in choices or () if name in changed}, choices or {})
            check_given(config, overrides, words or {}, choices or {}, limits or {}, names)
            full = with_overrides(config, overrides)
            _check_named(full, overrides, file)
            check_chosen(full, choices or {})
            _check_pretrained(full)
            check_changes(config, full, dict(changed_settings([config], full)))
            check_facts(file, full)
            if "train" in file:
                given = dict(changed_settings([file], full))
                check_effect(file, full, given, run_ids())
                check_needs(full, given, needs or {})
                check_batched(full)
            accept()
    except (ValueError, FileNotFoundError) as error:
        if words is not None:
            sys.exit(str(error))
        raise


def _check_named(config: Mapping[str, Any], overrides: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    """Refuse given names of datasets, or of their structures, that are not in the data; the bundle may name others."""
    parser, given = ConfigParser(dict(config)), dict[str, Any]()
    for name in NAMING:
        if name in overrides and name in config:
            given[name] = parser.get_parsed_content(name)
        elif name in config and not is_same(config[name], own := file.get(name)):
            value = parser.get_parsed_content(name)
            if isinstance(value, Mapping) and isinstance(own, Mapping):
                value = {key: one for key, one in value.items() if not is_same(one, own.get(key))}
            given[name] = value
    if given:
        check_names(parser.get_parsed_content("data"), given)


def check_given(
    config: dict[str, Any],
    overrides: Mapping[str, Any],
    words: Mapping[str, str],
    choices: Mapping[str, str],
    limits: Mapping[str, Sequence[Any]],
    names: Sequence[str],
) -> None:
    """Refuse wrong settings; arguments as for `check_settings`.

    Args:
        config: parsed configuration, without the overrides.
        overrides: setting -> value.
        words: setting -> what was typed for it.
        choices: setting that names an entry of a block -> that block.
        limits: setting -> smallest value and, optionally, the largest, or the setting that is.
        names: settings that are text.
    """
    others = {name: value for name, value in overrides.items() if name not in NAMING or name not in config}
    check_overrides(config, others, choices)
    known = ConfigParser(config)
    for name, word in words.items():
        if name.startswith("+"):  # MONAI merges in files only; here it would replace the setting
            check_overrides(config, {name: word}, {})
        if word == "None" and name not in OWN_ARGUMENTS and (name not in known or known[name] is not None):
            raise ValueError(f"--{name}: None would be ignored by MONAI; leave --{name} out, or give '$None'.")
    if recorded := [name for name in overrides if re.match(r"record\b", name) and "record" in config]:
        raise ValueError(
            f"--{recorded[0]}: the record says what was trained; set what it is taken from instead, such as --classes, "
            "--image_size, --network or --loss."
        )
    for name, value in overrides.items():
        _check_text(name, value, words.get(name), name in names)
    _check_folder_name(overrides.get("run_name"))
    parser = ConfigParser(with_overrides(config, overrides))
    for name, value in overrides.items():
        _check_references(parser, name, value)
    defaults = {name: ConfigParser(config).get(name) for name in limits if name in parser}
    values = {name: parser.get_parsed_content(name) for name in defaults}
    for name, default in defaults.items():
        smallest, *largest = limits[name]
        sides = isinstance(default, list)  # of a volume
        if sides and not (isinstance(values[name], list) and len(values[name]) == len(default)):
            raise ValueError(f"--{name}: expected {len(default)} numbers, such as {default}, got {values[name]!r}.")
        for value in values[name] if sides else [values[name]]:
            _check_number(name, value, whole=sides or type(default) is int)
            if value < smallest:
                raise ValueError(f"--{name}: expected at least {smallest}, got {value}.")
            for most in largest:
                bound, said = (values[most], f"--{most}, {values[most]}") if isinstance(most, str) else (most, most)
                if value > bound:
                    raise ValueError(f"--{name} is {value}, expected at most {said}.")


def _check_references(parser: ConfigParser, name: str, value: Any) -> None:
    """Refuse a value that refers to what the configuration lacks."""
    for reference in ReferenceResolver.find_refs_in_config(value, ReferenceResolver.normalize_id(name)):
        relative = reference.startswith(ReferenceResolver.sep)
        if reference and not relative and not reference.startswith(parser.meta_key) and reference not in parser:
            close = did_you_mean(reference, parser.get())
            raise ValueError(f"--{name}: {value!r} refers to {reference!r}, which is not in this configuration.{close}")


def _check_joined(config: Mapping[str, Any]) -> None:
    """Refuse the file for several processes before that of a training, or with another workflow."""
    trainer = config.get("train", {}).get("trainer", {}) if "processes" in config else None
    if trainer is not None and ("_target_" not in trainer or trainer.get("network") != "@data_parallel"):
        raise ValueError(
            "multi_gpu_train.yaml changes train.yaml alone, and comes after it: give --config_file "
            "\"['.../train.yaml','.../multi_gpu_train.yaml']\"; run other workflows without it and without torchrun."
        )


def _check_pretrained(config: Mapping[str, Any]) -> None:
    """Refuse to run a network of random weights: nothing can load others between the start of a run and its end."""
    if str(config.get("load_pretrain")).lower() == "false" and is_run():
        raise ValueError(
            "--load_pretrain false would segment with random weights: it is for programs that make the workflow and "
            "load the weights themselves; leave it out, and choose weights with --checkpoint PATH."
        )


def _check_text(name: str, value: Any, word: str | None, is_name: bool) -> None:
    """Refuse text that MONAI's command line would change without a word."""
    if isinstance(value, list | tuple) and not is_name:
        for item in value:
            _check_text(name, item, None, is_name=False)
        return
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        return
    if word is not None and isinstance(value, str) and re.fullmatch(r"\{.*:.*\}|\[.*\]", value.strip(), re.DOTALL):
        raise ValueError(
            f"--{name}: MONAI reads {value[:60]!r} as text; put words with dots, slashes or signs into quotes of their "
            "own, such as {_target_: 'torch.optim.Adam'}."
        )
    typed = str(value) if word is None else word.strip("'\"")
    if name in PATHS and isinstance(value, int | float):
        raise ValueError(f"--{name}: expected a path, but {typed!r} is read as the number {value}; write './{typed}'.")
    same = isinstance(value, str) or type(value) is int
    if is_name and (not same or str(value) != typed or not typed.strip()):
        raise ValueError(f"--{name}: expected a name, but {typed!r} would be read as {value!r}; choose another name.")
    if is_name and not str(value).isprintable():
        raise ValueError(f"--{name}: expected one line of printable characters, got {value!r}.")
    if isinstance(value, str) and not value and name != "tracking_uri":  # which is none then
        raise ValueError(f"--{name}: expected a value, got nothing.")
    if isinstance(value, str) and ("#" in typed or "#" in value or ("::" in value and "//" not in value)):
        raise ValueError(f"--{name}: MONAI would change the '#' in {typed!r}; choose a name without '#'.")


def _check_folder_name(name: Any) -> None:
    """Refuse a name of a training that cannot be the name of one folder."""
    text = "" if name is None or str(name).startswith(("$", "@", "%")) else str(name)
    if "/" in text or "\\" in text or text in (".", ".."):
        raise ValueError(f"--run_name: expected the name of one folder, got {text!r}; choose its place by --runs_dir.")
    if text == "evaluations":
        raise ValueError("--run_name: evaluations of other weights lie in the folder 'evaluations'; choose another.")
    if len(text.encode()) > LONGEST_NAME:
        raise ValueError(f"--run_name: expected at most {LONGEST_NAME} bytes, got {len(text.encode())}.")


def _check_number(name: str, value: Any, whole: bool) -> None:
    kind = numbers.Integral if whole else numbers.Real
    if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value):
        hint = " In YAML, write 1.0e-3 instead of 1e-3." if isinstance(value, str) else ""
        raise ValueError(f"--{name}: expected a {'whole' if whole else 'finite'} number, got {value!r}.{hint}")


def command_words(argv: Sequence[str] | None = None) -> dict[str, str] | None:
    """Return the settings as typed after `python -m monai.bundle run`; None if this process is something else.

    Args:
        argv: of the process; None takes `sys.argv`.

    Example:
        >>> command_words(["/lib/monai/bundle/__main__.py", "run", "--epochs=3", "--resume"])
        {'epochs': '3', 'resume': 'True'}
        >>> command_words(["pytest", "--epochs=3"])
    """
    program, *words = sys.argv if argv is None else argv
    return given_words(words) if Path(program).parts[-3:] == ("monai", "bundle", "__main__.py") else None


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the cause of an error without its wrappers: MONAI wraps it in the names of components."""
    root, built = error, ""
    while root.__cause__ is not None and not _raised_here(root):
        built = _built(root) or built
        root = root.__cause__
    if isinstance(error, KeyboardInterrupt):
        print("\ninterrupted; a training continues from its last epoch with --resume true", file=sys.stderr)
        return
    if said := _raised_here_in_worker(str(root)):
        print(f"\n{said}", file=sys.stderr)
        return
    if not _raised_here(root) and not (built and _raised_in_libraries(root)):
        sys.__excepthook__(kind, error, trace)
        built = ""
    said = f"{built} cannot be built: {root}" if built and not _raised_here(root) else str(root)
    if said != str(root) and "unexpected keyword argument" in said:
        said += '; give the whole component with its arguments as one setting: "{_target_: NAME, ...}"'
    print(f"\n{type(root).__name__}: {said}", file=sys.stderr)


def _built(error: BaseException) -> str:
    """Return what MONAI failed to build, from its message: a component with its arguments, or an expression."""
    component = re.match(r"Failed to instantiate component '(?P<name>.*?)' with keywords: (?P<given>.*)", str(error))
    if component:
        return f"{component['name']} (with {component['given'].replace(',', ', ')})"
    expression = re.match(r"Failed to evaluate .*?(?P<text>\$.*)", re.sub(r"[\"']?\n\s*[\"']?", "", str(error)))
    text = re.sub(r"[\"'][)}\s]*$", "", expression["text"]).strip() if expression else ""
    return re.sub(r"__local_refs\['(\w+)'\]", r"@\1", text)[:200]


def _raised_in_libraries(error: BaseException) -> bool:
    """Return whether no code of the user is between a component and its error: a traceback would show libraries."""
    files = {Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__)}
    ours = Path(__file__).parents[1]
    return all(file.is_relative_to(ours) or "site-packages" in file.parts or not file.is_file() for file in files)


def _raised_here_in_worker(text: str) -> str:
    """Return what code of this package refused in a worker of a data loader, which torch passes on as text, or ""."""
    first = text.split("\n\nThe above exception", 1)[0].strip()
    files = re.findall(r'\n  File "(.+?)"', first) if "in DataLoader worker process" in first else []
    ours = bool(files) and Path(files[-1]).is_relative_to(Path(__file__).parents[1])
    said = first.splitlines()[-1] if ours else ""
    return said if said.startswith(("ValueError:", "FileNotFoundError:")) else ""


def _raised_here(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))  # empty for a cause that was never raised
    ours = bool(frames) and frames[-1][0].f_code.co_filename.startswith(str(Path(__file__).parents[1]))
    return ours and isinstance(error, ValueError | OSError | ArithmeticError)
