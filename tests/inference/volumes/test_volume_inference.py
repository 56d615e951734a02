"""inference.yaml of volumes: volumes in, label maps out, as MONAI's programs run it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
import yaml
from ct_series import write_series
from measuring_volumes import CLASSES, HU, NORMALISATION, OBLIQUE, Reader, affine, drawn, run, save
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged, SaveImaged

from common.bundle.complete import complete, write_complete
from common.bundle.publish import publish
from common.engines import check_explicit_network
from common.engines.weights_record import write_record
from common.inference.volumes import VolumeScans

ROOT = Path(__file__).parents[3]
CT = ROOT / "bundles" / "ct_partial_overlap"
SPACING = (1.5, 2.0, 3.0)
FACTS = {"classes": CLASSES, "activation": "softmax", "image_size": [8, 8, 8], "spacing": None}


def segment(source: Path, out: Path, network: torch.nn.Module | None = None, **settings: object) -> None:
    """Run the workflow with a network that reads the class from the HU value."""
    parser = ConfigParser()
    parser.read_config(CT / "configs" / "inference.yaml")
    parser.update({**FACTS, "normalisation": NORMALISATION, "load_pretrain": False, "device": "cpu"})
    parser.update({"dataset_dir": str(source), "output_dir": str(out), **settings})
    evaluator = parser.get_parsed_content("evaluator")
    evaluator.network = Reader() if network is None else network
    evaluator.run()


@pytest.mark.parametrize(
    "axes",
    [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, -1.0]), OBLIQUE[:, [2, 0, 1]]],
    ids=["right, front, up", "left, back, up", "rows upwards, downwards", "oblique, other slices"],
)
def test_a_nifti_volume_gives_a_label_map_that_lies_on_it(tmp_path: Path, axes: np.ndarray):
    source = save(tmp_path / "in" / "deep" / "a.nii.gz", drawn(), affine(axes, SPACING))
    segment(tmp_path / "in", tmp_path / "out")
    image, found = nib.load(source), nib.load(tmp_path / "out" / "deep" / "a_seg.nii.gz")
    np.testing.assert_allclose(found.affine, image.affine, rtol=0, atol=1e-5)
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(found.dataobj), drawn())


def blob() -> np.ndarray:
    """One ellipsoid, for networks that see coarser voxels."""
    i, j, k = np.indices((40, 36, 24))
    return ((((i - 19.3) / 13) ** 2 + ((j - 17.2) / 11) ** 2 + ((k - 11.6) / 8) ** 2) <= 1).astype(np.uint8)


def test_a_coarser_network_gives_nearly_what_measuring_gives(tmp_path: Path):
    source = save(tmp_path / "in" / "a.nii.gz", blob(), affine(OBLIQUE, SPACING))
    segment(tmp_path / "in", tmp_path / "out", spacing=[2.5, 3.0, 3.0])
    run(source, tmp_path / "measured", spacing=[2.5, 3.0, 3.0])
    found, measured = (np.asarray(nib.load(tmp_path / one / "a_seg.nii.gz").dataobj) for one in ("out", "measured"))
    for one, other in ((found, blob()), (measured, blob()), (found, measured)):
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.99  # by nearest neighbours .965


class Watcher(Reader):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen = image
        return super().forward(image)


RANGE = {"min_pixdim": [1.0, 1.5, 2.5], "pixdim": [3.0, 4.0, 4.0], "max_pixdim": [4.0, 5.0, 5.0]}


@pytest.mark.parametrize(
    "spacing",
    [None, [1.5, 2.0, 3.0], [3.0, 4.0, 3.0], RANGE, {**RANGE, "min_pixdim": [2.0, 3.0, 2.5]}],
    ids=["any", "own", "other", "inside the range", "outside the range"],
)
@pytest.mark.parametrize("normalisation", [NORMALISATION, {"window": None, "mean": 20.0, "sd": 80.0}])
def test_the_network_sees_what_it_sees_when_a_volume_is_measured(
    tmp_path: Path, spacing: list[float] | dict[str, list[float]] | None, normalisation: dict[str, object]
):
    ramp = np.stack(np.meshgrid(*(np.arange(n) for n in (16, 12, 8)), indexing="ij")).sum(axis=0) * 12 - 150
    (tmp_path / "in").mkdir()
    nib.Nifti1Image(ramp.astype(np.int16), affine(np.diag([-1.0, -1.0, 1.0]), SPACING)).to_filename(
        tmp_path / "in" / "a.nii.gz"
    )
    network = Watcher()
    given = {"spacing": spacing, "normalisation": normalisation, "image_size": [32, 32, 32]}
    segment(tmp_path / "in", tmp_path / "out", network, **given)
    measured = VolumeScans([tmp_path / "in" / "a.nii.gz"], normalisation, spacing)[0]["image"]
    seen = torch.as_tensor(network.seen[0, 0])
    padding = [(32 - size) // 2 for size in measured.shape[2:]]
    cut = seen[tuple(slice(start, start + size) for start, size in zip(padding, measured.shape[2:], strict=True))]
    # MONAI's coarser grid begins at the centre of the first voxel, that of the training at its face: half a voxel
    # along x and y, at 12 HU a voxel
    coarser = spacing not in (None, [1.5, 2.0, 3.0], RANGE)
    assert (measured.shape[2:] != (16, 12, 8)) == coarser
    apart = 12 / NORMALISATION["sd"] if coarser else 0.0
    torch.testing.assert_close((cut - measured[0, 0]).abs(), torch.full_like(cut, apart), rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", [None, [-150, 120]])
def test_a_network_of_standardised_volumes_sees_them_so_whatever_their_scale(tmp_path: Path, window: list[int] | None):
    values = np.random.default_rng(0).integers(0, 200, (12, 10, 8)).astype(np.int16)
    expected = (values - values.mean()) / values.std()
    expected = expected if window is None else expected.clip(-1.5, 1.2)
    expected = torch.tensor((expected - 0.1) / 0.9).float()
    normalisation = {"window": window, "mean": 10.0, "sd": 90.0, "standardised": True}
    for scale in (1, 20):
        source = tmp_path / f"in{scale}" / "a.nii.gz"
        source.parent.mkdir()
        nib.Nifti1Image(values * scale, np.diag([2.0, 2.0, 2.0, 1.0])).to_filename(source)
        measured = VolumeScans([source], normalisation)[0]["image"][0, 0]
        torch.testing.assert_close(measured, expected, rtol=0, atol=0.006)  # rounded to hundredths
        network = Watcher()
        out, size = tmp_path / f"out{scale}", list(values.shape)
        segment(source.parent, out, network, spacing=None, normalisation=normalisation, image_size=size)
        torch.testing.assert_close(torch.as_tensor(network.seen[0, 0]), expected, rtol=0, atol=1e-5)


def test_other_formats_give_label_maps_in_their_place(tmp_path: Path):
    image = itk.image_from_array(np.ascontiguousarray(HU[drawn()].T))
    image.SetSpacing(SPACING)
    image.SetOrigin([-31.0, 17.5, 42.25])
    image.SetDirection(itk.matrix_from_array(OBLIQUE))
    (tmp_path / "in").mkdir()
    itk.imwrite(image, str(tmp_path / "in" / "a.nrrd"))
    segment(tmp_path / "in", tmp_path / "out", pattern="*.nrrd")
    found = itk.imread(str(tmp_path / "out" / "a_seg.nii.gz"))
    np.testing.assert_allclose(list(found.GetOrigin()), list(image.GetOrigin()), atol=1e-4)
    np.testing.assert_array_equal(itk.array_from_image(found).T, drawn())


def test_a_folder_of_slices_is_a_volume(tmp_path: Path):
    labels = drawn((10, 14, 12))
    folder = write_series(tmp_path / "in" / "ct", HU[labels])
    segment(tmp_path / "in", tmp_path / "out", pattern="ct")
    found = itk.imread(str(tmp_path / "out" / "ct_seg.nii.gz"))
    names = itk.GDCMSeriesFileNames.New(Directory=str(folder))
    image = itk.imread(list(names.GetInputFileNames()), itk.SS)
    np.testing.assert_allclose(list(found.GetOrigin()), list(image.GetOrigin()), atol=1e-4)
    np.testing.assert_array_equal(HU[itk.array_from_image(found)], itk.array_from_image(image))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((drawn() / 2).astype(np.float32), "its values are 0 to 1, the network was trained on -200 to 300"),
        (np.stack([HU[drawn()]] * 3, axis=-1), "its size is [14, 12, 10, 3]; expected one volume"),
        (HU[drawn()][:, :, 0], "its size is [14, 12]; expected one volume"),
    ],
    ids=["normalised", "three times", "picture"],
)
def test_what_measuring_refuses_is_refused(tmp_path: Path, values: np.ndarray, message: str):
    (tmp_path / "in").mkdir()
    nib.Nifti1Image(values, affine(np.eye(3), SPACING)).to_filename(tmp_path / "in" / "a.nii.gz")
    refused(tmp_path, "a.nii.gz", message)


def refused(folder: Path, name: str, message: str, pattern: str = "*.nii.gz") -> None:
    with pytest.raises(RuntimeError) as caught:
        segment(folder / "in", folder / "out", pattern=pattern)
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    assert isinstance(error, ValueError)
    assert name in str(error)
    assert message in str(error)


@pytest.mark.parametrize(
    ("unit", "codes", "scale", "message"),
    [
        ("meter", 1, 0.001, "MONAI reads"),
        ("mm", 0, 1.0, "does not say how its axes lie in the patient"),
    ],
    ids=["metres", "no orientation"],
)
def test_what_the_header_says_is_not_ignored(tmp_path: Path, unit: str, codes: int, scale: float, message: str):
    (tmp_path / "in").mkdir()
    image = nib.Nifti1Image(HU[drawn()], affine(np.eye(3), SPACING) @ np.diag([scale, scale, scale, 1]))
    image.set_qform(image.affine, codes)
    image.set_sform(image.affine, codes)
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "in" / "a.nii.gz")
    refused(tmp_path, "a.nii.gz", message)


def test_a_series_with_a_missing_slice_is_refused(tmp_path: Path):
    folder = write_series(tmp_path / "in" / "ct", HU[drawn((10, 14, 12))])
    place = {path: float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in folder.iterdir()}
    sorted(place, key=lambda path: place[path])[4].unlink()
    refused(tmp_path, "ct", "slices", pattern="ct")


RECORD = {
    "activation": "softmax",
    "classes": ["background", "mandible", "larynx"],
    "image_size": [16, 16, 16],
    "network": "unet",
    "normalisation": {"window": [-200, 300], "mean": 12.5, "sd": 90.25},
    "spacing": [4.0, 4.0, 2.5],
    "loss": "marginal_dice_ce",
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with random weights for other classes than those that it trains."""
    bundle = tmp_path_factory.mktemp("bundles") / "ct_partial_overlap"
    shutil.copytree(CT, bundle)
    parser = ConfigParser(
        {**yaml.safe_load((bundle / "configs" / "train.yaml").read_text()), "classes": RECORD["classes"]}
    )
    torch.manual_seed(0)
    network = parser.get_parsed_content("networks::unet")()
    path = bundle / "models" / "model.pt"
    torch.save(network.state_dict(), path)
    write_record(path, RECORD, path.read_bytes())
    write_complete(bundle)
    return bundle


