"""inference.yaml: images in, label maps out, as MONAI's programs run it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
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
from common.datasets.files.scan_reader import read_scan
from common.datasets.sector.finder import SectorFinder
from common.datasets.sector.framing import frame
from common.datasets.sector.geometry import Sector
from common.inference.label_map import write_label_map
from common.inference.segmentation import network_images

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "bundles" / "echo_segmentation"
GREY = {"_target_": "common.datasets.sector.grey_image.GreyImaged", "keys": "image"}
MASK_SECTOR = {"_target_": "common.datasets.sector.mask.MaskSectord", "keys": "image"}
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
    parser.update({"masking": GREY, "augmented": "never", "device": "cpu"})
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


@pytest.mark.parametrize("find_sector", [False, True])
@pytest.mark.parametrize("slices", [(), (1,)], ids=["two axes", "one slice"])
@pytest.mark.parametrize(
    "affine",
    [
        np.diag([-0.5, -0.3, 1.0, 1.0]),
        np.array([[0.0, -0.4, 0.0, 7.0], [0.3, 0.0, 0.0, -5.0], [0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 0.0, 1.0]]),
        np.array([[0.24, 0.4, 0.0, 3.0], [-0.32, 0.3, 0.0, 9.0], [0.0, 0.0, -2.0, 1.0], [0.0, 0.0, 0.0, 1.0]]),
    ],
    ids=["as CAMUS", "rotated", "oblique, flipped"],
)
def test_a_nifti_image_gives_a_label_map_that_lies_on_it(
    tmp_path: Path, affine: np.ndarray, slices: tuple[int, ...], find_sector: bool
):
    (tmp_path / "in").mkdir()
    pixels = (LABELS.T * STEP).astype(np.uint8).reshape(*LABELS.T.shape, *slices)
    source = tmp_path / "in" / "a.nii.gz"
    nibabel.Nifti1Image(pixels, affine).to_filename(source)
    masking = {"masking": MASK_SECTOR} if find_sector else {}
    segment(tmp_path / "in", tmp_path / "out", **masking)
    measured = write_label_map(LABELS[None].astype(np.uint8), source, tmp_path / "measured", None, None)
    image, found, expected = map(nibabel.load, (source, tmp_path / "out" / "a_seg.nii.gz", measured))
    assert found.shape == image.shape[:2]
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_allclose(found.affine, image.affine, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.affine, expected.affine, rtol=0, atol=1e-6)
    labels = np.asarray(expected.dataobj).reshape(found.shape)
    if not find_sector:
        assert min(overlap(np.asarray(found.dataobj), labels)) > 0.97


def test_a_dicom_image_gives_a_label_map_that_monai_reads_like_it(tmp_path: Path):
    (tmp_path / "in").mkdir()
    write_dicom(tmp_path / "in" / "a.dcm", LABELS)
    segment(tmp_path / "in", tmp_path / "out", pattern="*.dcm")
    image, found = (LoadImage()(path) for path in (tmp_path / "in" / "a.dcm", tmp_path / "out" / "a_seg.nii.gz"))
    np.testing.assert_allclose(found.affine, image.affine, rtol=0, atol=1e-6)
    assert found.shape == image.shape[:2] == LABELS.T.shape
    assert min(overlap(found.numpy(), (image.numpy()[..., 0] / STEP).round())) > 0.97


def test_a_picture_can_give_nifti_in_its_pixels(tmp_path: Path):
    (tmp_path / "in").mkdir()
    Image.fromarray((LABELS * STEP).astype(np.uint8)).save(tmp_path / "in" / "a.png")
    segment(tmp_path / "in", tmp_path / "out", pattern="*.png")
    found = nibabel.load(tmp_path / "out" / "a_seg.nii.gz")
    np.testing.assert_array_equal(found.affine, np.eye(4))
    assert min(overlap(np.asarray(found.dataobj), LABELS.T)) > 0.97


def test_every_image_of_a_folder_has_its_own_geometry(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for name, shape in {"a": (96, 64, 1), "b": (64, 96), "c": (50, 60, 1)}.items():
        image = nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.diag([*map(float, range(1, 4)), 1.0]))
        image.to_filename(tmp_path / "in" / f"{name}.nii.gz")
    segment(tmp_path / "in", tmp_path / "out")
    shapes = [nibabel.load(path).shape for path in sorted((tmp_path / "out").iterdir())]
    assert shapes == [(96, 64), (64, 96), (50, 60)]


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
    assert yaml.safe_load((ECHO / "configs" / "inference.yaml").read_text())["masking"] == MASK_SECTOR
    segment(tmp_path / "in", tmp_path / "out", network, pattern="*.png", image_size=64, masking=MASK_SECTOR)
    framing = frame(Scan(image[None]), SectorFinder())
    assert framing.sector
    difference = np.abs(np.asarray(network.seen[0, 0]) - network_images(framing.cut(image[None]), 64)[0, 0].numpy())
    assert difference.mean() < 0.01, "the borders are smoothed in another way"


REFUSED = r"outside the integers 0 to 255 \(.*\)\. Convert it to 8 bit"


def refusal(folder: Path, **settings) -> str:
    """Return why the workflow stopped: the first of the errors that MONAI chains."""
    with pytest.raises(RuntimeError) as caught:
        segment(folder / "in", folder / "out", **settings)
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    assert isinstance(error, ValueError)
    return str(error)


@pytest.mark.parametrize("masking", [GREY, MASK_SECTOR], ids=["grey", "sector"])
@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (LABELS.T * 1020.0, REFUSED),
        (LABELS.T * 680.0 - 1024, REFUSED),
        (LABELS.T / 3, REFUSED),
        (np.where(LABELS.T == 2, np.nan, LABELS.T), REFUSED),
        (np.zeros((20, 30, 5)), r"20 x 30 x 5 pixels .* \(two-dimensional images only; measure\.yaml reads clips"),
        (np.zeros((20, 30, 1, 3)), r"20 x 30 x 1 pixels with 3 channels or frames \(two-dimensional images only"),
    ],
    ids=["0 to 3060", "-1024 to 1016", "0 to 1", "NaN", "volume", "clip of three frames"],
)
def test_nifti_that_measure_refuses_or_reads_as_a_clip_is_refused(
    tmp_path: Path, pixels: np.ndarray, message: str, masking: dict[str, str]
):
    (tmp_path / "in").mkdir()
    nibabel.Nifti1Image(pixels.astype(np.float32), np.eye(4)).to_filename(tmp_path / "in" / "a.nii.gz")
    assert re.search(rf"a\.nii\.gz: .*{message}", refusal(tmp_path, masking=masking))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.fromarray((LABELS * 300.0).astype(np.uint16)), REFUSED),
        (Image.fromarray(LABELS.astype(np.uint8)).convert("P"), r"stored as 'P', not as grey values or RGB"),
        (Image.fromarray(LABELS > 0), r"stored as '1', not as grey values or RGB"),
    ],
    ids=["16 bit", "palette", "bilevel"],
)
def test_pictures_whose_numbers_are_not_grey_values_are_refused(tmp_path: Path, picture: Image.Image, message: str):
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "a.png")
    assert re.search(rf"a\.png: .*{message}", refusal(tmp_path, pattern="*.png"))


def test_dicom_of_twelve_bits_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.dcm"
    write_dicom(path, LABELS)
    file = pydicom.dcmread(path)
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelData = (LABELS * 1000.0).astype(np.uint16).tobytes()
    file["PixelData"].VR = "OW"
    file.save_as(path)
    assert re.search(REFUSED, refusal(tmp_path, pattern="*.dcm"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L"])
def test_colours_become_the_same_grey_as_when_a_scan_is_measured(tmp_path: Path, mode: str):
    (tmp_path / "in").mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (40, 64, 3)).astype(np.uint8)
    Image.fromarray(colours).convert(mode).save(tmp_path / "in" / "a.png")
    network = Watcher()
    segment(tmp_path / "in", tmp_path / "out", network, pattern="*.png", image_size=64)
    seen = network_images(read_scan(tmp_path / "in" / "a.png").frames, 64)
    torch.testing.assert_close(network.seen.as_tensor(), seen, rtol=0, atol=1 / 255)  # rounded there


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
    found = np.asarray(nibabel.load(folder / "out" / "a_seg.nii.gz").dataobj)
    assert found.shape == LABELS.T.shape
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
    assert found.shape == (1, *expected[1].shape)
    np.testing.assert_array_equal(found[0].numpy(), expected[1])


PROGRAM = """
import sys
import torch
from monai.bundle import ckpt_export, create_workflow, load, verify_net_in_out
root, out = sys.argv[1:]
files = {"meta_file": f"{root}/configs/metadata.json", "config_file": f"{root}/configs/inference.json"}
network = load("echo_segmentation", bundle_dir=f"{root}/..", workflow_type="inference")
print("loaded", type(network).__name__)
workflow = create_workflow("ConfigWorkflow", workflow_type="infer", bundle_root=root, logging_file=False, **files)
print("inferer", type(workflow.inferer).__module__)
print("missing", workflow.check_properties(), [name for name in workflow.properties if getattr(workflow, name) is None])
training = files | {"config_file": f"{root}/configs/train.json"}
verify_net_in_out("network_def", device="cpu", p=1, n=2, any=32, bundle_root=root, **training)
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
    for line in ("loaded UNet", "inferer scripts.engines.inferer", "missing [] []", "exported"):
        assert line in result.stdout.splitlines(), result.stdout
