"""Checkpoints are whole or absent, and a resumed training is the uninterrupted one."""

import json
import math
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from ignite.metrics import Accuracy
from tiny_training import RECORD, SETTINGS, Tiny, stop_at

from common.engines import BestAndLast, Resume, load_weights, read_record
from common.engines.checkpoint import save_checkpoint
from common.identity import fingerprint, settings_digest


class Interrupted(Exception):
    """Ends a training in these tests."""


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def rows(folder: Path) -> list[dict[str, float]]:
    """Return the rows of the history without times."""
    clock = ("seconds", "images_per_second")
    return [
        {k: v for k, v in row.items() if k not in clock} for row in json.loads((folder / "history.json").read_text())
    ]


def same(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("error", [RuntimeError("no space left"), OSError("no space left"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    path = tmp_path / "last.pt"
    save_checkpoint({"epoch": 1}, path)

    def fail(_: Any, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    if isinstance(error, Exception):
        message = r"last\.pt could not be written \(no space left\)\. Nothing was lost"
        with pytest.raises(OSError, match=message):
            save_checkpoint({"epoch": 2}, path)
    else:
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint({"epoch": 2}, path)
    assert load(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_the_old_file_stands_until_the_new_one_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "last.pt"
    save_checkpoint({"epoch": 1}, path)
    os.link(path, tmp_path / "old")  # a reader that has the old file open
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(load(path)))
    save_checkpoint({"epoch": 2}, path)
    assert seen == [{"epoch": 1}]
    assert load(path) == {"epoch": 2}
    assert load(tmp_path / "old") == {"epoch": 1}, "the new file takes the name, it is not written over the old one"


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(OSError, match=r"gone/last\.pt could not be written"):
        save_checkpoint({}, tmp_path / "gone" / "last.pt")


def engine_after(epoch: int) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(epoch=epoch, epoch_length=5, device=torch.device("cpu")))


def test_model_holds_the_best_epoch_and_last_the_latest(tmp_path: Path):
    network = torch.nn.Linear(1, 1)
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=-1, best_metric_epoch=-1))
    handler = BestAndLast(tmp_path, {"network": network}, evaluator, SETTINGS, RECORD)
    for epoch, best in [(1, None), (2, 2), (3, 2), (4, 4), (5, 4)]:
        torch.nn.init.constant_(network.weight, epoch)
        if best:
            evaluator.state.best_metric, evaluator.state.best_metric_epoch = best / 10, best
        handler(engine_after(epoch))
        assert (tmp_path / "model.pt").exists() == (epoch > 1), "no validation yet, no best"
        assert (tmp_path / "model.json").exists() == (epoch > 1)
        if best:
            assert load(tmp_path / "model.pt")["weight"].item() == best
        last = load(tmp_path / "last.pt")
        assert last["network"]["weight"].item() == epoch
        assert (last["epoch"], last["best_metric_epoch"]) == (epoch, best or -1)


def test_weights_never_stand_without_their_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=0.5, best_metric_epoch=1))
    handler = BestAndLast(tmp_path, {"network": torch.nn.Linear(1, 1)}, evaluator, SETTINGS, RECORD)

    save, saved = torch.save, []

    def fail(content: Any, file: Any) -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(file)
        save(content, file)

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        handler(engine_after(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt"]
    monkeypatch.undo()
    write, names = Path.replace, []
    monkeypatch.setattr(Path, "replace", lambda path, to: (names.append(to.name), write(path, to))[1])
    handler(engine_after(1))
    assert names == ["last.pt", "model.json", "model.pt"], "the record first"
    assert json.loads((tmp_path / "model.json").read_text()) == {
        **RECORD,
        "weights": fingerprint(tmp_path / "model.pt"),
    }


def test_a_kill_between_record_and_weights_is_completed_and_swapped_weights_are_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    Tiny(tmp_path, epochs=2).run()
    path = tmp_path / "model.pt"
    for epochs, best in ((3, 2), (4, 1)):  # 2: killed while it wrote the last epoch; 1: swapped by hand
        torch.save(load(tmp_path / "last.pt") | {"best_metric": 0.98, "best_metric_epoch": best}, tmp_path / "last.pt")
        torch.save({"weight": torch.zeros(1)}, path)
        with pytest.raises(
            ValueError, match=r"model\.pt is not the file that its record describes \(model\.json: \w+, not"
        ):
            load_weights(path)
        Tiny(tmp_path, epochs=epochs, resume=True).run()
        assert ("are lost" in caplog.text) == (best == 1)
        assert load_weights(path)[1][:16] == json.loads((tmp_path / "model.json").read_text())["weights"]


def test_weights_of_another_training_do_not_pass_as_those_of_the_folder(tmp_path: Path):
    for name, rate in (("own", 0.1), ("foreign", 0.2)):
        settings = {**SETTINGS, "learning_rate": rate}
        Tiny(tmp_path / name, epochs=1, settings=settings).run()
        path = tmp_path / name / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "training": settings_digest(settings)}))
        read_record(tmp_path / name / "model.pt")
    for name in ("model.pt", "model.json"):
        shutil.copy(tmp_path / "foreign" / name, tmp_path / "own" / name)
    message = r"^\S+model\.pt is of another training than its folder \(model\.json: \w{16}, last\.pt: \w{16}\); copy"
    with pytest.raises(ValueError, match=message):
        read_record(tmp_path / "own" / "model.pt")
    with pytest.raises(ValueError, match=message):
        Tiny(tmp_path / "own", epochs=1, settings={**SETTINGS, "learning_rate": 0.1}, resume=True).run()


