"""The history: one row per epoch, in memory and on disk, and an error when the loss is not finite."""

import json
from pathlib import Path

import pytest
import torch
from tiny_training import Tiny, stop_at
from torch.nn.functional import cross_entropy


def test_a_row_describes_its_epoch(tmp_path: Path):
    seen: list[tuple[int, float]] = []
    tiny = Tiny(tmp_path, epochs=3)

    def note(pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss = cross_entropy(pred, label[:, 0])
        seen.append((tiny.trainer.state.epoch, loss.item()))
        return loss

    tiny.trainer.loss_function = note
    tiny.run()
    stored = json.loads((tmp_path / "history.json").read_text())
    assert stored == tiny.history.rows
    assert not list(tmp_path.glob("*partial*"))
    assert [row["epoch"] for row in stored] == [1, 2, 3]
    for row in stored:
        losses = [loss for epoch, loss in seen if epoch == row["epoch"]]
        assert len(losses) == 2
        assert row["train_loss"] == pytest.approx(sum(losses) / 2)
        # two iterations an epoch, polynomial decay over 100 with power 0.9
        assert row["learning_rate"] == pytest.approx(0.1 * (1 - 2 * (row["epoch"] - 1) / 100) ** 0.9)
        assert 0 <= row["accuracy"] <= 1
        assert 0 < row["images_per_second"] < 1e7
        assert 0 < row["seconds"] < 60
        assert 8 / row["images_per_second"] <= row["seconds"], "validation is not counted as training"
    scores = [row["accuracy"] for row in stored]
    assert [row["best_accuracy"] for row in stored] == [max(scores[:epochs]) for epochs in (1, 2, 3)]


def test_an_epoch_without_validation_has_no_metric(tmp_path: Path):
    rows = Tiny(tmp_path, epochs=4, val_interval=2).run().history.rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert ["accuracy" in row for row in rows] == [False, True, False, True]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path, value: str):
    tiny = Tiny(tmp_path, epochs=3)
    tiny.trainer.loss_function = lambda pred, label: (
        cross_entropy(pred, label[:, 0]) * (float(value) if tiny.trainer.state.iteration == 4 else 1)
    )
    with pytest.raises(FloatingPointError, match=rf"the loss of epoch 2 is {value}; try a lower --learning_rate"):
        tiny.run()
    assert [row["epoch"] for row in json.loads((tmp_path / "history.json").read_text())] == [1]
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 1, "the state before it went wrong"


def test_rows_of_incomplete_epochs_are_dropped_on_resuming(tmp_path: Path):
    with pytest.raises(KeyError, match="stop"):
        Tiny(tmp_path, epochs=3, handlers=stop_at(2, KeyError("stop"))).run()
    path = tmp_path / "history.json"
    rows = json.loads(path.read_text())
    # killed after the row of epoch 2 was written, before its checkpoint was
    path.write_text(json.dumps([*rows, {**rows[0], "epoch": 2, "train_loss": -1.0}]))
    resumed = Tiny(tmp_path, epochs=3, resume=True).run().history.rows
    assert [row["epoch"] for row in resumed] == [1, 2, 3]
    assert resumed[0] == rows[0]
    assert resumed[1]["train_loss"] > 0


def test_a_new_training_starts_a_new_history(tmp_path: Path):
    Tiny(tmp_path, epochs=2).run()
    assert [row["epoch"] for row in Tiny(tmp_path, epochs=1).run().history.rows] == [1]
    assert len(json.loads((tmp_path / "history.json").read_text())) == 1


def test_the_progress_bar_names_epoch_loss_and_key_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Tiny(tmp_path, epochs=1).run()
    output = capsys.readouterr().out
    assert "epoch 1/1" in output
    assert "accuracy 0." in output or "accuracy 1." in output


@pytest.mark.parametrize("text", [None, "", '[{"epoch": 1, "loss"', "3", '[{"epoch": 1}]', '[{"epoch": "first"}]'])
def test_a_damaged_history_is_said_and_the_training_goes_on(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
):
    Tiny(tmp_path, epochs=1).run()
    path = tmp_path / "history.json"
    path.unlink() if text is None else path.write_text(text)
    assert [row["epoch"] for row in Tiny(tmp_path, epochs=2, resume=True).run().history.rows] == [2]
    assert caplog.text.count("history.json is missing" if text is None else "history.json is damaged") == 1
    assert [row["epoch"] for row in json.loads((tmp_path / "history.json").read_text())] == [2]