def test_the_configuration_states_what_the_record_of_the_weights_says(shipped: Path):
    config = yaml.safe_load((shipped / "configs" / "inference.yaml").read_text())
    for fact in ("activation", "classes", "image_size", "normalisation", "spacing"):
        assert config[fact] == RECORD[fact]
    assert "trained" not in config
    assert (shipped / "configs" / "inference.yaml").read_text().startswith("# Generated by 'make bundles'")
    assert write_complete(shipped, check=True) == []
    without = yaml.safe_load(complete(CT)["inference.yaml"])
    if not (CT / "models" / "model.json").is_file():
        assert without["spacing"] == "$@trained['spacing']"
    metadata = json.loads((shipped / "configs" / "metadata.json").read_text())
    assert list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == RECORD["classes"]


@pytest.mark.parametrize(
    ("fact", "value"), [("spacing", [1.0, 1.0, 1.0]), ("normalisation", {"window": None, "mean": 0.0, "sd": 1.0})]
)
def test_what_contradicts_the_weights_is_refused(shipped: Path, fact: str, value: object):
    parser = ConfigParser()
    parser.read_config(shipped / "configs" / "inference.yaml")
    with pytest.raises(ValueError, match=rf"was trained with {fact} .*, not .*leave the setting out"):
        check_explicit_network(shipped / "models/model.pt", {fact: value}, parser.get_parsed_content("network_def"))


