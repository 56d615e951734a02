"""A training as a model in MLflow's registry: it maps image files to label maps.

It consists of the state dict, the record, the configuration and the name of this module; no pickled class.

    mlflow.pyfunc.load_model("models:/segmenter/1").predict(["scan.dcm"])
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from numpy.typing import NDArray

from ..command import PACKAGE, command
from ..configuration import switch
from ..datasets.files.scan_reader import read_scan
from ..datasets.sector.finder import SectorFinder
from ..datasets.sector.framing import frame
from ..engines import inferer_for, load_weights, network_of, read_record, with_weights
from ..strict_yaml import read_yaml
from ..tracking import address, cause, connect, handed_in, logged_run, read_outbox
from .segmentation import label_maps, network_images

__all__ = ["Segmenter", "register"]

WEIGHTS, CONFIGURATION = "model.pt", "config.yaml"
SIGNATURE = ModelSignature(
    Schema([ColSpec("string")]), Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1), "label_map")])
)


class Segmenter:
    """Segment image files of any kind that this package reads, as inference.yaml of their bundle does.

    Args:
        weights: path of the weights, beside their record, and beside the configuration of their training: its
            `find_sector` says whether the network sees the ultrasound sector alone.
    """

    def __init__(self, weights: Path) -> None:
        self.record = read_record(weights, volumes=False)
        network = network_of(self.record, {})
        self.network = with_weights(network, load_weights(weights)[0], weights).eval()
        self.inferer = inferer_for(self.record["activation"])
        path = weights.with_name(CONFIGURATION)
        training = read_yaml(path) if path.is_file() else {}
        self.finder = SectorFinder() if switch(training.get("find_sector", False)) else None

    def predict(self, model_input: Any) -> list[NDArray[np.uint8]]:
        """Return the label map of each file: class indices (frames, rows, columns), uint8.

        Args:
            model_input: paths: one, a list, or a table of one column.
        """
        return [self._segment(Path(path)) for path in np.ravel(np.asarray(model_input, dtype=object))]

    def _segment(self, path: Path) -> NDArray[np.uint8]:
        scan = read_scan(path, None, None, ultrasound=self.finder is not None)
        framing = frame(scan, self.finder)
        images = network_images(framing.cut(scan.frames), self.record["image_size"])
        with torch.inference_mode():
            return label_maps(self.inferer(images, self.network), framing)


def _load_pyfunc(path: str) -> Segmenter:
    """Load the model for MLflow, which looks for this name."""
    return Segmenter(Path(path) / WEIGHTS)


def register(folder: Path, name: str) -> str:
    """Store the weights of a training with its MLflow run, and register them.

    Args:
        folder: of the training.
        name: of the model in the registry.

    Returns:
        The version.

    Raises:
        FileNotFoundError: if the folder has no weights.
        ValueError: if weights or record are damaged, or of volumes, which are measured by measure.yaml.
        RuntimeError: if MLflow lacks the run of the training.
    """
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{folder / WEIGHTS} is missing; give the folder of a finished training.")
    Segmenter(folder / WEIGHTS)
    run_id = handed_in(folder)
    if run_id is None and read_outbox(folder) is None:
        raise RuntimeError(
            f"{folder} has no outbox, so MLflow does not know it; give the folder of a training with a --tracking_uri."
        )
    if run_id is None:
        raise RuntimeError(
            f"MLflow lacks the run of {folder}; hand it in: {command(f'tracking hand-in {folder.parent}')}"
        )
    client = connect(address(logged_run(folder)["tracking_uri"]))
    with tempfile.TemporaryDirectory() as place:
        data, model = Path(place) / "weights", Path(place) / "model"
        data.mkdir()
        for file in (WEIGHTS, "model.json", CONFIGURATION):
            if (folder / file).is_file():
                shutil.copy(folder / file, data)
        mlflow.pyfunc.save_model(
            model,
            loader_module=f"{PACKAGE}.inference.mlflow_model",
            data_path=data,
            signature=SIGNATURE,
            pip_requirements=[f"{name}=={version(name)}" for name in ("torch", "monai")],
        )
        client.log_artifacts(run_id, str(model), "model")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    return str(client.create_model_version(name, source, run_id).version)


def main() -> None:
    """Register a training from the command line."""
    parser = argparse.ArgumentParser(prog=command("inference.mlflow_model"), description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the training")
    parser.add_argument("name", help="of the model in the registry")
    arguments = parser.parse_args()
    try:
        print(f"models:/{arguments.name}/{register(arguments.folder, arguments.name)}")
    except (OSError, ValueError, RuntimeError, MlflowException) as error:
        parser.exit(1, f"{cause(error)}\n")


if __name__ == "__main__":
    main()
