"""Evaluation reports: every number follows from the rows."""

import csv
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from epochs import EXPERIMENT, train
from mlflow import MlflowClient
from monai.engines import SupervisedEvaluator
from rich.console import Console
from torch.nn.functional import one_hot

from common.experiments.store import evaluations
from common.label_sets import LabelSets
from common.metrics import DatasetDice, ImageScores, false_positives
from common.tracking import Evaluation, EvaluationReport, Examples, dice_table, logged_run

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


def evaluation(runs: Path, **changes: Any) -> Evaluation:
    facts = {
        "weights": runs / "w.pt",
        "weights_digest": "0123456789abcdef",
        "record": {"loss": "marginal", "classes": CLASSES, "training": "c0ffee"},
        "data": "data/clinic",
        "checksum": "ba7816bf8f01cfea",
        "renamed": {},
        "fold": "test",
        "runs_dir": runs,
    }
    return Evaluation(**{**facts, **changes})


def report(runs: Path, uri: str, **changes: Any) -> SupervisedEvaluator:
    evaluated = evaluation(runs, **changes)
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
        additional_metrics={"wrong": ImageScores(false_positives, CLASSES, ["full", "lv_only"])},
        decollate=False,
        val_handlers=[examples, EvaluationReport(evaluated, data, CLASSES, examples, "reports", uri)],
    )
    evaluator.run()
    return evaluator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, uri: str) -> Path:
    """The folder of a report."""
    runs = tmp_path_factory.mktemp("runs")
    report(runs, uri)
    return evaluation(runs).folder


def test_an_evaluation_without_any_dice_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{__name__}.IMAGES", [IMAGES[2]] * 4)
    with pytest.raises(ValueError, match="no image of the test fold of clinic has a Dice; evaluate data that annotate"):
        report(tmp_path, "none")
    assert not list((tmp_path / "evaluations").iterdir())


def test_the_rows_are_the_scores_of_the_images(folder: Path):
    with (folder / "dice.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    scores = [f"false_positives/{label}" for label in CLASSES[1:]]
    assert header == ["image", "dataset", "patient", "view", "phase", "lv", "la", *scores]
    assert [row[:5] for row in rows] == [
        [f"scan{n}.png", ["full", "lv_only"][IMAGES[n][2]], f"p{n}", "4CH", ""] for n in range(4)
    ]
    assert [row[5:7] for row in rows] == EXPECTED
    assert [row[7:] for row in rows] == [["", ""], ["", ""], ["0.0000", "0.0000"], ["", ""]], "neither is there"


def test_the_summary_is_the_mean_of_the_rows(folder: Path):
    summary = json.loads((folder / "summary.json").read_text())
    cells = {"dice/full/lv": 2 / 3, "dice/full/la": 2 / 3, "dice/lv_only/lv": (1 + 2 / 3) / 2}
    others = {f"false_positives/full/{label}": 0.0 for label in ("lv", "la")}
    others |= {f"false_positives_images/full/{label}": 1.0 for label in ("lv", "la")}
    means = {"mean_dice": sum(cells.values()) / 3, "wrong": 0.0, "false_positives": 0.0}
    assert summary == pytest.approx({**means, **cells, **others})


def test_the_report_says_what_was_evaluated(folder: Path):
    assert {path.name for path in folder.iterdir()} == {
        *("dice.csv", "summary.json", "examples.png", "predictions.npz", "evaluation.json"),
        *("mlflow_outbox.json", "mlflow_run.json"),
    }
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["data"] == ["clinic"]
    assert (found["checksum"], found["fold"], found["weights_digest"]) == (
        "ba7816bf8f01cfea",
        "test",
        "0123456789abcdef",
    )
    assert found["record"]["classes"] == CLASSES


def test_other_data_meanings_folds_and_weights_have_folders_of_their_own(tmp_path: Path):
    changes = [
        {},
        {"checksum": "beef" * 4},
        {"data": ["data/clinic", "data/camus"]},
        {"renamed": {"wall": "background"}},
        {"fold": "validation"},
        {"weights_digest": "feed" * 4},
        {"record": {"image_size": 32}},
        {"record": {"image_size": 64}},
        {"overrides": {"inferer::activation": "sigmoid"}},
        {"overrides": {"inferer::activation": "softmax"}},
    ]
    folders = [evaluation(tmp_path, **change).folder for change in changes]
    assert len(set(folders)) == len(changes)
    assert {path.parent for path in folders} == {tmp_path / "evaluations"}
    network = {"networks::unet::act": "tanh"}
    by_hand, recorded = ({"image_size": 8, **more} for more in ({}, {"architecture": {"act": "tanh"}}))
    folders = [evaluation(tmp_path, record=by_hand, overrides=given).folder for given in ({}, network)]
    assert folders[0] != folders[1]
    folders = [evaluation(tmp_path, record=recorded, overrides=given).folder for given in ({}, network)]
    assert folders[0] == folders[1], "the record says it"
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "history.json").touch()
    own = evaluation(tmp_path, weights=tmp_path / "first" / "model.pt").folder
    assert own.parent == tmp_path / "first" / "evaluations"
    foreign = evaluation(tmp_path, weights=tmp_path / "first" / "copied.pt").folder
    assert foreign.parent == tmp_path / "evaluations", "not the weights of this training"


