"""Trainings of `echo_inter_domain` in processes of their own: whole, killed and resumed, and shared by two."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import torch
from killed import kill_after_an_epoch

BUNDLE = Path("bundles/echo_inter_domain")
TRAIN = f"{BUNDLE}/configs/train.yaml"


def words(config: str = TRAIN, **settings: object) -> list[str]:
    """Return the command of a training, after `python -m`."""
    given = {"config_file": config, "bundle_root": BUNDLE, "tracking_uri": "none", **settings}
    return ["monai.bundle", "run", *(word for name, value in given.items() for word in (f"--{name}", str(value)))]


def train(folder: Path, **settings: object) -> tuple[dict[str, Any], str]:
    """Train; return what `last.pt` holds, and what was printed."""
    done = forked.run(words(**settings), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return torch.load(folder / str(settings["output_dir"]) / "last.pt", weights_only=True), done.stdout


def check_killed_and_resumed(folder: Path, epochs: int, **settings: object) -> None:
    """Kill a training after its first epoch, resume it, and compare it with an uninterrupted one, to the bit."""
    settings |= {"epochs": epochs}
    whole, _ = train(folder, **settings, output_dir="runs/whole")
    kill_after_an_epoch(words(**settings, output_dir="runs/killed"), folder, folder / "runs" / "killed", epochs)
    resumed, _ = train(folder, **settings, output_dir="runs/killed", resume="true")
    assert resumed.pop("settings") == whole.pop("settings")
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


def train_in_two_processes(folder: Path, **settings: object) -> dict[str, Any]:
    """Train in two processes that share each batch; return what `last.pt` holds."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    result = subprocess.run(
        [*torchrun, *words(f"['{TRAIN}','{BUNDLE}/configs/multi_gpu_train.yaml']", **settings)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return torch.load(folder / str(settings["output_dir"]) / "last.pt", weights_only=True)
