"""Evaluation reports: every number follows from the rows."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from monai.engines import SupervisedEvaluator
from rich.console import Console
from torch.nn.functional import one_hot

from common.label_sets import LabelSets
from common.metrics import DatasetDice
from common.tracking import EvaluationReport, Examples, dice_table

CLASSES = ["background", "lv", "la"]
LABELS = LabelSets(CLASSES, {"full": [["background"], ["lv"], ["la"]], "lv_only": [["background", "la"], ["lv"]]})
# annotation, prediction, dataset; Dice by hand in the comments
IMAGES = [
    ([0, 1, 1, 2], [0, 1, 2, 2], 0),  # lv 2*1/(1+2), la 2*1/(2+1)
    ([0, 1, 1, 0], [2, 1, 1, 2], 1),  # lv 1, la is not annotated
    ([0, 0, 0, 0], [0, 0, 0, 0], 0),  # neither is there
    ([0, 0, 1, 1], [1, 1, 1, 1], 1),  # lv 2*2/(4+2)
]
EXPECTED = [["0.6667", "0.6667"], ["1.0000", ""], ["", ""], ["0.6667", ""]]


def text(metrics: dict[str, float]) -> list[list[str]]:
    """Cells of the printed table."""
    console = Console(width=120, record=True, quiet=False, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(dice_table(metrics, "Dice", CLASSES))
    lines = [line for line in console.export_text().splitlines() if "│" in line or "┃" in line]
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in lines]


def report(folder: Path) -> SupervisedEvaluator:
    batches = []
    for start in (0, 2):
        values, predictions, dataset = (list(part) for part in zip(*IMAGES[start : start + 2], strict=True))
        label = torch.tensor(values).view(2, 1, 2, 2)
        batches.append(
            {
                "image": one_hot(torch.tensor(predictions).view(2, 2, 2), 3).movedim(-1, 1).float(),
                "label": LABELS.encode_batch(label, torch.tensor(dataset)),
                "dataset": torch.tensor(dataset),
                "index": torch.tensor([start, start + 1]),
            }
        )
    data = [
        {"image": f"/data/scan{n}.png", "dataset": ["full", "lv_only"][IMAGES[n][2]], "patient": f"p{n}", "view": "4CH"}
        for n in range(4)
    ]
    examples = Examples(CLASSES, ["full", "lv_only"])
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=batches,
        network=torch.nn.Identity(),
        key_val_metric={"mean_dice": DatasetDice(CLASSES, ["full", "lv_only"])},
        decollate=False,
        val_handlers=[examples, EvaluationReport(folder, "test", data, CLASSES, examples)],
    )
    evaluator.run()
    return evaluator


def test_the_rows_are_the_dice_of_the_images(tmp_path: Path):
    report(tmp_path / "new")
    with (tmp_path / "new" / "test_dice.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["image", "dataset", "patient", "view", "phase", "lv", "la"]
    assert [row[:5] for row in rows] == [
        [f"scan{n}.png", ["full", "lv_only"][IMAGES[n][2]], f"p{n}", "4CH", ""] for n in range(4)
    ]
    assert [row[5:] for row in rows] == EXPECTED


def test_the_summary_is_the_mean_of_the_rows(tmp_path: Path):
    report(tmp_path)
    summary = json.loads((tmp_path / "test_summary.json").read_text())
    cells = {"dice/full/lv": 2 / 3, "dice/full/la": 2 / 3, "dice/lv_only/lv": (1 + 2 / 3) / 2}
    assert summary == pytest.approx({"mean_dice": sum(cells.values()) / 3, **cells})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test_dice.csv",
        "test_examples.png",
        "test_predictions.npz",
        "test_summary.json",
    ]


def test_the_table_is_printed_and_says_where_the_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report(tmp_path)
    output = capsys.readouterr().out
    assert "Dice, test fold" in output
    assert "0.833" in output
    assert f"{tmp_path}/test_dice.csv" in output
    assert "logged in MLflow" not in output


def test_the_table_shows_a_dash_for_missing_pairs():
    header, full, lv_only, *others = text(
        {"mean_dice": 0.7, "dice/full/lv": 0.5, "dice/full/la": 0.7, "dice/lv_only/lv": 0.9}
    )
    assert header == ["dataset", "lv", "la", "mean"]
    assert full == ["full", "0.500", "0.700", "0.600"]
    assert lv_only == ["lv_only", "0.900", "-", "0.900"]
    assert others == []


def test_a_dataset_without_any_defined_value_is_a_row_of_dashes():
    assert text({"dice/full/lv": math.nan})[1] == ["full", "-", "-", "-"]


def test_undefined_numbers_are_null_in_the_summary(tmp_path: Path):
    evaluator = report(tmp_path)
    evaluator.state.metrics["mean_dice"] = math.nan
    handler = EvaluationReport(tmp_path, "other", [{"image": "a.png"}] * 4, CLASSES, Examples(CLASSES, ["full"]))
    handler.examples = SilentExamples(CLASSES, ["full"])
    handler(evaluator)
    summary = json.loads((tmp_path / "other_summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["mean_dice"] is None


class SilentExamples(Examples):
    def draw(self, path: str | Path) -> None:
        Path(path).touch()


def test_a_report_beside_a_training_reaches_its_run(
    tmp_path: Path, client: MlflowClient, uri: str, capsys: pytest.CaptureFixture[str]
):
    run = client.create_run(client.create_experiment("reports", artifact_location=(tmp_path / "store").as_uri()))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "mlflow_run.json").write_text(json.dumps({"run_id": run.info.run_id, "tracking_uri": uri}))
    report(folder)
    assert "logged in MLflow" in capsys.readouterr().out
    assert client.get_run(run.info.run_id).data.metrics["test/dice/full/lv"] == pytest.approx(2 / 3)
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {
        "test_dice.csv",
        "test_examples.png",
        "test_predictions.npz",
        "test_summary.json",
    }
