"""Compare ways to keep what weights know of classes that the images of a fine-tuning do not annotate.

    python -m benchmarks.fine_tuning                                  # half an hour on two cores
    python -m benchmarks.fine_tuning --camus CAMUS_public             # measured on real images, too
    python -m benchmarks.fine_tuning --epochs 24 --methods marginal distillation

The weights of echo_segmentation, trained on CAMUS, are fine-tuned on `unity_like` of the phantom, where only the
ventricle's cavity is annotated. Dice of the last weights, at the size of the network, in points: the training's domain
and another one of the phantom (test fold), and CAMUS (validation fold, four-chamber view).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.engines import IterationEvents, SupervisedTrainer
from monai.utils import set_determinism
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from common.datasets import ResidentDataset, read_datalist, stated_label_sets
from common.label_sets import LabelSets
from common.metrics.dice import annotated_dice
from common.transforms import EncodeLabelSetsd

BUNDLE = Path("bundles/echo_segmentation")
WEIGHTS = BUNDLE / "models" / "model.pt"
SIZE = 160  # of the weights
HIDDEN = ["lv_myocardium", "left_atrium"]
LEFT_OUT = ("Pictures", "MLflowRun", "ValidationHandler", "BestAndLast")  # a measurement needs no record
Change = Callable[[SupervisedTrainer], None]


def l2_sp(trainer: SupervisedTrainer, weight: float = 0.01) -> None:
    """Pull the parameters towards their initial values (L2-SP, Li et al., 2018)."""
    start = {name: value.to(trainer.state.device) for name, value in torch.load(WEIGHTS, weights_only=True).items()}

    def pull(_: Engine) -> None:
        for name, parameter in trainer.network.named_parameters():
            parameter.grad.add_(parameter.detach() - start[name], alpha=weight)

    trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, pull)


def frozen_norms(trainer: SupervisedTrainer) -> None:
    """Keep the statistics of batch normalisation as they are, and use them."""
    for module in trainer.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda *_, own=module: own  # MONAI calls it before every step


MARGINAL: dict[str, Any] = {"distillation": 0.0}
METHODS: dict[str, tuple[dict[str, Any], list[Change]]] = {
    "marginal, rate 0.1": ({**MARGINAL, "learning_rate": 0.1}, []),
    "marginal, rate 0.01": (MARGINAL, []),
    "marginal, rate 0.001": ({**MARGINAL, "learning_rate": 0.001}, []),
    "L2-SP, rate 0.01": ({**MARGINAL, "weight_decay": 0.0}, [l2_sp]),
    "frozen norms, rate 0.001": ({**MARGINAL, "learning_rate": 0.001}, [frozen_norms]),  # diverges at 0.01
    "distillation, rate 0.01 (default)": ({}, []),
    "distillation, rate 0.001": ({"learning_rate": 0.001}, []),
    "distillation 10, rate 0.01": ({"distillation": 10.0}, []),
    "distillation, frozen norms, rate 0.001": ({"learning_rate": 0.001}, [frozen_norms]),
    "complete labels, rate 0.01": ({"withheld": {}}, []),  # what the missing annotation would have brought
}


def measured(folder: Path, dataset: str, fold: str, classes: list[str]) -> tuple[ResidentDataset, LabelSets]:
    """Read the four-chamber images of a fold, with every annotation."""
    label_sets = LabelSets(classes, {dataset: stated_label_sets(str(folder), classes)[dataset]})
    data = [item for item in read_datalist(str(folder), fold) if (item["dataset"], item["view"]) == (dataset, "4CH")]
    return ResidentDataset(data, label_sets, SIZE), label_sets


@torch.no_grad()
def dice(network: nn.Module, images: ResidentDataset, label_sets: LabelSets) -> list[float]:
    """Return the mean Dice of each foreground class, in points."""
    network.eval()
    found: list[Tensor] = []
    for start in range(0, len(images), 20):
        batch = EncodeLabelSetsd(label_sets)(images.__getitems__(range(start, min(start + 20, len(images)))))
        prediction = network(batch["image"]).argmax(dim=1)
        found.append(annotated_dice(prediction, batch["label"], len(label_sets.classes)))
    return [100 * float(value) for value in torch.cat(found).nanmean(dim=0)[1:]]


def tuned(data: Path, epochs: int, settings: dict[str, Any], changes: list[Change]) -> nn.Module:
    """Fine-tune the weights on `unity_like`."""
    with tempfile.TemporaryDirectory() as folder:
        parser = ConfigParser()
        parser.read_config(BUNDLE / "configs" / "train.yaml")
        parser.update({"bundle_root": str(BUNDLE), "data": str(data), "train_on": ["unity_like"]})
        parser.update({"withheld": {"unity_like": HIDDEN}, "loss": "marginal_dice_ce", "image_size": SIZE})
        parser.update({"initial_weights": str(WEIGHTS), "epochs": epochs, "batch_size": 8, "output_dir": folder})
        parser.update({"device": "cpu", **settings})
        handlers = parser["train"]["handlers"]
        handlers[:] = [one for one in handlers if not one["_target_"].endswith(LEFT_OUT)]
        set_determinism(seed=0)
        trainer = parser.get_parsed_content("train::trainer")
        for change in changes:
            change(trainer)
        trainer.run()
        network: nn.Module = trainer.network
        return network


def main() -> None:
    """Prepare the data, fine-tune with each method, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fine_tuning", description=__doc__)
    parser.add_argument("--camus", type=Path, help="folder of CAMUS, NIfTI release")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--patients", type=int, default=100, help="of the phantom, in each domain")
    parser.add_argument("--methods", nargs="*", default=[""], help="beginnings of their names")
    parser.add_argument("--out", type=Path, default=Path("runs/fine_tuning"))
    arguments = parser.parse_args()
    classes = json.loads(WEIGHTS.with_suffix(".json").read_text())["classes"]
    phantom, camus = arguments.out / "phantom", arguments.out / "camus"
    domains = [word for name in ("unity_like", "camus_like") for word in ("--domain", name)]
    commands = [["phantom", str(phantom), *domains, "--patients", str(arguments.patients)]]
    commands += [["camus", str(arguments.camus), str(camus)]] if arguments.camus else []
    for command in commands:
        subprocess.run([sys.executable, "-m", "common.datasets", *command, "--size", str(SIZE)], check=True)
    sets = {name: measured(phantom, name, "test", classes) for name in ("unity_like", "camus_like")}
    sets |= {"camus": measured(camus, "camus", "validation", classes)} if arguments.camus else {}
    config = ConfigParser()
    config.read_config(BUNDLE / "configs" / "train.yaml")
    initial: nn.Module = config.get_parsed_content("network_def")
    initial.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    before = {name: dice(initial, *own) for name, own in sets.items()}
    table = Table("", *sets, title=f"{arguments.epochs} epochs; Dice of {', '.join(classes[1:])}, in points (change)")
    table.add_row("before", *(" / ".join(f"{value:.1f}" for value in own) for own in before.values()))
    chosen = [name for name in METHODS if name.startswith(tuple(arguments.methods))]
    for position, name in enumerate(chosen, start=1):
        print(f"{position}/{len(chosen)} {name}", flush=True)
        network = tuned(phantom, arguments.epochs, *METHODS[name])
        after = {own: dice(network, *content) for own, content in sets.items()}
        pairs = {own: zip(values, before[own], strict=True) for own, values in after.items()}
        table.add_row(name, *(" / ".join(f"{a:.1f} ({a - b:+.1f})" for a, b in pair) for pair in pairs.values()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
