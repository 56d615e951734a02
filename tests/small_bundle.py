"""A bundle beside workflows of a few lines, for the tests of complete configurations."""

from pathlib import Path

import yaml

from common.bundle.complete import complete

WORKFLOW = """# A workflow.
imports:
  - $import torch

# How long to train.
epochs: 50  # passes
optimizer:
  # the step
  lr: 0.1

  momentum: 0.9  # of the step before
handlers:
- first
# between two items
- second
run:
  - $@trainer.run(@classes)
# the end
"""

SETTINGS = """# Shared.
runs_dir: runs/BUNDLE
seed: 0  # of everything
"""


def write(bundle: Path, text: str) -> None:
    (bundle / "configs" / "bundle.yaml").write_text(text)


def parsed(bundle: Path, workflow: str = "train.yaml") -> dict:
    return yaml.safe_load(complete(bundle)[workflow])


def variant(bundle: Path, name: str, text: str) -> Path:
    folder = bundle.parent / name
    (folder / "configs").mkdir(parents=True)
    write(folder, text)
    return folder