def test_model_is_a_bare_state_dict_in_standard_memory_order(tmp_path: Path):
    network = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=0.5, best_metric_epoch=1))
    BestAndLast(tmp_path, {"network": network}, evaluator, SETTINGS, RECORD)(engine_after(1))
    weights = load(tmp_path / "model.pt")
    assert weights["weight"].is_contiguous()
    torch.nn.Conv2d(3, 4, 3).load_state_dict(weights)
    same(weights["weight"], network.weight.detach().contiguous())


def test_two_epochs_and_two_resumed_equal_four(tmp_path: Path):
    whole = Tiny(tmp_path / "whole", epochs=4).run()
    with pytest.raises(Interrupted):
        Tiny(tmp_path / "parts", epochs=4, handlers=stop_at(3, Interrupted())).run()
    assert load(tmp_path / "parts" / "last.pt")["epoch"] == 2
    torch.manual_seed(99)  # another process would be in any state
    parts = Tiny(tmp_path / "parts", epochs=4, resume=True, handlers=lambda _: ()).run()
    same(parts.network.state_dict(), whole.network.state_dict())
    for name in ("last.pt", "model.pt"):
        expected, found = (load(tmp_path / run / name) for run in ("whole", "parts"))
        assert found.pop("settings", None) == expected.pop("settings", None)
        same(found, expected)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert [row["epoch"] for row in rows(tmp_path / "parts")] == [1, 2, 3, 4]
    assert rows(tmp_path / "whole")[0]["train_loss"] != rows(tmp_path / "whole")[1]["train_loss"], "the network learns"


class Warmer(torch.nn.Module):
    """A loss that counts its steps."""

    steps: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return torch.nn.functional.cross_entropy(pred, label[:, 0]) * self.steps


def test_a_loss_with_a_state_goes_on_with_it(tmp_path: Path):
    whole, parts = Tiny(tmp_path / "whole", epochs=4, loss=Warmer()), tmp_path / "parts"
    whole.run()
    Tiny(parts, epochs=2, loss=Warmer()).run()
    Tiny(parts, epochs=4, loss=Warmer(), resume=True).run()
    assert load(parts / "last.pt")["loss"] == {"steps": torch.tensor(8.0)}
    same(load(parts / "model.pt"), load(tmp_path / "whole/model.pt"))


