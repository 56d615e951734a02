"""The house: imports point down, one name a thing, files stay short."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "common").rglob("*.py"))
EVERYTHING = sorted(path for folder in ("common", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py"))
# from the top: a part imports from the lines below its own, never from its own line
LAYERS = [
    {"experiments", "export"},
    {"published", "settings", "measurement"},
    {"engines", "tracking", "biomarkers", "metrics", "registration", "transforms", "datasets", "losses", "networks"},
    {"label_sets", "scanner"},
]
DATA_ONLY = {"workflows"}


def part_of(module: str) -> str:
    """Return the part of the house that a dotted name lies in: common.losses.marginal -> losses."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Name every module that code imports, at the top or inside a function; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "common":  # from common import losses
                yield from (f"common.{name.name}" for name in node.names)
            else:
                yield "." * node.level + (node.module or "")


def upward(module: str, imported: str) -> bool:
    """Tell whether an import leads up or sideways."""
    here, there = part_of(module), part_of(imported)
    if here == there:
        return False
    rank = {part: level for level, parts in enumerate(LAYERS) for part in parts}
    return not here or not there or rank[here] >= rank[there]


def violations(module: str, code: str) -> list[str]:
    names = [name for name in imports(ast.parse(code)) if name.split(".")[0] in ("common", "")]
    return [name for name in names if name.startswith(".") or upward(module, name)]


def test_there_is_something_to_look_at():
    assert len(SOURCES) > 30
    assert {"label_sets", "losses", "datasets", "engines", "settings"} <= {part_of(module_of(path)) for path in SOURCES}


def test_every_part_of_the_house_has_its_layer():
    parts = {part_of(module_of(path)) for path in SOURCES} - {""}
    assert parts - DATA_ONLY <= set().union(*LAYERS)
    for name in DATA_ONLY:
        assert {path.name for path in (ROOT / "common" / name).rglob("*.py")} <= {"__init__.py"}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_point_down_and_are_absolute(path: Path):
    assert violations(module_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "code", "wrong"),
    [
        ("common.losses.marginal", "from common.metrics import annotated_dice", ["common.metrics"]),
        ("common.losses.marginal", "def f():\n    import common.engines.history", ["common.engines.history"]),
        ("common.losses.marginal", "from common import tracking", ["common.tracking"]),
        ("common.losses.marginal", "from .dice import dice", [".dice"]),
        ("common.losses.marginal", "from . import dice", ["."]),
        ("common.label_sets", "from common.losses.dice import dice", ["common.losses.dice"]),
        ("common.tracking.pictures", "import common.settings", ["common.settings"]),
        ("common.settings", "from common.export import complete", ["common.export"]),
        ("common", "from common.label_sets import LabelSets", ["common.label_sets"]),
        ("common.losses.marginal", "from common.losses.dice import dice\nimport torch.common", []),
        ("common.metrics.dice", "from common.label_sets import annotated", []),
        ("common.export", "from common.published import publish\nimport common.losses", []),
    ],
)
def test_this_test_sees_what_it_should(module: str, code: str, wrong: list[str]):
    assert violations(module, code) == wrong


def test_nothing_in_the_house_imports_tests_or_benchmarks():
    for path in SOURCES:
        roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))}
        assert not roots & {"tests", "benchmarks", "tiny_training"}, path


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long_to_read(path: Path):
    assert len(path.read_text().splitlines()) <= 400


def test_most_files_are_short():
    lengths = [len(path.read_text().splitlines()) for path in SOURCES if path.name != "__init__.py"]
    assert statistics.median(lengths) <= 120


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "helpers", "helper", "base", "core", "misc", "tools", "common_utils"}
    names = {part for path in EVERYTHING for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & drawers == set()


def public_names(tree: ast.Module) -> set[str]:
    """Name what a module defines for others at its top level: classes and functions without an underscore."""
    definitions = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, definitions) and not node.name.startswith("_")}


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


def bound(tree: ast.Module) -> set[str]:
    """Every name that a module binds at its top level."""
    names = public_names(tree)
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {name.asname or name.name for name in node.names}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_public_module_says_what_it_offers(path: Path):
    tree = ast.parse(path.read_text())
    names = exported(tree)
    if names is None:
        assert len(tree.body) == 1, "a module without __all__ holds a docstring and nothing else"
        return
    assert len(names) == len(set(names))
    assert set(names) <= bound(tree)
    if path.name == "__init__.py":
        imported = {name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names}
        assert set(names) == imported - {"annotations"}, "a package offers what it imports"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_file_of_the_house_begins_by_saying_what_it_is(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text()))
