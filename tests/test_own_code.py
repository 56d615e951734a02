"""The code of one's own components and of those of this package identifies a training; that of libraries does not."""

import shutil
import sys
import types
from collections.abc import Iterator
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from common import own_code
from common.identity import changes, training_settings


def settings(component: Any, **others: Any) -> dict[str, Any]:
    losses = {"mine": component, "other": {"_target_": "own_losses.Other"}}
    return training_settings({"loss": "mine", "losses": losses, "train": "$@losses[@loss]", **others}, "c0ffee")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module, a package, and a helper that the module imports."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_losses.py").write_text("from own_helper import half\nclass Mine: pass\n")
    (tmp_path / "own_helper.py").write_text("def half(x): return x / 2\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "own_package" / "mine.py").write_text("from . import more\n")
    (tmp_path / "own_package" / "more.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("component", "others", "files"),
    [
        ({"_target_": "own_losses.Mine"}, {}, ["own_losses.py", "own_helper.py"]),
        ({"_target_": "common.losses.SumLoss", "losses": [{"_target_": "own_losses.Mine"}]}, {}, ["own_losses.py"]),
        ("$mine.Mine()", {"imports": ["$import torch", "$import own_losses as mine"]}, ["own_losses.py"]),
        ({"_target_": "$Mine"}, {"imports": "$from own_losses import Mine"}, ["own_helper.py"]),
        ({"_target_": "own_package.mine.Mine.of"}, {}, [f"own_package/{name}.py" for name in ("mine", "more")]),
    ],
)  # fmt: skip
def test_another_code_of_a_component_is_another_training(
    own: Path, component: Any, others: dict[str, Any], files: list[str]
):
    before = settings(component, **others)
    for name in files:
        right = (own / name).read_text()
        (own / name).write_text(f"{right}changed = 1\n")
        assert changes(before, settings(component, **others)).startswith(f"code of {name}: '")
        (own / name).write_text(right)
    assert changes(before, settings(component, **others)) == ""
    assert "own_package" not in sys.modules


@pytest.mark.usefixtures("own")
def test_both_networks_of_a_co_training_count_and_no_others():
    networks = {name: {"_target_": "own_losses.Mine", "width": 8} for name in ("first", "second", "other")}
    config = {"network": "first", "partner": "second", "networks": networks}
    config["train"] = "$@networks[@network], @networks[@partner]"

    def wider(name: str) -> dict[str, Any]:
        return training_settings({**config, "networks": {**networks, name: {**networks[name], "width": 9}}}, "c0ffee")

    before = training_settings(config, "c0ffee")
    for name in ("first", "second"):
        assert changes(before, wider(name)) == f"networks::{name}::width: 8 then, 9 now"
    assert changes(before, wider("other")) == ""
    config["partner"] = "$'sec' + 'ond'"
    assert changes(training_settings(config, "c0ffee"), wider("other")) == "networks::other::width: 8 then, 9 now"
    alone = training_settings({**config, "partner": "@network"}, "c0ffee")
    assert [name for name in alone if name.startswith("networks")] == [
        f"networks::first::{n}" for n in ("_target_", "width")
    ]


def test_comments_and_line_endings_are_no_other_code(own: Path):
    before = settings({"_target_": "own_losses.Mine"})
    path = own / "own_losses.py"
    right = path.read_text()
    path.write_bytes(f"# of mine\n\n{right}\n# the end\n".replace("\n", "\r\n").encode())
    assert changes(before, settings({"_target_": "own_losses.Mine"})) == ""
    path.write_text(right.replace("pass", "pass; x = 1"))
    assert changes(before, settings({"_target_": "own_losses.Mine"}))


BLOCK = "def half(x):\n    if x:\n        x = x / 2\n        x = x + 1\n    return x\n"


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        (BLOCK.replace("        x = x + 1", "    x = x + 1"), False),
        (BLOCK.replace("    return x", "        return x"), False),
        (BLOCK.replace("    return x", "return x"), False),
        (BLOCK.replace("    ", "  "), True),
        (BLOCK.replace("    ", "\t"), True),
        (BLOCK.replace("        x = x + 1\n", "\n# by two\n        x = x + 1  # more\n  # end\n"), True),
        (BLOCK.rstrip("\n"), True),
    ],
)
def test_the_block_of_a_line_is_code_and_its_width_is_not(own: Path, edited: str, same: bool):
    (own / "own_helper.py").write_text(BLOCK)
    before = settings({"_target_": "own_losses.Mine"})
    (own / "own_helper.py").write_text(edited)
    assert (changes(before, settings({"_target_": "own_losses.Mine"})) == "") == same


