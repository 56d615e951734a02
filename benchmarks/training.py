"""Compare the speed of a bundle's training with that of the bare network.

    python -m benchmarks.training --data data/phantom

Both are measured in one run, in turns: an epoch of the bundle (with augmentation, label-set maps, loss, ignite,
history, MLflow and checkpoints, without validation), then as many bare steps (forward, cross entropy, backward,
optimizer) of the same network on constant tensors.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser

BUNDLE = Path(__file__).parents[1] / "bundles" / "echo_segmentation"


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _bare_epoch(network: torch.nn.Module, batch: dict[str, torch.Tensor], steps: int, device: torch.device) -> float:
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    image, label = batch["image"], (batch["label"][:, 0] > 1).long()
    network.train()
    _synchronize(device)
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(image), label).backward()
        optimizer.step()
    _synchronize(device)
    return time.perf_counter() - start


def main() -> None:
    """Train in turns and print images per second and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", default="data/phantom", help="a prepared folder")
    parser.add_argument("--epochs", type=int, default=13, help="turns; the first warms up and does not count")
    parser.add_argument("--image_size", type=int, default=128)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = ConfigParser()
        config.read_config(BUNDLE / "configs" / "train.yaml")
        config.update(
            {
                **vars(arguments),
                "output_dir": folder,
                "tracking_uri": f"sqlite:///{folder}/mlflow.db",
                "bundle_root": str(BUNDLE),
            }
        )
        trainer = config.get_parsed_content("train::trainer")
        validator = config.get_parsed_content("validate::evaluator")
        device = trainer.state.device
        twin = copy.deepcopy(config.get_parsed_content("model"))
        bundle_seconds: list[float] = []
        bare_seconds: list[float] = []
        clock = {"start": 0.0, "validation": 0.0}
        kept: dict[str, torch.Tensor] = {}

        @trainer.on(Events.EPOCH_STARTED)
        def _(_: object) -> None:
            _synchronize(device)
            clock["start"] = time.perf_counter()

        @trainer.on(Events.ITERATION_COMPLETED(once=1))
        def _(engine: object) -> None:
            kept.update({key: engine.state.batch[key] for key in ("image", "label")})

        @validator.on(Events.STARTED)
        def _(_: object) -> None:
            _synchronize(device)
            clock["validation"] = time.perf_counter()

        @validator.on(Events.COMPLETED)
        def _(_: object) -> None:
            _synchronize(device)
            clock["start"] += time.perf_counter() - clock["validation"]  # validation does not count

        @trainer.on(Events.EPOCH_COMPLETED)  # registered last, so after logging and checkpoints
        def _(engine: object) -> None:
            _synchronize(device)
            bundle_seconds.append(time.perf_counter() - clock["start"])
            bare_seconds.append(_bare_epoch(twin, kept, engine.state.epoch_length, device))

        trainer.run()
        images = len(kept["image"]) * trainer.state.epoch_length
        bundle, bare = (images / statistics.median(seconds[1:]) for seconds in (bundle_seconds, bare_seconds))
        ratio = statistics.median(b / a for a, b in zip(bundle_seconds[1:], bare_seconds[1:], strict=True))
        print(f"bundle {bundle:.1f} images/s, bare step {bare:.1f} images/s, ratio {ratio:.2f} (median of the turns)")


if __name__ == "__main__":
    main()