def test_a_state_that_was_not_kept_is_named(tmp_path: Path):
    Tiny(tmp_path, epochs=1).run()
    with pytest.raises(ValueError, match=r"last\.pt has no state of loss; train without --resume\.$"):
        Tiny(tmp_path, epochs=2, loss=Warmer(), resume=True).run()


def test_resuming_restores_the_whole_training(tmp_path: Path):
    first = Tiny(tmp_path, epochs=2).run()
    checkpoint = load(tmp_path / "last.pt")
    checkpoint |= {"best_metric": 0.98, "best_metric_epoch": 1}
    torch.save(checkpoint, tmp_path / "last.pt")
    second = Tiny(tmp_path, epochs=3, resume=True)
    seen: dict[str, Any] = {}

    def look(engine: Any) -> None:
        seen.update(epoch=engine.state.epoch, iteration=engine.state.iteration)
        same(second.network.state_dict(), first.network.state_dict())
        same(second.optimizer.state_dict(), first.optimizer.state_dict())
        assert second.lr_scheduler.state_dict() == first.lr_scheduler.state_dict()

    second.trainer.add_event_handler(Events.STARTED, look)
    before = (tmp_path / "model.pt").read_bytes()
    second.run()
    assert seen == {"epoch": 2, "iteration": 4}
    assert second.evaluator.state.best_metric == 0.98, "no epoch of this training is as good"
    assert (tmp_path / "model.pt").read_bytes() == before
    assert load(tmp_path / "last.pt")["best_metric_epoch"] == 1


def test_a_finished_training_does_not_train_again(tmp_path: Path):
    first = Tiny(tmp_path, epochs=2).run()
    history = (tmp_path / "history.json").read_bytes()
    again = Tiny(tmp_path, epochs=2, resume=True).run()
    same(again.network.state_dict(), first.network.state_dict())
    assert (again.trainer.state.epoch, again.trainer.state.iteration) == (2, 4)
    assert (tmp_path / "history.json").read_bytes() == history
    assert again.evaluator.state.best_metric == first.evaluator.state.best_metric


def test_a_training_that_a_handler_ended_does_not_go_on(tmp_path: Path):
    first = Tiny(tmp_path, epochs=4)
    first.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda: first.trainer.terminate())
    first.run()
    history = (tmp_path / "history.json").read_bytes()
    again = Tiny(tmp_path, epochs=4, resume=True).run()
    same(again.network.state_dict(), first.network.state_dict())
    assert again.trainer.state.epoch == 2
    assert (tmp_path / "history.json").read_bytes() == history


def test_without_resume_an_old_checkpoint_is_ignored(tmp_path: Path):
    first = Tiny(tmp_path, epochs=1).run()
    again = Tiny(tmp_path, epochs=1, resume=False).run()
    same(again.network.state_dict(), first.network.state_dict())
    assert again.trainer.state.epoch == 1


def test_resume_without_a_checkpoint_starts_at_the_beginning(tmp_path: Path):
    assert [row["epoch"] for row in Tiny(tmp_path, epochs=1, resume=True).run().history.rows] == [1]


def test_other_settings_are_refused_by_name(tmp_path: Path):
    Tiny(tmp_path, epochs=1).run()
    before = (tmp_path / "last.pt").read_bytes()
    other = {**SETTINGS, "learning_rate": 0.2, "batch_size": 4}
    message = (
        r"last\.pt belongs to another training \(learning_rate: 0\.1 then, 0\.2 now, "
        r"batch_size: not set then, 4 now\); use its settings or drop --resume"
    )
    with pytest.raises(ValueError, match=message):
        Tiny(tmp_path, epochs=2, resume=True, settings=other).run()
    nested = {**SETTINGS, "label_sets": {"a": [["background", "lv"], ["lv"]]}}
    with pytest.raises(ValueError, match=r"another training \(label_sets: "):
        Tiny(tmp_path, epochs=2, resume=True, settings=nested).run()
    assert (tmp_path / "last.pt").read_bytes() == before


