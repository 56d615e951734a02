"""What MLflow's users look for: datasets, a sentence, who ran what, and a table that opens with loss, dataset, Dice."""

import getpass
import json
import shlex
import sys
from pathlib import Path

import pytest
from epochs import EXPERIMENT, runs_of, train
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_metric_name

from common.datasets import checksum
from common.tracking import connect
from common.tracking.names import mlflow_name, original_name
from common.tracking.origin import origin_tags
from common.tracking.table import COLUMNS, open_tables


@given(st.lists(st.text("/.-x2e8()ü a:+%", min_size=1, max_size=8).filter(lambda one: "/" not in one), min_size=1))
def test_names_are_valid_and_reversible(parts: list[str]):
    name = "/".join(parts)[:40].rstrip("/")
    _validate_metric_name(mlflow_name(name))
    assert original_name(mlflow_name(name)) == name


def test_a_run_names_its_datasets_its_maker_and_its_best_dice(uri: str, client: MlflowClient, tmp_path: Path):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "provenance.json").write_text(json.dumps({"checksum": "0123456789abcdef" * 4, "source": "clinic"}))
    (prepared / "datalist.json").write_text("[]")
    items = [{"image": str(prepared / "images" / f"{n}.png"), "dataset": "unity"} for n in range(3)]
    parameters = {"loss": "marginal", "network": "unet", "augmentation::scale": 0.1, "long": "x" * 9000}
    many = {f"networks::unet::{number}": number for number in range(250)}  # more than a request may hold
    train(tmp_path / "run", uri, parameters={**parameters, **many}, inputs={"training": items, "validation": items[:1]})
    (run,) = runs_of(client, tmp_path / "run")
    found = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs}
    assert {context: one.name for context, one in found.items()} == {"training": "unity", "validation": "unity"}
    assert checksum(prepared).startswith(found["training"].digest)
    assert json.loads(found["training"].source) == {"uri": str(prepared), "made_from": "clinic"}
    assert json.loads(found["validation"].profile) == {"images": 1}
    tags = run.data.tags
    assert tags["mlflow.note.content"] == (
        "loss marginal, network unet, data unity: best mean Dice 0.200 (epoch 2 of 2)."
    )
    assert tags["mlflow.user"] == getpass.getuser()
    assert tags["mlflow.source.name"].split()[0] in ("python", Path(sys.argv[0]).name)
    assert run.data.params["augmentation::scale"] == "0.1"
    assert run.data.params["networks::unet::249"] == "249"
    assert len(run.data.params["long"]) == 6000


def test_two_runs_that_name_a_new_dataset_at_once_both_have_it(
    uri: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    record, refused = MlflowClient.log_inputs, list[str]()

    def second(self: MlflowClient, run_id: str, datasets: object) -> None:
        if not refused:
            refused.append(run_id)
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest")
        record(self, run_id, datasets=datasets)

    monkeypatch.setattr(MlflowClient, "log_inputs", second)
    (tmp_path / "datalist.json").write_text("[]")
    (tmp_path / "provenance.json").write_text(json.dumps({"checksum": "ab" * 32, "source": "clinic"}))
    items = [{"image": str(tmp_path / "images" / "0.png"), "dataset": "camus"}]
    train(tmp_path / "run", uri, inputs={"training": items, "validation": []})
    (run,) = runs_of(client, tmp_path / "run")
    assert refused == [run.info.run_id]
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["camus"]
    assert "did not record" not in caplog.text


def test_the_link_opens_a_table_with_loss_dataset_and_dice(other: str, tmp_path: Path):
    client = MlflowClient(other)
    assert open_tables(client, "http://here:5000") == {}
    train(tmp_path / "run", other)
    number = client.get_experiment_by_name(EXPERIMENT).experiment_id
    link = f"http://here:5000/#/experiments/{number}/runs?viewStateShareKey=trainings"
    assert open_tables(client, "http://here:5000") == {EXPERIMENT: link}
    view = json.loads(client.get_experiment(number).tags["mlflow.sharedViewState.trainings"])
    assert view["selectedColumns"] == list(COLUMNS)
    assert [name.split(".")[1] for name in COLUMNS[:3]] == ["`loss`", "`Dataset`", "`best_mean_dice`"]


@pytest.mark.parametrize("secret", ["s3cret", "p@ss"])
def test_no_password_reaches_a_file_a_tag_or_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, secret: str
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://me:{secret}@127.0.0.1:9"
    monkeypatch.setattr("sys.argv", ["train", "--tracking_uri", uri])
    train(tmp_path, uri, tags={"where": uri})
    assert secret not in caplog.text + "".join(path.read_text() for path in tmp_path.glob("mlflow*"))


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        ('reads token="cls" of it', 'reads token="cls" of it'),
        ('"the token=cls"', '"the token=***"'),
        ("token=cls\\", "token=***"),
        ("a password=s3cret\nand more", "a password=***\nand more"),
        ("to http://me:s3cret@here/x", "to http://here/x"),
    ],
)
def test_what_looks_like_a_password_does_not_keep_a_run_from_mlflow(
    uri: str, client: MlflowClient, tmp_path: Path, note: str, shown: str
):
    nested = json.dumps({"cell": json.dumps({"note": note})})
    train(tmp_path / "run", uri, parameters={"loss": note}, tags={"note": note, "nested": nested})
    (run,) = runs_of(client, tmp_path / "run")
    assert (run.data.params["loss"], run.data.tags["note"]) == (shown, shown)
    assert json.loads(json.loads(run.data.tags["nested"])["cell"])["note"].startswith(shown.splitlines()[0])
    assert "s3cret" not in run.data.tags["nested"]


def test_the_command_of_a_run_can_be_read_without_its_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("sys.argv", ["train", "--note", "password=a;b", "--experiment", "mine"])
    words = shlex.split(origin_tags(tmp_path)["mlflow.source.name"])
    assert words[-4:] == ["--note", "password=***", "--experiment", "mine"]


def test_a_moved_folder_finds_its_artifacts(other: str, tmp_path: Path):
    for name in ("first", "moved"):
        (tmp_path / name).mkdir()
    database = Path(other.removeprefix("sqlite:///"))
    database.rename(tmp_path / "first" / "mlflow.db")
    train(tmp_path / "runs" / "before", f"sqlite:///{tmp_path}/first/mlflow.db")
    for path in list((tmp_path / "first").iterdir()):
        path.rename(tmp_path / "moved" / path.name)
    (tmp_path / "first").rmdir()
    client = connect(f"sqlite:///{tmp_path}/moved/mlflow.db")
    (run,) = runs_of(client, tmp_path / "runs" / "before")
    assert run.info.artifact_uri.startswith((tmp_path / "moved" / "artifacts").as_uri())
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["history.json"]
    train(tmp_path / "runs" / "after", f"sqlite:///{tmp_path}/moved/mlflow.db")
    assert not (tmp_path / "first").exists()
