"""What inference.yaml reads, and what it refuses before any work."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.transforms import LoadImaged
from PIL import Image

from common.inference import check_inputs, input_files

LOAD = LoadImaged("image")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


def checked(folder: Path, out: Path, pattern: str = "*.png", transforms: tuple[Callable[[Any], Any], ...] = (LOAD,)):
    files = input_files(folder, pattern, out)
    check_inputs(files, folder, pattern, out, ".png", [*transforms, pytest.fail], transforms[-1])
    return [str(Path(file).relative_to(folder)) for file in files]


def test_label_maps_and_results_are_not_read(tmp_path: Path):
    for name in ("a.png", "deep/b.png", "a_gt.png", "deep/b_seg.png", "out/c.png"):
        picture(tmp_path / name)
    assert checked(tmp_path, tmp_path / "out") == ["a.png", "deep/b.png"]
    assert checked(tmp_path / "out", tmp_path) == ["c.png"]


def test_every_file_that_cannot_be_read_is_named_before_any_work(tmp_path: Path):
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:50])
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 3 files cannot be used.*b\.png: .*; .*c\.png'"):
        checked(tmp_path, tmp_path / "out")


def test_what_a_later_transform_says_is_told(tmp_path: Path):
    picture(tmp_path / "a.png")

    def refuse(_: Any) -> Any:
        raise ValueError("too dark\nindeed")

    with pytest.raises(ValueError, match=r"1 of 1 .*a\.png: too dark$"):
        checked(tmp_path, tmp_path / "out", transforms=(LOAD, refuse))


def test_no_file_is_overwritten_by_a_label_map(tmp_path: Path):
    picture(tmp_path / "in" / "deep" / "a.png")
    kept = picture(tmp_path / "out" / "deep" / "a_seg.png")
    with pytest.raises(ValueError, match=r"a_seg\.png exists and is not overwritten.*--output_dir"):
        checked(tmp_path / "in", tmp_path / "out")
    shutil.move(kept, tmp_path / "out" / "a_seg.png")
    assert checked(tmp_path / "in", tmp_path / "out") == ["deep/a.png"]


def test_label_maps_of_one_name_are_refused(tmp_path: Path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.bmp")
    with pytest.raises(ValueError, match=r"a\.bmp and .*a\.png would both become .*a_seg\.png"):
        checked(tmp_path, tmp_path / "out", "*")


def test_a_folder_without_files_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"has no files \*\.png; choose others with --dataset_dir"):
        checked(tmp_path, tmp_path / "out")
