"""A new bundle has every file, takes settings and nothing of the organ, and its README runs as it is written."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from common.bundle.complete import complete, write_complete
from common.bundle.new import new_bundle
from common.bundle.publish import publish

ROOT = Path(__file__).parents[2]
CLASSES = ["liver", "spleen", "kidney"]
SIZES = ["--image_size", "32", "--batch_size", "8", "--epochs", "2"]
# what the schema of the model zoo asks for
METADATA = {
    *(
        "authors",
        "changelog",
        "copyright",
        "data_type",
        "description",
        "image_classes",
        "intended_use",
        "monai_version",
    ),
    *("network_data_format", "numpy_version", "pytorch_version", "references", "required_packages_version", "schema"),
    *("task", "version"),
}


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def new(folder: Path, name: str = "abdomen", like: str = "echo_segmentation", classes: list[str] = CLASSES) -> Path:
    return new_bundle(name, like, classes, folder)


@pytest.mark.usefixtures("at_root")
def test_a_new_bundle_has_every_file_and_nothing_to_complete(tmp_path: Path):
    bundle = new(tmp_path)
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files == {
        *("LICENSE", "docs/README.md", "docs/data_license.txt", "models/.gitkeep"),
        *(f"configs/{name}" for name in ("bundle.yaml", "logging.conf", "metadata.json", *complete(bundle))),
    }
    assert write_complete(bundle, check=True) == []
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert set(metadata) >= METADATA
    assert metadata["version"] in metadata["changelog"]
    output = metadata["network_data_format"]["outputs"]["pred"]
    assert output["num_channels"] == 4
    assert output["channel_def"] == {"0": "background", "1": "liver", "2": "spleen", "3": "kidney"}
    assert metadata["eval_metrics"] == {}
    assert "TO WRITE" in metadata["authors"]
    assert len((bundle / "configs/bundle.yaml").read_text().splitlines()) < 10
    publish(bundle, tmp_path / "published")
    assert (tmp_path / "published/configs/train.json").is_file()


@pytest.mark.usefixtures("at_root")
def test_a_new_bundle_of_volumes_states_its_base_and_has_files_for_volumes(tmp_path: Path):
    bundle = new(tmp_path, "kidneys", "ct_partial_overlap", ["left_kidney", "spleen", "right_kidney"])
    stated = yaml.safe_load((bundle / "configs/bundle.yaml").read_text())
    assert stated == {
        "base": "volumes",
        "classes": ["background", "left_kidney", "spleen", "right_kidney"],
        "data": "data/kidneys",
        "exchanged": [["left_kidney", "right_kidney"]],
        "loss": "marginal_dice_ce",
    }
    assert write_complete(bundle, check=True) == []
    assert complete(bundle).keys() == complete(ROOT / "bundles/echo_segmentation").keys()
    measure = yaml.safe_load(complete(bundle)["measure.yaml"])
    assert measure["subject"]["_target_"] == "common.inference.volumes.Volumes"
    readme = (bundle / "docs/README.md").read_text()
    assert "datasets volumes SOURCE data/kidneys --description kidneys.yaml" in readme
    assert "measure.yaml" in readme
    publish(bundle, tmp_path / "published")
    assert (tmp_path / "published/configs/train.json").is_file()


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize("like", ["echo_segmentation", "echo_inter_domain", "sector_segmentation"])
def test_settings_are_those_of_the_other_bundle_but_not_its_organ(tmp_path: Path, like: str):
    bundle = new(tmp_path, like=like)
    own, other = (yaml.safe_load(complete(one)["train.yaml"]) for one in (bundle, ROOT / "bundles" / like))
    named = {
        "classes",
        "bundle_root",
        "experiment",
        "runs_dir",
        "data",
        "label_sets",
        "renamed",
        "withheld",
        "train_on",
        "loss",
    }
    assert {key: value for key, value in own.items() if key not in named} == {
        key: other[key] for key in own if key not in named
    }
    assert own["withheld"] == {}
    assert own["loss"] == "marginal_dice_ce"
    assert own["classes"] == ["background", *CLASSES]
    assert (own["data"], own["experiment"], own["runs_dir"]) == ("data/abdomen_phantom", "abdomen", "runs/abdomen")
    for path in bundle.rglob("*"):
        if path.is_file() and path.name != "LICENSE":
            words = re.findall(r"heart|cardi|ventric|atri|\blv_|ejection|\bEF\b|\bviews?\b", path.read_text())
            assert words == [], path


@pytest.mark.usefixtures("at_root")
def test_a_loss_and_a_network_of_the_other_bundle_come_along(tmp_path: Path):
    first = new(tmp_path, "first")
    path = first / "configs" / "bundle.yaml"
    extra = (
        "losses::mine: {_target_: mine.Focal}  # mine\nloss: mine\n"
        "networks::small:\n  _target_: UNet\n  spatial_dims: 2\nnetwork: small\n"
        "other_metrics::area: {_target_: mine.Area}\n"
    )
    path.write_text(re.sub("^loss: .*\n", "", path.read_text(), flags=re.MULTILINE) + extra)
    second = yaml.safe_load(complete(new(tmp_path, "second", like="first"))["train.yaml"])
    assert (second["loss"], second["losses"]["mine"]["_target_"]) == ("mine", "mine.Focal")
    assert (second["network"], second["networks"]["small"]) == (
        "small",
        {"_target_": "UNet", "spatial_dims": 2, "_mode_": "callable"},  # built only if chosen
    )
    assert "area" not in (tmp_path / "second/configs/bundle.yaml").read_text()


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize(
    ("classes", "renamed"),
    [
        (["lv_cavity", "lv_myocardium", "left_atrium"], None),
        (["lv_cavity"], {"lv_myocardium": "background", "left_atrium": "background"}),
    ],
)
def test_classes_of_the_heart_train_on_the_ordinary_phantom(tmp_path: Path, classes: list[str], renamed: dict | None):
    bundle = new(tmp_path, classes=classes)
    stated = yaml.safe_load((bundle / "configs/bundle.yaml").read_text())
    assert stated["data"] == "data/phantom"
    assert stated.get("renamed") == renamed
    assert "\npython -m common.datasets phantom data/phantom\n" in (bundle / "docs/README.md").read_text()


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "Abdomen"}, r"expected a name of lower-case words joined by underscores, got 'Abdomen'"),
        ({"name": "../abdomen"}, r"got '\.\./abdomen'"),
        (
            {"like": "echo_segmentaton"},
            r"--like echo_segmentaton: expected one of .* Did you mean 'echo_segmentation'\?",
        ),
        ({"classes": ["Liver"]}, r"expected class names of lower-case words joined by underscores, got \['Liver'\]"),
        ({"classes": ["liver", "background"]}, r"\['background'\] cannot name a class"),
        ({"classes": ["liver", "liver"]}, r"expected each class once, got \['liver'\]"),
    ],
)
def test_what_cannot_become_a_bundle_is_refused_before_anything_is_written(tmp_path: Path, given: dict, message: str):
    with pytest.raises(ValueError, match=message):
        new(tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize("like", ["echo_segmentation", "echo_inter_domain"])
def test_classes_of_the_heart_are_measured_as_the_heart(tmp_path: Path, like: str):
    own = complete(new(tmp_path, like=like, classes=["left_atrium", "lv_cavity"]))
    heart = complete(ROOT / "bundles/echo_segmentation")
    for workflow, keys in (
        ("measure.yaml", ["subject", "patient", "find_sector"]),
        ("inference.yaml", ["masking"]),
        ("evaluate.yaml", ["other_metrics"]),
    ):
        stated, expected = (yaml.safe_load(texts[workflow]) for texts in (own, heart))
        assert [stated[key] for key in keys] == [expected[key] for key in keys]
    organ = yaml.safe_load(complete(new(tmp_path, "organ", like=like))["measure.yaml"])
    assert organ["find_sector"] is False
    assert organ["subject"]["_target_"] == "common.inference.Areas"


def test_without_a_bundle_to_begin_from_the_message_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"--like echo_segmentation: expected a bundle in bundles/ or .*, found none; run this in"
    ):
        new(tmp_path)


@pytest.mark.usefixtures("at_root")
def test_an_existing_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "abdomen").mkdir()
    with pytest.raises(FileExistsError, match=r"abdomen exists; choose another name, or remove it"):
        new(tmp_path)
    assert list((tmp_path / "abdomen").iterdir()) == []


@pytest.fixture(scope="module")
def abdomen(folder: Path) -> Path:
    """Make a bundle outside `bundles` by the command."""
    words = [
        "common.bundle",
        "new",
        "abdomen",
        "--like",
        "echo_segmentation",
        "--folder",
        "mine",
        "--classes",
        *CLASSES,
    ]
    result = forked.run(words, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "mine/abdomen/docs/README.md" in result.stdout
    return folder / "mine" / "abdomen"


def commands(bundle: Path) -> Iterator[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (bundle / "docs/README.md").read_text(), re.MULTILINE | re.DOTALL)
    for line in "".join(blocks).splitlines():
        python, flag, *words = shlex.split(line)
        assert (python, flag) == ("python", "-m")
        yield words


def run_readme(folder: Path, bundle: Path, /, **small: list[str]) -> None:
    """Run the commands of a README for the given workflows or modules, each with words that make it small."""
    ran = set()
    for words in commands(bundle):
        name = next((Path(word).stem for word in words if word.endswith(".yaml")), words[0].rpartition(".")[2])
        if name in small and "describe" not in words:
            words = ["scans" if word == "FOLDER" else word for word in words]
            result = forked.run([*words, *small[name]], cwd=folder)
            assert result.returncode == 0, result.stdout + result.stderr
            ran.add(name)
    assert ran == set(small)


@pytest.mark.slow
def test_the_readme_of_a_new_bundle_draws_trains_and_evaluates(folder: Path, abdomen: Path):
    run_readme(folder, abdomen, datasets=["--size", "32"], train=SIZES, evaluate=SIZES[:2], bundle=[])
    run = folder / "runs/abdomen/first"
    weights = torch.load(run / "model.pt", weights_only=True)
    assert all(value.isfinite().all() for value in weights.values())
    (report,) = run.glob("evaluations/*/summary.json")
    summary = json.loads(report.read_text())
    assert {f"dice/site_{site}/{name}" for site in (1, 2, 3) for name in CLASSES} <= set(summary), (
        "the test fold has all"
    )
    history = json.loads((run / "history.json").read_text())
    assert "dice/site_1/liver" in history[-1]
    assert "dice/site_1/spleen" not in history[-1], "not annotated where it trains"


@pytest.mark.slow
def test_a_loss_of_ones_own_is_one_line(folder: Path, abdomen: Path):
    (folder / "mine.py").write_text(
        "from common.losses import MarginalLoss\n\n\n"
        "class Doubled(MarginalLoss):\n"
        "    def forward(self, input, target):\n"
        "        print('doubled')\n"
        "        return 2 * super().forward(input, target)\n"
    )
    bundle = folder / "mine" / "doubled"
    shutil.copytree(abdomen, bundle)
    with (bundle / "configs/bundle.yaml").open("a") as file:
        file.write("losses::doubled: {_target_: mine.Doubled}\n")
    assert forked.run(["common.bundle", "complete", str(bundle)], cwd=folder).returncode == 0
    run_readme(folder, abdomen, datasets=["--size", "32"])
    words = ["monai.bundle", "run", "--config_file", f"{bundle}/configs/train.yaml", "--bundle_root", str(bundle)]
    result = forked.run([*words, *SIZES, "--loss", "doubled", "--run_name", "doubled"], cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "doubled\n" in result.stdout
    assert (folder / "runs/doubled/doubled/model.pt").is_file()


@pytest.mark.slow
def test_measuring_with_the_weights_of_a_new_bundle(folder: Path, abdomen: Path):
    run_readme(folder, abdomen, datasets=["--size", "32"], train=SIZES)
    scans = folder / "scans"
    scans.mkdir()
    drawn = sorted((folder / "data/abdomen_phantom/images").iterdir())[:2]
    for path in drawn:
        shutil.copy(path, scans)
    run_readme(folder, abdomen, measure=SIZES[:2])
    written = sorted((folder / "results").rglob("*_seg.png"))
    assert [path.name for path in written] == [f"{path.stem}_seg.png" for path in drawn]
    for path in written:
        labels = np.array(Image.open(path))
        assert labels.shape == (32, 32)
        assert set(np.unique(labels)) <= {0, 1, 2, 3}
