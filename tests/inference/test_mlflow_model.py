"""A training in MLflow's registry maps image files to label maps, without a pickled class."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from PIL import Image

from common.datasets.files.scan import Scan
from common.datasets.sector.finder import SectorFinder
from common.datasets.sector.framing import frame
from common.datasets.sector.geometry import Sector
from common.inference.mlflow_model import Segmenter, main, register
from common.inference.segmentation import label_maps, network_images
from common.tracking import log_finished_run

ARGUMENTS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture
def training(tmp_path: Path, uri: str) -> Path:
    """Folder of a training that MLflow knows."""
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(UNet(**ARGUMENTS).state_dict(), folder / "model.pt")
    record = {"activation": "softmax", "classes": ["background", "lv"], "image_size": 16, "network": "mine"}
    record["architecture"] = {"_target_": "monai.networks.nets.UNet", **ARGUMENTS}
    (folder / "model.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text("find_sector: false\n")
    log_finished_run(folder, uri, "registry", "one", {}, {})
    return folder


def test_a_registered_training_segments_files(
    training: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert register(training, "lv") == "1"
    assert register(training, "lv") == "2"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    model = mlflow.pyfunc.load_model("models:/lv/1")
    (found,) = model.predict([str(tmp_path / "a.png")])
    np.testing.assert_array_equal(model.predict(str(tmp_path / "a.png"))[0], found)
    network = UNet(**ARGUMENTS).eval()
    network.load_state_dict(torch.load(training / "model.pt", weights_only=True))
    with torch.inference_mode():
        expected = network(network_images(pixels[None], 16)).argmax(dim=1)
    np.testing.assert_array_equal(found, expected)
    assert model.metadata.signature is not None
    stored = {path.name for path in Path(uri.removeprefix("sqlite:///")).parent.rglob("model/**/*") if path.is_file()}
    assert {"MLmodel", "model.pt", "model.json", "config.yaml"} <= stored
    assert not any(name.endswith(".pkl") for name in stored)


@pytest.mark.parametrize("find", [True, False])
def test_it_sees_the_sector_alone_where_its_training_says_so(training: Path, tmp_path: Path, find: bool):
    sector = Sector((10, 100), -40, 40, inner=0, outer=150, frame=(0, 0, 199, 199)).mask((200, 200))
    image = (np.random.default_rng(0).integers(40, 200, (200, 200)) * sector).astype(np.uint8)
    image[:5, :60] = 255  # a name
    Image.fromarray(image).save(tmp_path / "a.png")
    (training / "config.yaml").write_text(f"find_sector: {str(find).lower()}\n")
    segmenter = Segmenter(training / "model.pt")
    framing = frame(Scan(image[None]), SectorFinder() if find else None)
    assert framing.sector is find
    with torch.inference_mode():
        seen = segmenter.network(network_images(framing.cut(image[None]), 16))
    np.testing.assert_array_equal(segmenter.predict([tmp_path / "a.png"])[0], label_maps(seen, framing))


def test_a_folder_without_weights_or_run_is_refused(training: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"model.pt is missing; give the folder"):
        register(tmp_path, "lv")
    (training / "mlflow_run.json").unlink()
    with pytest.raises(RuntimeError, match=r"MLflow lacks the run of .*one; hand it in: .*tracking hand-in"):
        register(training, "lv")


def test_what_cannot_be_registered_is_one_line(
    training: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def told(*words: object) -> str:
        monkeypatch.setattr("sys.argv", ["mlflow_model", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "model.pt is missing" in told(training.parent, "lv")
    assert "a/b" in told(training, "a/b")
    record = json.loads((training / "model.json").read_text())
    volumes = {**record, "normalisation": {"window": None, "mean": 0.0, "sd": 1.0}}
    (training / "model.json").write_text(json.dumps(volumes))
    assert "was trained with normalisation" in told(training, "lv")
    (training / "model.json").write_text(json.dumps(record))
    (training / "mlflow_outbox.json").unlink()
    assert "has no outbox, so MLflow does not know it" in told(training, "lv")
