"""inference.yaml: images in, label maps out, as MONAI's programs run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import yaml
from drawn_heart import STEP, Seer, heart
from measuring import write_dicom
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImage, LoadImaged, SaveImaged
from PIL import Image

from common.bundle.publish import publish
from common.datasets.files.scan import Scan
from common.datasets.sector.finder import SectorFinder
from common.datasets.sector.framing import frame
from common.datasets.sector.geometry import Sector
from common.inference.segmentation import network_images

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "bundles" / "echo_segmentation"
LABELS = heart()[:, 20:220]  # rows, columns: neither square nor symmetric


class Decided(torch.nn.Module):
    """The same logits everywhere."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.logits).view(1, -1, 1, 1) + 0 * image


def segment(source: Path, out: Path, network: torch.nn.Module | None = None, **settings) -> None:
    """Run the workflow with a network that reads the class from the grey value, at the size of the drawn images."""
    parser = ConfigParser()
    parser.read_config(ECHO / "configs" / "inference.yaml")
    parser.update({"masking": {"_target_": "Identityd", "keys": "image"}, "augmented": "never", "device": "cpu"})
    parser.update({"dataset_dir": str(source), "output_dir": str(out), "image_size": 256, "load_pretrain": False})
    parser.update(settings)
    evaluator = parser.get_parsed_content("evaluator")
    evaluator.network = Seer() if network is None else network
    evaluator.run()


def overlap(found: np.ndarray, truth: np.ndarray = LABELS) -> list[float]:
    assert found.shape == truth.shape
    return [2 * ((found == value) & (truth == value)).sum() / ((found == value).sum() + (truth == value).sum())
            for value in (1, 2, 3)]  # fmt: skip


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_a_picture_gives_the_label_map_that_covers_it(tmp_path: Path, mode: str):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray((LABELS * STEP).astype(np.uint8)).convert(mode).save(tmp_path / "in" / "deep" / "a.png")
    segment(tmp_path / "in", tmp_path / "out", pattern="*.png", output_ext=".png")
    with Image.open(tmp_path / "out" / "deep" / "a_seg.png") as written:
        found = np.asarray(written)
    assert found.dtype == np.uint8
    assert min(overlap(found)) > 0.97


