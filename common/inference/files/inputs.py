"""The files that inference.yaml reads with MONAI's own transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai.data import FolderLayout
from tqdm import tqdm

from ...datasets.files.images import ANNOTATIONS
from .plan import SUFFIX

__all__ = ["check_inputs", "input_files"]

NAMED = 5  # culprits in a message


def input_files(folder: str | Path, pattern: str, output_dir: str | Path) -> list[str]:
    """Return the files of a folder and its subfolders, sorted, without label maps (`*_gt`, `*_seg`); perhaps none.

    Args:
        folder: to search.
        pattern: of names, such as `*.png`; folders of DICOM series may match it, too.
        output_dir: folder that is not searched, unless everything lies in it.
    """
    out, root = Path(output_dir).resolve(), Path(folder).resolve()
    return sorted(
        str(path)
        for path in Path(folder).rglob(pattern)
        if not SUFFIX.sub("", path.name).lower().endswith(ANNOTATIONS)
        and (root.is_relative_to(out) or not path.resolve().is_relative_to(out))
    )


def check_inputs(
    files: Sequence[str],
    folder: str | Path,
    pattern: str,
    output_dir: str | Path,
    output_ext: str,
    transforms: Sequence[Callable[[Any], Any]],
    last: Callable[[Any], Any],
) -> None:
    """Refuse files that cannot be read, and label maps that would replace a file or each other, before any work.

    Args:
        files: as `input_files` returns them.
        folder: whose subfolders label maps keep.
        pattern: of the names of the files.
        output_dir: of the label maps.
        output_ext: of the label maps.
        transforms: what reads a file, given {"image": path}.
        last: the one of `transforms` after which a file counts as read.

    Raises:
        FileNotFoundError: if `files` is empty.
        ValueError: names files, and why.
    """
    if not files:
        raise FileNotFoundError(
            f"{folder} has no files {pattern}; choose others with --dataset_dir FOLDER and --pattern '*.png'."
        )
    layout = FolderLayout(str(output_dir), "seg", output_ext, makedirs=False, data_root_dir=str(folder))
    outs: dict[str, str] = {}
    for path in files:
        out = layout.filename(subject=path)
        if Path(out).exists():
            raise ValueError(f"{out} exists and is not overwritten. Move it, or choose another --output_dir.")
        if out in outs:
            raise ValueError(f"{outs[out]} and {path} would both become {out}; choose one by --pattern.")
        outs[out] = path
    reading = transforms[: transforms.index(last) + 1]
    wrong = [why for path in tqdm(files, "check", unit=" files") if (why := _reason(path, reading))]
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise ValueError(
            f"{len(wrong)} of {len(files)} files cannot be used, nothing was segmented. Move them, or choose others by "
            f"--pattern: {'; '.join(wrong[:NAMED])}{more}"
        )


def _reason(path: str, reading: Sequence[Callable[[Any], Any]]) -> str:
    """Return why a file cannot be read, with its name; empty if it can."""
    data: Any = {"image": path}
    try:
        for transform in reading:
            data = transform(data)
    except Exception as error:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        return words if path in words else f"{path}: {words}"
    return ""
