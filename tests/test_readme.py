"""Every command that a README or a guide shows is run, made small by the settings appended to it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
READMES = [ROOT / "README.md", *sorted(ROOT.glob("bundles/*/docs/README.md"))]
GUIDES = [path for path in sorted(ROOT.glob("docs/*.md")) if BLOCK.search(path.read_text())]
TINY = ["--image_size", "32", "--batch_size", "8"]


def commands(path: Path) -> list[str]:
    return [line.strip() for block in BLOCK.findall(path.read_text()) for line in block.splitlines() if line.strip()]


def small(command: str, echo_data: str | None) -> list[str] | None:
    """Return the words to run, None where real data are needed and absent."""
    words = shlex.split(command)
    if words[:2] == ["make", "demo"]:
        # the environment is this one: nothing is installed again
        environment = [f"BIN={Path(sys.executable).parent}", "-o", ".venv/installed"]
        return [*words, *environment, "EPOCHS=1", "PATIENTS=10", "SIZE=32"]
    if words[0] == "make":
        return ["make", "--dry-run", *words[1:]]
    assert words[:2] == ["python", "-m"], f"a README command that this test does not know: {command}"
    if {"CAMUS_public", "data/camus"} & set(words) and echo_data is None:
        return None
    if words[2] == "tests.layouts":
        return [*words, "--patients", "10"]
    if words[2] == "common.datasets":
        words = [f"{echo_data}/camus" if word == "CAMUS_public" else word for word in words]
        drawn = ["--patients", "10"] if words[3] in ("phantom", "screens") else []
        return [*words, *drawn, *([] if words[3] == "check" else ["--size", "32"])]
    if words[2] == "common.experiments":
        return [*words, "--scale", "smoke", *(["--workers", "1"] if words[3] == "run" else [])]
    assert words[2] == "monai.bundle", command
    words = ["scans" if word in ("FOLDER", "IMAGES") else word for word in words]
    if "register.yaml" in command:
        return [*words, "--pairs", "2"]
    if "inference.yaml" in command or "measure.yaml" in command:
        return words
    return [*words, *TINY, *(["--epochs", "1"] if "train.yaml" in command else [])]


@pytest.fixture(scope="module")
def project(folder: Path) -> Path:
    """A working directory with the prepared phantom, and a folder of the scans of one of its patients."""
    (folder / "scans").mkdir()
    scans = sorted((folder / "data/phantom/images").iterdir())[:2]
    for scan in scans:
        shutil.copy(scan, folder / "scans")
    return folder


@pytest.fixture(scope="module")
def done() -> set[str]:
    """Commands that have run: several pages show the same."""
    return set()


def test_the_readmes_show_commands():
    assert all(commands(readme) for readme in READMES)
    assert len(READMES) >= 2
    assert ROOT / "docs/datasets.md" in GUIDES


@pytest.mark.slow
@pytest.mark.parametrize("page", READMES + GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_page_runs(page: Path, project: Path, done: set[str]):
    for command in commands(page):
        words = small(command, os.environ.get("ECHO_DATA"))
        drawn = " phantom data/phantom --size" in command  # by the fixture
        if words is None or drawn or command in done:
            continue
        if words[0] == "make":
            result = subprocess.run(words, cwd=project, capture_output=True, text=True)
        else:
            imported = ["itk.ImageRegistrationMethodv4"] if "register.yaml" in command else []
            result = forked.run(words[2:], cwd=project, imported=imported)
        assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        done.add(command)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