def loaded(published: Path) -> ConfigParser:
    """Read the published configuration alone, as MONAI Label and MONAI Deploy do; `scripts` is this package here."""
    text = (published / "configs" / "inference.json").read_text().replace("scripts.", "common.")
    return ConfigParser({**json.loads(text), "bundle_root": str(published)})


def test_monai_label_and_deploy_find_what_they_read(shipped: Path, tmp_path: Path):
    """Label: network_def, transforms without SaveImaged, inferer. Deploy: an array, neither LoadImage nor SaveImage."""
    publish(shipped, tmp_path / "published")
    source = save(tmp_path / "in" / "a.nii.gz", drawn(), affine(np.diag([-1.0, -1.0, 1.0]), (3.0, 3.0, 2.0)))
    parser = ConfigParser()
    parser.read_config(shipped / "configs" / "inference.yaml")
    parser.update({"bundle_root": str(shipped), "dataset_dir": str(source.parent), "output_dir": str(tmp_path / "out")})
    parser.get_parsed_content("evaluator").run()
    expected = np.asarray(nib.load(tmp_path / "out" / "a_seg.nii.gz").dataobj)
    assert len(np.unique(expected)) > 1, "there is something to compare"
    weights = torch.load(tmp_path / "published" / "models" / "model.pt", weights_only=True)
    for program in ("label", "deploy"):
        parser = loaded(tmp_path / "published")
        network = parser.get_parsed_content("network_def" if program == "label" else "network")
        network.load_state_dict(weights, strict=True)
        left_out = (SaveImaged,) if program == "label" else (LoadImaged, SaveImaged)
        steps = [parser.get_parsed_content(f"{name}processing") for name in ("pre", "post")]
        before, after = (Compose([one for one in step.transforms if not isinstance(one, left_out)]) for step in steps)
        image: object = str(source)
        if program == "deploy":
            stored = nib.load(source)
            voxels = torch.from_numpy(np.asarray(stored.dataobj).copy())
            image = MetaTensor(voxels, affine=stored.affine, meta={"original_channel_dim": "no_channel"})
            steps[0].transforms = before.transforms  # Invertd undoes what ran
        else:
            before.transforms[0]._loader.image_only = False
        data = (steps[0] if program == "deploy" else before)({"image": image})
        with torch.no_grad():
            data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
        np.testing.assert_array_equal(after(data)["pred"][0].numpy(), expected)


