"""The report states what was measured and what was undone."""

import csv
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared_item import prepared_item

from common.label_sets import LabelSets
from common.registration import Comparison, Pair, Stage, compare, consistency_report, write_report
from common.registration.comparison import View
from common.registration.consistency_report import SHOWN, mean_and_sd, summarise

CLASSES = ["background", "lv_cavity", "left_atrium"]
STILL = np.indices((8, 8)).astype(float)
BLANK = View(np.zeros((8, 8)), np.zeros((8, 8), int))


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    return partial(prepared_item, tmp_path)


def comparison(final: list[float], refused: str = "") -> Comparison:
    items = [{"image": f"/data/{name}.png", "view": view} for name, view in (("s", None), ("t", "4CH"))]
    stages = [Stage("start", STILL, 0.1), Stage("affine", STILL, 0.2), Stage("bspline", STILL, 0.3, refused)]
    dice = [[0.9, 0.2, 0.4], [0.9, 0.5, math.nan], [0.9, *final]]
    return Comparison(Pair(*items, similarity=0.5, scale=1.1), stages, dice, BLANK, BLANK, BLANK)


BOTH = [comparison([0.6, 0.8]), comparison([0.8, math.nan], "folds at 3 pixels")]


def test_means_and_deviations_leave_out_what_is_undefined():
    assert mean_and_sd([0.5, math.nan]) == pytest.approx((0.5, math.nan), nan_ok=True)
    assert all(math.isnan(value) for value in mean_and_sd([math.nan]))
    summary = summarise(BOTH, CLASSES)
    assert summary["pairs"] == 2
    assert summary["dice/bspline/lv_cavity"] == pytest.approx(0.7)
    assert summary["dice_sd/bspline/lv_cavity"] == pytest.approx(math.sqrt(0.02))  # of a sample of two: 0.1 * sqrt(2)
    assert summary["dice/bspline/left_atrium"] == pytest.approx(0.8)
    assert summary["dice/bspline/mean"] == pytest.approx((0.7 + 0.8) / 2)
    assert math.isnan(summary["dice/affine/left_atrium"])
    assert summary["mutual_information/affine"] == pytest.approx(0.2)
    assert [summary[f"used/{stage}"] for stage in ("start", "affine", "bspline")] == [0, 1, 1]


def test_every_pair_has_a_row_with_the_stage_used_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    drawn: list[Any] = []
    monkeypatch.setattr(consistency_report, "draw_examples", lambda *given: drawn.append(given))
    summary = write_report(BOTH, CLASSES, tmp_path / "new", "title of the table")
    with (tmp_path / "new/pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["bspline", "affine"]
    assert [row["refused"] for row in rows] == ["", "bspline: folds at 3 pixels"]
    assert (rows[0]["source"], rows[0]["target"], rows[0]["view"], rows[0]["phase"]) == ("s.png", "t.png", "4CH", "")
    assert (rows[0]["bspline_lv_cavity"], rows[1]["bspline_left_atrium"], rows[1]["bspline_mean"]) == (
        "0.6000",
        "",
        "0.8000",
    )
    written = json.loads((tmp_path / "new/summary.json").read_text())
    assert written["dice/affine/left_atrium"] is None
    assert written["dice/bspline/mean"] == summary["dice/bspline/mean"]
    ((columns, titles, classes, path),) = drawn
    assert [title for title, _ in columns] == ["1: bspline, Dice 0.70", "2: affine, Dice 0.80"]
    assert all(len(cells) == len(titles) == 4 for _, cells in columns)
    assert (classes, path.name) == (CLASSES, "pairs.png")
    output = capsys.readouterr().out
    assert "0.750" in output
    assert "title of the table" in output


def test_the_contact_sheet_is_a_picture_and_shows_a_limited_number_of_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_report(BOTH, CLASSES, tmp_path, "Dice")
    assert (tmp_path / "pairs.png").read_bytes().startswith(b"\x89PNG")
    given: list[Any] = []
    monkeypatch.setattr(consistency_report, "draw_examples", lambda *arguments: given.extend(arguments))
    write_report(BOTH * SHOWN, CLASSES, tmp_path, "Dice")
    assert len(given[0]) == SHOWN


def test_annotations_are_compared_on_the_targets_grid(prepare):
    pair = Pair(prepare("full", 0), prepare("lv_only", 1), similarity=0.5, scale=1.0)
    names = [*CLASSES[:2], "lv_myocardium", "left_atrium"]
    labels = LabelSets(
        names, {"full": [[name] for name in names], "lv_only": [names[:1] + names[2:], ["lv_cavity"]] * 2}
    )
    rows, columns = np.indices((64, 64)).astype(float)
    shifted = [Stage("start", np.stack([rows, columns]), 0.1), Stage("affine", np.stack([rows + 40, columns]), 0.2)]

    class Shift:
        def __call__(self, *given: Any) -> list[Stage]:
            assert [np.shape(value) for value in given] == [(64, 64), (64, 64), (2,), (2,), ()]
            return shifted

    (result,) = compare([pair], labels, Shift())  # type: ignore[arg-type]
    assert result.used == "affine"
    assert len(result.dice) == 2
    assert result.dice[0][1] > result.dice[1][1], "40 rows lower nothing fits"
    assert all(math.isnan(value) for row in result.dice for value in (row[0], row[2], row[3]))
    assert (result.carried.classes[24:] == 0).all(), "below the source there is background"
    assert set(np.unique(result.source.classes)) == {0, 1, 2, 3}
    assert set(np.unique(result.target.classes)) == {0, 1}
