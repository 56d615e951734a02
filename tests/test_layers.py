"""The house: imports point down, one name a thing, files stay short."""

import ast
import graphlib
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "common").rglob("*.py"))
EVERYTHING = sorted(path for folder in ("common", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py"))
# from the ground up: a room imports rooms listed before it, and itself; within `datasets` the same holds
ROOMS = [
    *(
        "atomic",
        "command",
        "own_code",
        "identity",
        "palette",
        "sides",
        "contours",
        "spelling",
        "strict_yaml",
        "wide_table",
        "configuration",
    ),  # ground
    *("label_set_map", "label_sets", "losses", "transforms", "networks", "metrics", "engines"),  # library
    "datasets",  # data
    *("tracking", "registration", "inference", "heart", "bundle", "experiments"),  # use
    "workflows",
]
DATA_ROOMS = ["views", "catalogue", "files", "sector", "prepared", "volumes", "readers", "phantom", "checks"]
DATA_ONLY = {"workflows"}
MOST_FILES = 15  # in a folder, beside __init__.py


def room_of(module: str) -> str:
    """Return the room that a dotted name lies in: common.losses.marginal -> losses."""
    return [*module.split("."), ""][1]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def is_package(module: str) -> bool:
    return module in MODULES and MODULES[module].name == "__init__.py"


def imports(tree: ast.AST) -> Iterator[str]:
    """Name every module that code imports, at the top or inside a function; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names = (f"{start}{'' if start.endswith('.') else '.'}{name.name}" for name in node.names)
            yield from names if node.level else [start]


def resolved(module: str, name: str) -> str:
    """Return the module of this project that a relative import leads to."""
    level = len(name) - len(name.lstrip("."))
    parts = module.split(".")
    base = parts[: len(parts) - level + is_package(module)]
    target = ".".join([*base, *name.lstrip(".").split(".")])
    return target if target in MODULES else target.rpartition(".")[0]


def misplaced(module: str, imported: str) -> bool:
    """Return whether an import leads up or sideways."""
    here, there = room_of(module), room_of(imported)
    if here == there == "datasets":
        inner, other = (".".join(name.split(".")[1:]) for name in (module, imported))
        ranks = [DATA_ROOMS.index(room) if (room := room_of(name)) in DATA_ROOMS else None for name in (inner, other)]
        if ranks[0] is None:  # `datasets` itself and its command line open all of them
            return False
        return ranks[1] is None or ranks[1] > ranks[0]
    if here == there:
        return False
    return not here or not there or ROOMS.index(there) > ROOMS.index(here)


def violations(module: str, code: str) -> list[str]:
    """Return the imports of this project that are absolute or lead up."""
    names = [name for name in imports(ast.parse(code)) if name.split(".")[0] in ("common", "")]
    return [name for name in names if not name.startswith(".") or misplaced(module, resolved(module, name))]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle, or nothing."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_there_is_something_to_look_at():
    assert len(SOURCES) > 30
    assert {"label_sets", "losses", "datasets", "engines", "bundle"} <= {room_of(name) for name in MODULES}


def test_every_room_has_its_place():
    rooms = {room_of(name) for name in MODULES} - {""}
    assert rooms == set(ROOMS)
    inner = {path.name for path in (ROOT / "common" / "datasets").iterdir() if (path / "__init__.py").is_file()}
    assert inner | {"views", "catalogue"} == set(DATA_ROOMS)
    for name in DATA_ONLY:
        assert {path.name for path in (ROOT / "common" / name).rglob("*.py")} <= {"__init__.py"}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_are_relative_and_point_down(path: Path):
    assert violations(module_of(path), path.read_text()) == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {resolved(module, name) for name in imports(ast.parse(path.read_text())) if name.startswith(".")}
        - {module}
        for module, path in MODULES.items()
    }
    assert sum(map(len, graph.values())) > 200
    assert circle(graph) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_no_file_names_the_package(path: Path):
    """Copied into a published bundle or installed under another name, `common` keeps its files as they are."""
    assert re.findall(r"\bcommon\.\w+", path.read_text()) == []


def test_no_folder_is_crowded():
    counts = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize(
    ("module", "code", "wrong"),
    [
        ("common.losses.marginal", "from ..metrics import annotated_dice", ["..metrics.annotated_dice"]),
        ("common.losses.marginal", "def f():\n    from ..engines import history", ["..engines.history"]),
        ("common.losses.marginal", "from .. import tracking", ["..tracking"]),
        ("common.losses.marginal", "from common.losses.dice import dice", ["common.losses.dice"]),
        ("common.losses.marginal", "import common.label_sets", ["common.label_sets"]),
        ("common.label_sets", "from .losses.dice import dice", [".losses.dice.dice"]),
        ("common.tracking.pictures", "from ..bundle import settings", ["..bundle.settings"]),
        ("common.inference.scan_dataset", "from ..heart.study import group", ["..heart.study.group"]),
        ("common.bundle.settings", "from ..workflows import nothing", ["..workflows.nothing"]),
        ("common", "from .label_sets import LabelSets", [".label_sets.LabelSets"]),
        ("common.datasets.files.scan", "from ..sector.finder import frame", ["..sector.finder.frame"]),
        ("common.datasets.files.scan", "from .. import read_datalist", ["..read_datalist"]),
        ("common.datasets", "from .checks.check import check", []),
        ("common.datasets.sector.framing", "from ..files.scan import Scan", []),
        ("common.losses.marginal", "from .dice import dice\nimport torch.common", []),
        ("common.metrics.dice", "from ..label_set_map import annotated", []),
        ("common.heart.heart", "from ..inference.table import Table", []),
        ("common.bundle.publish", "from ..command import PACKAGE", []),
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
        assert set(names) - {"__version__"} == imported - {"annotations"}, "a package offers what it imports"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_file_of_the_house_begins_by_saying_what_it_is(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text()))