def test_the_tables_are_printed_and_say_where_the_files_are(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    report(tmp_path, uri)
    output = capsys.readouterr().out
    assert "Dice, test fold of clinic" in output
    assert "0.833" in output
    assert "full, la" in output
    assert "0.00 (1)" in output
    *tables, last = output.strip().splitlines()
    assert max(map(len, tables)) <= 80
    assert last == f"{evaluation(tmp_path).folder}: dice.csv, examples.png; logged in MLflow"


def test_an_evaluation_with_overrides_says_so_and_does_not_count_as_that_of_the_training(
    tmp_path: Path, client: MlflowClient, uri: str, capsys: pytest.CaptureFixture[str]
):
    experiment = client.create_experiment("overridden", artifact_location=(tmp_path / "store").as_uri())
    training = client.create_run(experiment).info.run_id
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "mlflow_run.json").write_text(json.dumps({"run_id": training, "tracking_uri": uri}))
    (folder / "model.json").write_text(json.dumps(dict(evaluation(tmp_path).record)))
    other = {"checksum": "0verr1d3", "weights": folder / "model.pt"}
    report(tmp_path, uri, **other)
    report(tmp_path, uri, **other, overrides={"inferer::activation": "sigmoid"})
    assert "with inferer::activation sigmoid" in capsys.readouterr().out
    (reports,) = client.search_experiments(filter_string="name = 'reports'")
    found = client.search_runs([reports.experiment_id], f"tags.`mlflow.parentRunId` = '{training}'")
    tags = [run.data.tags.get("overrides") for run in found]
    assert sorted(map(str, tags)) == ["None", "inferer::activation sigmoid"]
    (counted,) = evaluations(client, reports.experiment_id, [client.get_run(training)], "0verr1d3", "test").values()
    assert not evaluations(client, reports.experiment_id, [client.get_run(training)], "0verr1d3", "validation")
    assert "overrides" not in counted.data.params
    said = [json.loads(path.read_text())["overrides"] for path in folder.glob("evaluations/*/evaluation.json")]
    assert sorted(map(len, said)) == [0, 1]


def test_only_the_evaluation_that_agrees_with_its_training_counts_for_it(
    tmp_path: Path, client: MlflowClient, uri: str
):
    experiment = client.create_experiment("renamed", artifact_location=(tmp_path / "store").as_uri())
    training = client.create_run(experiment).info.run_id
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "mlflow_run.json").write_text(json.dumps({"run_id": training, "tracking_uri": uri}))
    (folder / "config.yaml").write_text("renamed: {wall: background}\n")
    record = dict(evaluation(tmp_path).record)
    (folder / "model.json").write_text(json.dumps(record))
    own = {"checksum": "4e4a3ed", "weights": folder / "model.pt", "renamed": {"wall": "background"}}
    others = [{"renamed": {"wall": "lv"}}, {"renamed": {}}, {"record": {**record, "activation": "sigmoid"}}]
    for change in ({}, *others):
        report(tmp_path, uri, **{**own, **change})
    (reports,) = client.search_experiments(filter_string="name = 'reports'")
    (counted,) = evaluations(client, reports.experiment_id, [client.get_run(training)], "4e4a3ed", "test").values()
    assert json.loads(counted.data.params["renamed"]) == {"wall": "background"}
    found = client.search_runs([reports.experiment_id], f"tags.`mlflow.parentRunId` = '{training}'")
    said = sorted(str(run.data.tags.get("overrides")) for run in found)
    assert said == ["None", "activation sigmoid", "renamed {'wall': 'lv'}", "renamed {}"]