def test_code_that_is_edited_after_this_process_imported_it_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch):
    settings({"_target_": "own_losses.Mine"})
    module = types.ModuleType("own_losses")
    monkeypatch.setitem(sys.modules, "own_losses", module)
    module.__spec__ = spec_from_file_location("own_losses", own / "own_losses.py")
    settings({"_target_": "own_losses.Mine"})
    (own / "own_losses.py").write_text("class Mine: other = 1\n")
    with pytest.raises(ValueError, match=r"own_losses\.py changed after this process imported it; start a new process"):
        settings({"_target_": "own_losses.Mine"})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package whose code is identified."""
    home = Path(own_code.__file__).parent
    for part in own_code.PARTS:
        shutil.copytree(home / part, tmp_path / "copy" / part)
    monkeypatch.setattr(own_code, "__file__", str(tmp_path / "copy" / "own_code.py"))
    own_code._code_of_part.cache_clear()
    yield tmp_path / "copy"
    own_code._code_of_part.cache_clear()


@pytest.mark.parametrize("name", ["losses/marginal.py", "losses/new.py", "transforms/pseudo_labels/cut.py"])
def test_another_code_of_this_package_is_another_training(package: Path, name: str):
    part = name.partition("/")[0]
    component = {"_target_": f"common.{part}.MarginalLoss"}
    before = settings(component)
    assert [one for one in before if one.startswith("code")] == [f"code of .{part}"], "as in a published copy"
    file = package / name
    file.write_text(f"{file.read_text() if file.exists() else ''}changed = 1\n")
    assert changes(before, settings(component)) == "", "this process goes on with the code that it has loaded"
    own_code._code_of_part.cache_clear()
    assert changes(before, settings(component)).startswith(f"code of common.{part}: '")


def test_what_is_not_code_of_this_package_changes_nothing(package: Path):
    before = settings({"_target_": "common.losses.MarginalLoss"})
    for name in ("networks/deepmedic.py", "losses/.ipynb_checkpoints/marginal.py", "losses/notes.txt"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("changed = 1\n")
    own_code._code_of_part.cache_clear()
    assert changes(before, settings({"_target_": "common.losses.MarginalLoss"})) == ""


def test_code_of_this_package_that_own_code_imports_counts(own: Path):
    (own / "own_helper.py").write_text("from common.losses import MarginalLoss\n")
    named = settings({"_target_": "own_losses.Mine"})
    assert {"code of own_losses.py", "code of own_helper.py", "code of .losses"} <= set(named)


def test_folders_without_init_and_imports_beyond_the_package_are_no_fault(own: Path):
    (own / "own_space" / "deep").mkdir(parents=True)
    (own / "own_space" / "deep" / "mine.py").write_text("from ....beyond import more\n")
    assert "code of own_space/deep/mine.py" in settings({"_target_": "own_space.deep.mine.Mine"}, imports=[None])


def test_code_in_the_folder_of_the_bundle_is_found(tmp_path: Path):
    (tmp_path / "bundle_losses.py").write_text("")
    component = {"_target_": "bundle_losses.Mine"}
    assert "code of bundle_losses.py" in settings(component, bundle_root=str(tmp_path))
    assert "code of bundle_losses.py" not in settings(component)


@pytest.mark.parametrize(
    "target",
    [
        "common.engines.History",
        "common.lossesx.A",
        "torch.nn.L1Loss",
        "json.loads",
        "UNet",
        "$@x",
        "missing.Mine",
        "__main__.Mine",
        "",
    ],
)
def test_installed_code_and_that_of_other_parts_of_this_package_is_not_named(target: str):
    assert not [name for name in settings({"_target_": target}, imports=["$import torch"]) if name.startswith("code")]


def test_the_script_of_a_component_counts(own: Path, monkeypatch: pytest.MonkeyPatch):
    script = own / "nb.py"
    script.write_text("from own_helper import half\nclass Mine: pass\n")
    main = types.ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile(script.read_text(), script, "exec"), vars(main))
    before = settings({"_target_": main.Mine})
    assert {"code of __main__.py", "code of own_helper.py"} <= before.keys()
    monkeypatch.setattr(own_code, "_first", {})  # as in the next process
    script.write_text(script.read_text().replace("pass", "x = 1"))
    assert changes(before, settings({"_target_": main.Mine})).startswith("code of __main__.py: '")
