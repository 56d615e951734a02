"""The pages are followed as a reader would: files that they list are written, and every command runs, made small."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import numpy as np
import own_folder
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(sh|python|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# the first line of a listing: the file that it is, or where it is added
NAMED = re.compile(r"# (?P<file>[\w/.-]+\.(?:py|yaml))(?:, (?P<end>at the end)|, in (?P<block>\w+))?\n")
READMES = [ROOT / "README.md", *sorted(ROOT.glob("bundles/*/docs/README.md"))]
GUIDES = [path for path in sorted(ROOT.glob("docs/*.md")) if "```sh\n" in path.read_text()]
TINY = ["--image_size", "32", "--batch_size", "8"]
INSTALLED = "test_packaging.py installs the wheel"


def steps(page: Path) -> list[tuple[str, str]]:
    """Return the commands and listings of a page in its order: ("sh", a command) or (file and place, text)."""
    found = []
    for kind, text in FENCE.findall(page.read_text()):
        if kind == "sh":
            found += [("sh", line.partition(" #")[0].strip()) for line in text.splitlines() if line.strip()]
        elif named := NAMED.match(text):
            found.append((named.group(), text))
    return found


def follow(listing: str, text: str, project: Path) -> None:
    """Write a listing as its first line says."""
    named = NAMED.match(listing)
    assert named is not None
    path = project / named["file"]
    if named["end"]:
        path.write_text(path.read_text() + "\n" + text.removeprefix(listing))
    elif named["block"]:
        before, start, after = path.read_text().partition(f"\n{named['block']} = {{\n")
        assert start, f"{path} has no {named['block']}"
        path.write_text(before + start + text.removeprefix(listing) + after)
    else:
        path.write_text(text)


def small(command: str, echo_data: str | None) -> list[str] | None:
    """Return the words to run, None where something else runs the command."""
    words = shlex.split(command)
    if words[0] == "make":
        return ["make", "--dry-run", *words[1:]]
    if words[:2] == ["pip", "install"]:
        assert (ROOT / "tests" / INSTALLED.split()[0]).is_file()
        return None
    assert words[:2] == ["python", "-m"], f"a README command that this test does not know: {command}"
    words = {
        "torch.distributed.run": [],  # with its listing, in test_losses_in_your_code.py
        "pytest": [*words, "--collect-only"],
        "tests.layouts": [*words, "--patients", "10"],
        "common.bundle": words,
        "common.datasets": prepared(words, echo_data),
        "common.experiments": [*words, "--scale", "smoke", *(["--workers", "1"] if words[3] == "run" else [])],
        "monai.bundle": [*words, *smaller(command)],
    }[words[2]]
    given = {"FOLDER": "scans", "IMAGES": "scans", "MY_FOLDER": "clinic", "RINGS": "rings"}
    return [given.get(word, word) for word in words] or None


def prepared(words: list[str], echo_data: str | None) -> list[str]:
    """Prepare few, small images; without CAMUS, the phantom in its place."""
    if "CAMUS_public" in words and echo_data is None:
        words = [*words[:3], "phantom", words[-1]]
    words = [f"{echo_data}/camus" if word == "CAMUS_public" else word for word in words]
    drawn = ["--patients", "10"] if words[3] in ("phantom", "screens", "organs", "pelvis", "atria") else []
    if words[3] == "pelvis":
        return [*words, *drawn, "--spacing", "12"]
    pictures = words[3] not in ("atria", "check", "export-nnunet", "left-atrium", "nnunet", "open-kbp", "volumes")
    return [*words, *drawn, *(["--size", "32"] if pictures else [])]


def smaller(command: str) -> list[str]:
    """Return settings that make a workflow small."""
    if "register.yaml" in command:
        return ["--pairs", "2"]
    volumes = "ct_partial_overlap" in command or "mri_left_atrium" in command
    if "inference.yaml" in command or "measure.yaml" in command:
        own = "--checkpoint" in command and not volumes
        return TINY[:2] if own else []  # the shipped weights have their own size
    if volumes and "train.yaml" in command:
        together = "--cotrain true" in command or ("mri_left_atrium" in command and "--cotrain" not in command)
        shift = ["--shift_multiple", "4"] if together else []
        return ["--image_size", "[16,16,16]", *shift, "--patches", "4", "--epochs", "1"]
    if volumes:
        return []
    if "train.yaml" in command:
        return [*TINY, "--epochs", "1"]
    return [*TINY[:2], *(["--fold", "validation"] if "data/camus" in command else [])]  # test patients may be held back


@pytest.fixture(scope="module")
def project(folder: Path) -> Path:
    """A working copy with the prepared phantom, scans of one of its patients, and folders of images and masks."""
    for name in ("common", "bundles"):  # the guides add to them
        (folder / name).unlink()
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "docs").symlink_to(ROOT / "docs")
    (folder / "scans").mkdir()
    for scan in sorted((folder / "data/phantom/images").iterdir())[:2]:
        shutil.copy(scan, folder / "scans")
    own_folder.write_clinic(folder / "clinic")
    for name, pixels in (("images", own_folder.scan()), ("masks", own_folder.mask(0, 1, 255))):
        (folder / "rings" / name).mkdir(parents=True)
        for patient in range(4):
            Image.fromarray(np.asarray(pixels + (name == "images") * patient, np.uint8)).save(
                folder / "rings" / name / f"{patient}.png"
            )
    return folder


@pytest.fixture(scope="module")
def done() -> set[str]:
    """Commands that have run: several pages show the same."""
    return set()


def test_the_pages_show_commands_and_listings():
    assert all(step > ("sh", "") for readme in READMES for step in steps(readme)[:1])
    assert len(READMES) >= 2
    assert ROOT / "docs/datasets.md" in GUIDES
    assert len([step for step in steps(ROOT / "docs/extending.md") if step[0] != "sh"]) == 5


def marked(page: Path) -> object:
    """Leave two of the grids that state a difference from another bundle's to `check-robust`."""
    rare = page.parents[1].name in ("echo_domain_shift", "echo_intra_domain")
    marks = pytest.mark.robust if rare else pytest.mark.slow
    return pytest.param(page, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", [marked(page) for page in READMES + GUIDES])
def test_every_command_of_a_page_runs(page: Path, project: Path, done: set[str]):
    preloaded = True  # commands start from a process that has imported `common`, until a listing adds to it
    for kind, text in steps(page):
        if kind != "sh":
            follow(kind, text, project)
            preloaded &= not kind.startswith("# common/")
            continue
        words = small(text, os.environ.get("ECHO_DATA"))
        drawn = " phantom data/phantom --size" in text  # by the fixture
        again = text in done and "common.bundle complete" not in text
        if words is None or drawn or again:
            continue
        if words[0] == "make" or not preloaded:
            words = [sys.executable if word == "python" else word for word in words]
            result = subprocess.run(words, cwd=project, capture_output=True, text=True)
        else:
            imported = ["itk.ImageRegistrationMethodv4"] if "register.yaml" in text else []
            result = forked.run(words[2:], cwd=project, imported=imported)
        assert result.returncode == 0, f"{text}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        done.add(text)


def test_make_demo_runs_the_commands_of_the_readme():
    words = ["make", "--dry-run", "demo", "BIN=BIN", "-o", ".venv/installed"]
    printed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    made = [
        line.removeprefix("BIN/").replace(" --bundle_root bundles/echo_segmentation", "")
        for line in printed.split("\n")
    ]
    shown = [text for kind, text in steps(ROOT / "README.md") if kind == "sh" and "demo" in text and "make" not in text]
    assert [line for line in made if line.startswith("python")] == shown[:3]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_python_listing_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (listing,) = (text for kind, text in FENCE.findall((ROOT / "README.md").read_text()) if kind == "python")
    (tmp_path / "partial_labels").symlink_to(ROOT / "common")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = subprocess.run([sys.executable, "-c", listing + "print(loss.item())"], capture_output=True, text=True)
    # 0 is background or spleen: log(3/2); 1 is liver, twice: log 3; 255 is ignored: 0
    assert float(result.stdout) == pytest.approx((np.log(1.5) + 2 * np.log(3)) / 4, abs=1e-4), result.stderr


@pytest.mark.parametrize("page", ["README.md", "bundles/echo_segmentation/docs/README.md"])
def test_the_numbers_of_the_weights_have_one_source(page: str):
    """`eval_metrics` of the metadata; pages round them to as many digits."""
    metadata = json.loads((ROOT / "bundles/echo_segmentation/configs/metadata.json").read_text())
    text = (ROOT / page).read_text()
    for name, value in metadata["eval_metrics"].items():
        shown = f"{value:.1f}" if name.endswith("ef_error") else f"{value:.3f}".lstrip("0")
        assert shown in text, name