@pytest.mark.parametrize("slices", [(), (1,)], ids=["two axes", "one slice"])
def test_a_nifti_image_gives_a_label_map_with_its_affine(tmp_path: Path, slices: tuple[int, ...]):
    (tmp_path / "in").mkdir()
    turn = np.array([[0.0, -0.4, 0.0, 7.0], [0.3, 0.0, 0.0, -5.0], [0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    pixels = (LABELS.T * STEP).astype(np.uint8).reshape(*LABELS.T.shape, *slices)
    nibabel.Nifti1Image(pixels, turn).to_filename(tmp_path / "in" / "a.nii.gz")
    segment(tmp_path / "in", tmp_path / "out")
    found = nibabel.load(tmp_path / "out" / "a_seg.nii.gz")
    np.testing.assert_allclose(found.affine, turn, atol=1e-6)
    assert found.get_data_dtype() == np.uint8
    assert min(overlap(np.asarray(found.dataobj).squeeze().T)) > 0.97


def test_a_dicom_image_gives_a_label_map_that_monai_reads_like_it(tmp_path: Path):
    (tmp_path / "in").mkdir()
    write_dicom(tmp_path / "in" / "a.dcm", LABELS)
    segment(tmp_path / "in", tmp_path / "out", pattern="*.dcm")
    image, found = (LoadImage()(path) for path in (tmp_path / "in" / "a.dcm", tmp_path / "out" / "a_seg.nii.gz"))
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    assert min(overlap(found.numpy().squeeze(), (image.numpy() / STEP).round().squeeze())) > 0.97


class Watcher(Seer):
    """Keep the image that the network sees."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen = image
        return super().forward(image)


def test_the_network_sees_what_it_sees_when_a_scan_is_measured(tmp_path: Path):
    sector = Sector((30, 100), -40, 40, inner=0, outer=150, frame=(0, 0, 219, 199)).mask((220, 200))
    rows, columns = np.indices(sector.shape)
    grains = np.random.default_rng(0).integers(0, 60, sector.shape)
    image = ((30 + 0.4 * rows + 0.3 * columns + grains) * sector).astype(np.uint8)
    image[5:12, 10:60] = 255  # a name
    (tmp_path / "in").mkdir()
    Image.fromarray(image).save(tmp_path / "in" / "a.png")
    network = Watcher()
    masking = yaml.safe_load((ECHO / "configs" / "inference.yaml").read_text())["masking"]
    segment(tmp_path / "in", tmp_path / "out", network, pattern="*.png", image_size=64, masking=masking)
    framing = frame(Scan(image[None]), SectorFinder())
    assert framing.sector
    difference = np.abs(np.asarray(network.seen[0, 0]) - network_images(framing.cut(image[None]), 64)[0, 0].numpy())
    assert difference.mean() < 0.01, "the borders are smoothed in another way"


def test_a_volume_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    nibabel.Nifti1Image(np.zeros((20, 30, 5), np.uint8), np.eye(4)).to_filename(tmp_path / "in" / "a.nii.gz")
    with pytest.raises(RuntimeError, match=r"applying transform .*Lambdad"):
        segment(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("activation", "logits", "expected"),
    [
        ("softmax", [1.0, 0.5, -2.0, -3.0], 0),
        ("softmax", [-1.0, 0.5, -2.0, -3.0], 1),
        ("sigmoid", [9.0, -1.0, 0.5, -3.0], 2),  # whatever the untrained background logit is
        ("sigmoid", [-9.0, -1.0, -0.5, -3.0], 0),  # no structure is more likely than not
    ],
)
@pytest.mark.parametrize("augmented", ["never", "always"])
def test_logits_are_read_as_the_weights_were_trained(
    tmp_path: Path, activation: str, logits: list[float], expected: int, augmented: str
):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((20, 30), 100, np.uint8)).save(tmp_path / "in" / "a.png")
    settings = {"pattern": "*.png", "output_ext": ".png", "image_size": 32, "augmented": augmented}
    segment(tmp_path / "in", tmp_path / "out", Decided(logits), activation=activation, **settings)
    assert set(np.unique(np.asarray(Image.open(tmp_path / "out" / "a_seg.png")))) == {expected}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "echo_segmentation"
    publish(ECHO, out)
    return out


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A phantom as NIfTI, and the label map that the workflow writes."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "in").mkdir()
    image = nibabel.Nifti1Image((LABELS.T * STEP).astype(np.uint8), np.diag([-0.4, -0.3, 1.0, 1.0]))
    image.to_filename(folder / "in" / "a.nii.gz")
    parser = ConfigParser()
    parser.read_config(ECHO / "configs" / "inference.yaml")
    parser.update({"dataset_dir": str(folder / "in"), "output_dir": str(folder / "out"), "bundle_root": str(ECHO)})
    parser.get_parsed_content("evaluator").run()
    found = np.asarray(nibabel.load(folder / "out" / "a_seg.nii.gz").dataobj).squeeze()
    assert set(np.unique(found)) >= {0, 1}, "there is something to compare"
    return folder / "in" / "a.nii.gz", found


def loaded(published: Path) -> ConfigParser:
    """Read the published configuration alone, as MONAI Label and MONAI Deploy do; `scripts` is this package here."""
    text = (published / "configs" / "inference.json").read_text().replace("scripts.", "common.")
    return ConfigParser({**json.loads(text), "bundle_root": str(published)})


def test_monai_label_finds_what_it_reads(published: Path, expected: tuple[Path, np.ndarray]):
    """The steps of BundleInferTask of MONAI Label 0.8.5: network_def, transforms without SaveImaged, inferer."""
    parser = loaded(published)
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(published / "models" / "model.pt", weights_only=True), strict=True)
    before, after = (list(parser.get_parsed_content(f"{name}processing").transforms) for name in ("pre", "post"))
    assert isinstance(before[0], LoadImaged)
    before[0]._loader.image_only = False
    data = Compose(before)({"image": str(expected[0])})
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
    data = Compose([step for step in after if not isinstance(step, SaveImaged)])(data)
    assert data["pred"].shape == (1, *expected[1].shape)
    np.testing.assert_array_equal(data["pred"][0].numpy(), expected[1])
    metadata = json.loads((published / "configs" / "metadata.json").read_text())["network_data_format"]
    assert next(iter(metadata["inputs"])) == "image"
    assert next(iter(metadata["outputs"])) == "pred"


@pytest.mark.parametrize("channel", ["no_channel", -1])
def test_monai_deploy_finds_what_it_reads(published: Path, expected: tuple[Path, np.ndarray], channel: str | int):
    """The steps of MonaiBundleInferenceOperator of its 4.0: an array (columns, rows, 1), no LoadImage and SaveImage."""
    parser = loaded(published)
    parser.read_meta(published / "configs" / "metadata.json")
    network = parser.get_parsed_content("network")
    assert isinstance(network, torch.nn.Module)
    network.load_state_dict(torch.load(published / "models" / "model.pt", weights_only=True), strict=True)
    before, after = (parser.get_parsed_content(f"{name}processing") for name in ("pre", "post"))
    for compose in (before, after):
        kept = [step for step in compose.transforms if not {"LoadImaged", "SaveImaged"} & {type(step).__name__}]
        compose.transforms = tuple(kept)
    source = nibabel.load(expected[0])
    pixels = torch.from_numpy(np.asarray(source.dataobj).copy())[..., None]
    image = MetaTensor(pixels, affine=source.affine, meta={"original_channel_dim": channel})
    data = before({"image": image})
    with torch.no_grad():
        logits = parser.get_parsed_content("inferer")(inputs=data["image"][None], network=network.eval())
    found = after({"pred": logits[0], **data})["pred"]
    np.testing.assert_array_equal(found.numpy().squeeze(), expected[1])


PROGRAM = """
import sys
import torch
from monai.bundle import ckpt_export, create_workflow, load, verify_net_in_out
root, out = sys.argv[1:]
files = {"meta_file": f"{root}/configs/metadata.json", "config_file": f"{root}/configs/inference.json"}
network = load("echo_segmentation", bundle_dir=f"{root}/..", workflow_type="inference")
print("loaded", type(network).__name__)
sys.path.insert(0, root)
workflow = create_workflow("ConfigWorkflow", workflow_type="infer", bundle_root=root, logging_file=False, **files)
print("missing", workflow.check_properties(), [name for name in workflow.properties if getattr(workflow, name) is None])
verify_net_in_out("network_def", device="cpu", p=1, n=2, any=32, bundle_root=root, **files)
ckpt_export("network_def", filepath=out, ckpt_file=f"{root}/models/model.pt", bundle_root=root, **files)
image = torch.rand(1, 1, 160, 160)
with torch.no_grad():
    torch.testing.assert_close(torch.jit.load(out)(image), network.eval()(image))
print("exported")
"""


@pytest.mark.slow
def test_monais_own_commands_accept_the_published_bundle_from_another_folder(published: Path, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-c", PROGRAM, str(published), str(tmp_path / "model.ts")]
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    for line in ("loaded UNet", "missing [] []", "exported"):
        assert line in result.stdout.splitlines(), result.stdout
