"""A training ends well and says what came out."""

import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents
from tiny_training import Tiny

from common.engines import train
from common.engines.ending import ends_on_sigterm


def run(
    best: float,
    epoch: int,
    folder: Path,
    iteration: int = 0,
    written: bool = True,
    body: Callable[[], object] = lambda: None,
) -> None:
    if written:
        (folder / "model.pt").touch()
    trainer = Engine(lambda *_: body())
    trainer.register_events(*IterationEvents)
    trainer.state.iteration = iteration
    trainer.run = partial(trainer.run, [0])
    state = SimpleNamespace(best_metric=best, best_metric_epoch=epoch, key_metric_name="mean_dice")
    train(trainer, SimpleNamespace(state=state, logger=trainer.logger), folder)


def test_the_end_names_the_best_weights_or_says_why_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(0.5, 3, tmp_path)
    assert capsys.readouterr().out == f"best mean Dice 0.5000 at epoch 3: {tmp_path}/model.pt\n"
    run(0.0, 1, tmp_path)
    assert "found no structure in the validation images: train longer" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"no epoch .* has a mean Dice, so .*model\.pt was not written"):
        run(-1, -1, tmp_path)
    with pytest.raises(ValueError, match=r"^mean_dice of the validation is undefined.* contain no structure"):
        run(float("nan"), 1, tmp_path)
    assert capsys.readouterr().out == ""


def test_best_weights_that_were_lost_are_no_fault_of_the_data(tmp_path: Path):
    Tiny(tmp_path, epochs=2, val_interval=2).run()
    checkpoint = torch.load(tmp_path / "last.pt", weights_only=True)
    torch.save({**checkpoint, "best_metric_epoch": 1}, tmp_path / "last.pt")
    (tmp_path / "model.pt").unlink()
    tiny = Tiny(tmp_path, epochs=3, val_interval=2, resume=True)
    with pytest.raises(ValueError, match=r"model\.pt was lost, and no epoch after that was validated; train without"):
        train(tiny.trainer, tiny.evaluator, tmp_path)


def test_weights_that_no_handler_wrote_are_not_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match=r"model\.pt was not written: --train::handlers lacks BestAndLast"):
        run(0.5, 3, tmp_path, written=False)
    assert "best mean Dice" not in capsys.readouterr().out


@pytest.mark.parametrize(("epochs", "said"), [(3, True), (4, False)])
def test_last_epochs_without_validation_are_named(
    epochs: int, said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tiny = Tiny(tmp_path, epochs=epochs, val_interval=2)
    train(tiny.trainer, tiny.evaluator, tmp_path)
    out = capsys.readouterr().out
    assert ("Epochs after 2 were not validated, so they are not kept" in out) is said


def test_a_training_runs_once(tmp_path: Path):
    with pytest.raises(ValueError, match=r"^this workflow has trained in .* already; make a new one, with resume=True"):
        run(0.5, 3, tmp_path, iteration=6)


def test_a_loss_without_gradient_ends_the_training_in_one_line(tmp_path: Path):
    tiny = Tiny(tmp_path, loss=lambda pred, label: pred.detach().sum() * label.sum())
    with pytest.raises(ValueError, match=r"^the loss function has no gradient; expected a number from the lo"):
        train(tiny.trainer, tiny.evaluator, tmp_path)


def test_sigterm_ends_a_training_like_control_c(tmp_path: Path):
    before = signal.getsignal(signal.SIGTERM)
    closed = []

    def stopped() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except BaseException as error:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one lets the first end
            closed.append(error)
            raise

    with pytest.raises(SystemExit) as raised:
        run(0.5, 1, tmp_path, body=stopped)
    assert raised.value.code == 128 + signal.SIGTERM
    assert closed == [raised.value]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("rest", [lambda: time.sleep(10), lambda: None], ids=["goes_on", "is_at_its_end"])
def test_an_exit_that_python_drops_comes_again(
    rest: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    hook = sys.unraisablehook

    def stopped() -> None:
        thing = Tiny(tmp_path)
        weakref.finalize(thing, os.kill, os.getpid(), signal.SIGTERM)
        del thing
        gc.collect()
        rest()

    with pytest.raises(SystemExit) as raised:
        run(0.5, 1, tmp_path, body=stopped)
    assert raised.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "\nstopped by SIGTERM; --resume true continues this training\n"
    assert sys.unraisablehook is hook


def test_other_threads_leave_signals_alone():
    seen = []

    def body() -> None:
        with ends_on_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