@pytest.mark.parametrize("trained", [True, False])
def test_a_folder_that_cannot_be_written_is_refused_once_with_a_remedy_that_helps(
    tmp_path: Path, trained: bool, caplog: pytest.LogCaptureFixture
):
    weights = tmp_path / "first/model.pt"
    weights.parent.mkdir()
    if trained:
        (weights.parent / "history.json").write_text("[]")
    (tmp_path / "first/evaluations" if trained else tmp_path / "evaluations").touch()
    remedy = "copy .*/first/model.pt and its record elsewhere, and give --checkpoint PATH"
    remedy = remedy if trained else "choose another --runs_dir"
    with pytest.raises(OSError, match=rf"cannot be written \(.+\); {remedy}\.$"):
        report(tmp_path, "none", weights=weights)
    assert "cannot be written" not in caplog.text


def test_an_evaluation_beside_a_retraining_of_the_same_name_stays_with_its_weights(tmp_path: Path):
    def training(run_id: str) -> Path:
        folder = tmp_path / "first"
        folder.mkdir()
        (folder / "mlflow_run.json").write_text(json.dumps({"run_id": run_id, "tracking_uri": "none"}))
        return folder

    folder = training("old")
    handler = EvaluationReport(
        evaluation(tmp_path, weights=folder / "model.pt"),
        [{}] * 4,
        CLASSES,
        SilentExamples(CLASSES, []),
        "none",
        "none",
    )
    handler._claim(SimpleNamespace())
    folder.rename(tmp_path / "first.previous-1")
    training("new")
    settled = handler.evaluation.settled(handler._place)
    assert settled.folder.parent == tmp_path / "first.previous-1/evaluations"
    assert logged_run(settled.training or tmp_path)["run_id"] == "old"
    assert settled.facts["weights"] == f"{tmp_path}/first.previous-1/model.pt"
    shutil.rmtree(tmp_path / "first.previous-1")
    with pytest.raises(FileNotFoundError, match=r"was removed or replaced during the evaluation; evaluate again"):
        handler.evaluation.settled(handler._place)


def test_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report(tmp_path / "[red]runs[x]", "none", data="[bold]clinic")
    output = capsys.readouterr().out
    assert "[red]runs[x]" in output
    assert "[bold]clinic" in output


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


