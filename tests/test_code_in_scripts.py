"""The code of components in a script or a notebook identifies a training, as far as they use it."""

import linecache
import subprocess
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.engines import architecture_of
from common.identity import training_settings
from common.own_code import used_code

CELL = """import json
import cell_helper
SCALE = 1.0
WEIGHTS = [1, 2]
other = 5
def half(x):
    return x / 2
class Mine:
    \"""Of mine.\"""
    def forward(self, other):
        return half(other) * SCALE * len(WEIGHTS) + cell_helper.add
"""
Notebook = Callable[[str], types.ModuleType]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Return what runs a cell as a new process would: its code has a name and no file."""
    (tmp_path / "cell_helper.py").write_text("add = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def run(code: str) -> types.ModuleType:
        main = types.ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", main)
        name = f"<cell {hash(code)}>"
        monkeypatch.setitem(linecache.cache, name, (len(code), None, code.splitlines(keepends=True), name))
        exec(compile(code, name, "exec"), vars(main))
        return main

    return run


def codes(component: Any) -> dict[str, Any]:
    settings = training_settings({"loss": "mine", "losses": {"mine": component}, "train": "$@losses[@loss]"}, "c0ffee")
    return {name.removeprefix("code of "): code for name, code in settings.items() if name.startswith("code of ")}


def test_a_class_counts_with_what_it_uses(notebook: Notebook):
    found = codes({"_target_": notebook(CELL).Mine})
    assert found.keys() == {"cell_helper.py", *(f"__main__.{name}" for name in ("Mine", "half", "SCALE", "WEIGHTS"))}
    assert codes({"_target_": "__main__.Mine"}) == found
    assert used_code("__main__.Mine") == found
    assert architecture_of(sys.modules["__main__"].Mine)["_code_"] == found


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("x / 2", "x / 3", "__main__.half"),
        ("* SCALE", "+ SCALE", "__main__.Mine"),
        ("SCALE = 1.0", "SCALE = 2.0", "__main__.SCALE"),
        ("[1, 2]", "[2, 2]", "__main__.WEIGHTS"),
        ("other = 5", "other = 6", None),
        ("Of mine", "Of yours", None),
        ("    return x", "    # halved\n    return  x", None),
    ],
)
def test_another_code_in_a_notebook_is_another_training(notebook: Notebook, old: str, new: str, name: str | None):
    before = codes({"_target_": notebook(CELL).Mine})
    after = codes({"_target_": notebook(CELL.replace(old, new)).Mine})
    assert [one for one in before if before[one] != after[one]] == ([name] if name else [])


def test_objects_and_partials_lead_to_their_code(notebook: Notebook):
    main = notebook(CELL)
    assert codes(main.Mine()).keys() == codes({"_target_": partial(main.Mine, x=1)}).keys() == codes(main.Mine).keys()
    assert codes({"_target_": main.Mine().forward}).keys() == codes(main.Mine).keys()
    assert codes(partial(main.half)).keys() == {"__main__.half"}
    main.made = main.Mine()
    assert codes({"_target_": "__main__.made.forward"}).keys() == codes(main.Mine).keys()


def test_a_function_is_the_same_in_the_next_process(notebook: Notebook):
    first, second = (training_settings({"train": {"_target_": notebook(CELL).half}}, "c0ffee") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("code", ["class Mine: pass", "Mine = lambda x: x", "Mine = type('Mine', (), {})"])
def test_code_that_cannot_be_read_is_refused(notebook: Notebook, code: str):
    with pytest.raises(ValueError, match=r"^the code of .* cannot be read, .*; put it into a file of its own, such as"):
        codes({"_target_": notebook(code).Mine})


@pytest.mark.slow
def test_the_rest_of_a_script_does_not_count(tmp_path: Path):
    script = CELL.replace("import cell_helper\n", "").replace(" + cell_helper.add", "") + "class Empty(Mine): pass\n"
    script += "from common.own_code import code_digests\nprint(sorted(code_digests([Empty], None).items()))\n"
    found = []
    for number, text in enumerate((script, script + "epochs = 7\n", script.replace("x / 2", "x / 3"))):
        path = tmp_path / f"script{number}.py"
        path.write_text(text)
        command = [sys.executable, *([str(path)] if number else ["-m", path.stem])]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": f".:{tmp_path}"})
        found.append(run.stdout)
    assert found[0] == found[1] != found[2]
    assert "__main__.Empty" in found[0]
    assert "__main__.half" in found[0]