PROGRAM = """
import sys
import torch
from monai.bundle import ckpt_export, create_workflow, load, verify_net_in_out
root, out = sys.argv[1:]
files = {"meta_file": f"{root}/configs/metadata.json", "config_file": f"{root}/configs/inference.json"}
network = load("ct_partial_overlap", bundle_dir=f"{root}/..", workflow_type="inference")
print("loaded", type(network).__name__)
workflow = create_workflow("ConfigWorkflow", workflow_type="infer", bundle_root=root, logging_file=False, **files)
print("inferer", type(workflow.inferer).__name__)
print("missing", workflow.check_properties(), [name for name in workflow.properties if getattr(workflow, name) is None])
verify_net_in_out("network_def", device="cpu", p=1, n=2, any=16, bundle_root=root, **files)
ckpt_export("network_def", filepath=out, ckpt_file=f"{root}/models/model.pt", bundle_root=root, **files)
image = torch.rand(1, 1, 16, 16, 16)
with torch.no_grad():
    torch.testing.assert_close(torch.jit.load(out)(image), network.eval()(image))
print("exported")
"""


@pytest.mark.slow
def test_monais_own_commands_accept_the_published_bundle_from_another_folder(shipped: Path, tmp_path: Path):
    publish(shipped, tmp_path / "published" / "ct_partial_overlap")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "published" / "ct_partial_overlap"), str(tmp_path / "m.ts")]
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    for line in ("loaded UNet", "inferer SlidingWindowInferer", "missing [] []", "exported"):
        assert line in result.stdout.splitlines(), result.stdout
