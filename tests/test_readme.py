"""Every command that a README shows is run, made small by the settings appended to it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "docs/datasets.md", *sorted(ROOT.glob("bundles/*/docs/README.md"))]
TINY = ["--image_size", "32", "--batch_size", "8"]


def commands(readme: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", readme.read_text(), re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


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
    words[0] = sys.executable
    if {"CAMUS_public", "data/camus"} & set(words) and echo_data is None:
        return None
    if words[2] == "common.datasets":
        words = [f"{echo_data}/camus" if word == "CAMUS_public" else word for word in words]
        drawn = ["--patients", "10"] if words[3] in ("phantom", "phantom-layout", "screens") else []
        return [*words, *drawn, *([] if words[3] in ("phantom-layout", "check") else ["--size", "32"])]
    if words[2] == "common.experiments":
        return [*words, "--scale", "smoke"]
    assert words[2] == "monai.bundle", command
    words = ["data/phantom/images" if word == "FOLDER" else word for word in words]
    if "register.yaml" in command:
        return [*words, "--pairs", "2"]
    if "inference.yaml" in command:
        return [*words, "--image_size", "32"]
    return [*words, *TINY, *(["--epochs", "1"] if "train.yaml" in command else [])]


def test_the_readmes_show_commands():
    assert all(commands(readme) for readme in READMES)
    assert len(READMES) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_readme_runs(readme: Path, folder: Path):
    echo_data = os.environ.get("ECHO_DATA")
    for command in commands(readme):
        words = small(command, echo_data)
        drawn = " phantom data/phantom" in command  # by the fixture
        if words is not None and not drawn:
            result = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