def test_more_epochs_are_refused_with_the_way_to_get_them(tmp_path: Path):
    Tiny(tmp_path, epochs=1, settings={**SETTINGS, "epochs": 1}).run()
    message = rf"\(epochs: 1 then, 2 now\); .* For more epochs, .*: --initial_weights {tmp_path}/model.pt --run_name"
    with pytest.raises(ValueError, match=message):
        Tiny(tmp_path, epochs=2, resume=True, settings={**SETTINGS, "epochs": 2}).run()


@pytest.mark.parametrize("damage", ["missing", "cut", "record"])
@pytest.mark.parametrize("best", [1, 2])
def test_damaged_best_weights_are_written_again_or_replaced(
    tmp_path: Path, damage: str, best: int, caplog: pytest.LogCaptureFixture
):
    """A process that is killed between `last.pt` and `model.pt` is the case best = 2, missing."""
    Tiny(tmp_path, epochs=2).run()
    checkpoint = load(tmp_path / "last.pt") | {"best_metric": 0.98, "best_metric_epoch": best}
    torch.save(checkpoint, tmp_path / "last.pt")
    path = tmp_path / "model.pt"
    before = load(path)
    path.unlink() if damage == "missing" else path.write_bytes(b"" if damage == "cut" else path.read_bytes())
    (tmp_path / "model.json").write_text('{"activation": "soft')
    again = Tiny(tmp_path, epochs=3, resume=True).run()
    assert json.loads((tmp_path / "model.json").read_text()) == {**RECORD, "weights": fingerprint(path)}
    if best == 2:
        same(load(path), checkpoint["network"])
        assert again.evaluator.state.best_metric == 0.98
    elif damage == "record":
        same(load(path), before)
    else:
        assert "the best weights (epoch 1), are lost" in caplog.text
        assert again.evaluator.state.best_metric_epoch == 3
        same(load(path), again.network.state_dict())


def test_a_finished_training_without_its_best_weights_says_so(tmp_path: Path):
    Tiny(tmp_path, epochs=2).run()
    torch.save(load(tmp_path / "last.pt") | {"best_metric": 0.98, "best_metric_epoch": 1}, tmp_path / "last.pt")
    (tmp_path / "model.pt").unlink()
    with pytest.raises(ValueError, match=r"model\.pt, the best weights \(epoch 1\), are lost, and the training is fin"):
        Tiny(tmp_path, epochs=2, resume=True).run()


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    full = open  # what torch says of it is "unexpected pos"
    monkeypatch.setattr(Path, "open", lambda _, mode="r": full("/dev/full", mode))
    with pytest.raises(OSError, match=r"last\.pt could not be written \(No space left on device\)"):
        save_checkpoint({"network": torch.zeros(3_000_000)}, tmp_path / "last.pt")


class Stopping:
    """A tensor-like object during whose saving a signal ends the process."""

    def __reduce__(self) -> Any:
        sys.exit(143)


def test_a_signal_during_a_save_ends_the_process_as_at_any_other_moment(tmp_path: Path):
    with pytest.raises(SystemExit) as raised:
        save_checkpoint({"network": torch.zeros(3_000_000), "stops": Stopping()}, tmp_path / "last.pt")
    assert raised.value.code == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "weights"])
def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, kind: str):
    path = tmp_path / "last.pt"
    torch.save({"weight": torch.zeros(100)}, path)
    content = {"empty": b"", "text": b"hello", "truncated": path.read_bytes()[:-200], "weights": path.read_bytes()}
    path.write_bytes(content[kind])
    resume = Resume(tmp_path, {}, SimpleNamespace(), SETTINGS, resume=True)
    with pytest.raises(ValueError, match=r"last\.pt is not a readable checkpoint \([^\n]*train without --resume"):
        resume(engine_after(0))


def test_weights_without_a_score_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Accuracy, "compute", lambda _: math.nan)  # no validation image contains a structure
    Tiny(tmp_path, epochs=2).run()
    assert (tmp_path / "last.pt").is_file()
    assert not (tmp_path / "model.pt").exists()
