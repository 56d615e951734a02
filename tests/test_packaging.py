"""What `pip install .` installs: the files of `common` as `partial_labels`, and what they need."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import common

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMES = {"PIL": "pillow", "ignite": "pytorch-ignite", "yaml": "pyyaml"}  # imported name: package
LIBRARY = ("label_sets", "losses", "transforms", "networks", "metrics", "engines")


def requirements(*extras: str) -> list[Requirement]:
    """Return what the package needs, with extras, which may name each other."""
    found = [Requirement(line) for line in PROJECT["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            own = requirement.name == PROJECT["name"]
            found += requirements(*requirement.extras) if own else [requirement]
    return found


def names(*extras: str) -> set[str]:
    return {requirement.name.lower() for requirement in requirements(*extras)}


def imported(*rooms: str) -> set[str]:
    """Name the packages that rooms of `common` import; all rooms if none is given."""
    found: set[str] = set()
    for path in (ROOT / "common").rglob("*.py"):
        if rooms and path.relative_to(ROOT / "common").parts[0].removesuffix(".py") not in rooms:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.split(".")[0])
    return {NAMES.get(name, name) for name in found - set(sys.stdlib_module_names)}


def test_every_import_is_among_the_requirements():
    assert len(imported()) > 15
    assert imported() - names("all") == set()
    assert imported(*LIBRARY) - names() == set(), "the library needs no extra"
    assert imported("losses") == imported("label_sets") == {"torch"}
    assert imported("datasets", "contours") - names("data") == set()
    assert imported("tracking") - names("tracking") == set()
    assert imported("datasets", "tracking", "bundle", "configuration") - names("bundle") == set()
    assert imported("inference", "heart", "registration") - names("inference") == set()
    assert imported("experiments") - names("experiments") == set()


def test_the_pinned_versions_are_within_the_ranges():
    pins = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    pinned = {name.lower(): version for name, version in pins.items()}
    assert set(pinned) == names("all")
    outside = [str(each) for each in requirements("all") if pinned[each.name.lower()] not in each.specifier]
    assert outside == []


def test_the_version_is_stated_once():
    assert re.fullmatch(r"\d+\.\d+\.\d+", common.__version__)
    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == common.__version__
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    assert common.__doc__ == f"{PROJECT['description']}."


def test_losses_and_label_sets_import_torch_alone():
    others = sorted(names("all") - {"torch", "numpy", "jinja2", "filelock"})  # torch itself may use these
    code = f"""
import sys
for name in {[*others, "PIL", "ignite", "yaml"]}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
import torch
loaded = set(sys.modules)
import common.label_sets, common.losses
more = {{name.split(".")[0] for name in set(sys.modules) - loaded}} - set(sys.stdlib_module_names)
assert more <= {{"torch", "common"}}, more
target = torch.tensor([[[5], [2]]])
print(common.losses.MarginalLoss()(torch.zeros(1, 3, 1), target).item())
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == pytest.approx(0.405465, abs=1e-6)


@pytest.mark.slow
def test_the_wheel_holds_the_files_of_the_package_and_nothing_else(tmp_path: Path):
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    information = f"partial_labels-{common.__version__}.dist-info"
    assert wheel.name == f"partial_labels-{common.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.startswith(information)}
        metadata = archive.read(f"{information}/METADATA").decode()
        assert f"{information}/licenses/LICENSE" in archive.namelist()
    tracked = subprocess.run(["git", "ls-files", "common"], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = {re.sub("^common/", "partial_labels/", name) for name in tracked.stdout.splitlines()}
    assert held >= expected
    assert {name.rpartition(".")[2] for name in held} == {"py", "yaml", "html", "md"}, "no weights"
    assert "partial_labels/workflows/train.yaml" in held
    assert f"\nVersion: {common.__version__}\n" in metadata
    assert "\nRequires-Python: <3.14,>=3.11\n" in metadata
    assert "\nRequires-Dist: torch>=2.6\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