def test_undefined_numbers_are_null_in_the_summary(tmp_path: Path, uri: str):
    evaluator = report(tmp_path, uri)
    evaluator.state.metrics["wrong"] = math.nan
    handler = EvaluationReport(
        evaluation(tmp_path, fold="other"),
        [{"image": "a.png"}] * 4,
        CLASSES,
        SilentExamples(CLASSES, []),
        "reports",
        uri,
    )
    handler._claim(evaluator)
    handler(evaluator)
    summary = json.loads((handler.evaluation.folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["wrong"] is None


class SilentExamples(Examples):
    def draw(self, path: str | Path) -> None:
        Path(path).touch()


def test_an_evaluation_is_a_run_of_its_own_that_names_its_training(tmp_path: Path, client: MlflowClient, uri: str):
    experiment = client.create_experiment("trained", artifact_location=(tmp_path / "store").as_uri())
    training = client.create_run(experiment, tags={"role": "result"}).info.run_id
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "mlflow_run.json").write_text(json.dumps({"run_id": training, "tracking_uri": uri}))
    (folder / "config.yaml").write_text("label_dropout: 0.4\n")
    for change in ({}, {}, {"checksum": "beef" * 4}):  # the second replaces the first
        report(tmp_path, "", weights=folder / "model.pt", **change)
    assert client.get_run(training).data.metrics == {}, "the training's run is left alone"
    assert client.list_artifacts(training) == []
    (reports,) = client.search_experiments(filter_string="name = 'reports'")
    found = client.search_runs([reports.experiment_id], f"tags.`mlflow.parentRunId` = '{training}'")
    assert sorted(run.data.tags["data_checksum"] for run in found) == ["ba7816bf8f01cfea", "beef" * 4]
    run = next(run for run in found if run.data.tags["data_checksum"] == "ba7816bf8f01cfea")
    assert run.info.status == "FINISHED"
    assert {name: run.data.tags[name] for name in ("role", "fold", "weights")} == {
        "role": "evaluation",
        "fold": "test",
        "weights": "model.pt",
    }
    wanted = {"loss": "marginal", "label_dropout": "0.4", "fold": "test", "weights_digest": "0123456789abcdef"}
    assert wanted.items() <= run.data.params.items()
    assert (run.data.params["training"], run.data.params["data"]) == ("c0ffee", '["clinic"]')
    assert run.data.metrics["test/dice/full/lv"] == pytest.approx(2 / 3)
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert files >= {"dice.csv", "summary.json", "examples.png", "predictions.npz", "evaluation.json"}


def test_the_run_of_an_evaluation_lies_in_the_experiment_of_its_training(
    tmp_path: Path, client: MlflowClient, uri: str
):
    folder = tmp_path / "first"
    train(folder, uri)
    report(tmp_path, "", weights=folder / "model.pt", checksum="7rained")
    (experiment,) = client.search_experiments(filter_string=f"name = '{EXPERIMENT}'")
    (run,) = client.search_runs([experiment.experiment_id], "params.checksum = '7rained'")
    assert run.data.tags["mlflow.parentRunId"] == logged_run(folder)["run_id"]


def test_an_evaluation_goes_where_its_training_could_not(tmp_path: Path):
    train(tmp_path / "first", "http://127.0.0.1:1")
    assert logged_run(tmp_path / "first") == {}
    assert evaluation(tmp_path, weights=tmp_path / "first/model.pt").uri(None) == "http://127.0.0.1:1"
    (tmp_path / "first" / "mlflow_run.json").write_text(json.dumps({"run_id": "0" * 32, "tracking_uri": "earlier"}))
    assert evaluation(tmp_path, weights=tmp_path / "first/model.pt").uri(None) == "http://127.0.0.1:1", "it moved on"


def test_a_damaged_link_to_the_training_is_no_link(tmp_path: Path):
    for content in ("", "{", "[]", '{"run_id": null}'):
        (tmp_path / "mlflow_run.json").write_text(content)
        assert logged_run(tmp_path) == {}


@pytest.mark.parametrize("content", [b"a: [", b"label_dropout: \xff", b"3"])
def test_a_damaged_configuration_of_the_training_costs_an_evaluation_one_parameter(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
):
    training = tmp_path / "first"
    training.mkdir()
    (training / "config.yaml").write_bytes(content)
    evaluated = evaluation(tmp_path, weights=training / "model.pt")
    assert "label_dropout" not in evaluated.parameters
    assert caplog.text.count("config.yaml is damaged") == 1
    assert "the evaluation is logged without label_dropout" in caplog.text


def test_an_evaluation_of_the_same_weights_by_another_path_is_the_same_run(
    tmp_path: Path, client: MlflowClient, uri: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "history.json").write_text("[]")
    (tmp_path / "first" / "mlflow_run.json").write_text(json.dumps({"run_id": "0" * 32, "tracking_uri": "elsewhere"}))
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "first/model.pt", Path("first/model.pt")):
        report(tmp_path, uri, weights=path, checksum="5ame")
    (reports,) = client.search_experiments(filter_string="name = 'reports'")
    (run,) = client.search_runs([reports.experiment_id], "params.checksum = '5ame'")
    assert "mlflow.parentRunId" not in run.data.tags, "its training is recorded elsewhere"
