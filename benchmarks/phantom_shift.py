"""Measure the domain shift of the phantom: LV Dice of networks trained on one scanner domain and tested on all.

`python -m benchmarks.phantom_shift --epochs 25` repeats Experiment 1 of Islam et al. (MELBA 2026) on the phantom, LV
only. Their real datasets lose 0.08 to 0.21, the target of the phantom; docs/phantom.md reports the measured values.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

DOMAINS = ("camus_like", "unity_like", "echonet_like")
TESTED = (*DOMAINS, "clinic_like")  # no training sees the external domain
CONFIGS = Path("bundles/echo_segmentation/configs")
OTHERS = ("lv_myocardium", "left_atrium")  # count as background


def _run(workflow: str, **settings: object) -> None:
    overrides = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(CONFIGS / workflow), *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Prepare, train three times, test twelve times, print the matrix."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phantom_shift", description=__doc__)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("runs/phantom_shift"))
    arguments = parser.parse_args()
    folders = {domain: arguments.out / "data" / domain for domain in TESTED}
    for domain, folder in folders.items():
        command = [sys.executable, "-m", "common.datasets", "phantom", str(folder), "--domain", domain]
        command += ["--patients", str(arguments.patients), "--size", str(arguments.size)]
        subprocess.run(command, check=True)
    shared = {
        "classes": ["background", "lv_cavity"],
        "renamed": dict.fromkeys(OTHERS, "background"),
        "withheld": {},
        "loss": "marginal_dice_ce",  # with complete labels, cross entropy plus Dice: converges in few epochs
        "image_size": arguments.size,
        # plain settings: the shift is a property of the data, without measures that make a training robust to it
        "networks::unet::norm": "instance",
        "augmentation::scale": 0.1,
        "augmentation::brightness": 0.1,
        "augmentation::contrast": 0.2,
    }
    matrix = {}
    for domain in DOMAINS:
        folder = folders[domain]
        output = arguments.out / f"{domain}_seed{arguments.seed}"
        training = {"data": folder, "epochs": arguments.epochs, "seed": arguments.seed, "output_dir": output}
        training["learning_rate"] = 0.05
        _run("train.yaml", **shared, **training, experiment="phantom_shift")
        tested = {"data": [str(path) for path in folders.values()], "renamed": shared["renamed"]}
        _run("evaluate.yaml", **tested, checkpoint=output / "model.pt", experiment="phantom_shift")
        (report,) = output.glob("evaluations/*-test-*/summary.json")
        metrics = json.loads(report.read_text())
        matrix[domain] = {tested: metrics[f"dice/{tested}/lv_cavity"] for tested in TESTED}
    print("LV Dice on the test fold; in brackets the difference from training on the tested domain itself")
    print(f"{'trained on':<14}" + "".join(f"{f'tested on {domain}':>24}" for domain in TESTED))
    for trained, row in matrix.items():
        cells = [f"{row[tested]:.3f} ({matrix[tested][tested] - row[tested]:+.3f})" for tested in DOMAINS]
        cells += [f"{row[tested]:.3f}" for tested in TESTED[len(DOMAINS) :]]
        print(f"{trained:<14}" + "".join(f"{cell:>24}" for cell in cells))
    (arguments.out / f"matrix_seed{arguments.seed}.json").write_text(json.dumps(matrix, indent=2) + "\n")


if __name__ == "__main__":
    main()
