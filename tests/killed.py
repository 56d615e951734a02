"""Kill a training in a process of its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch


def kill_after_an_epoch(words: Sequence[str], cwd: Path, output: Path, epochs: int) -> None:
    """Start `python -m WORDS`, a training of some epochs, and kill it once `output` holds its first."""
    with subprocess.Popen([sys.executable, "-m", *words], cwd=cwd, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while not (output / "last.pt").is_file():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert 1 <= torch.load(output / "last.pt", weights_only=True)["epoch"] < epochs
