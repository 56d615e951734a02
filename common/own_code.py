"""Digests of code that is not installed: the user's modules, scripts and notebooks, and parts of this package."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib.machinery import PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from symtable import symtable
from types import ModuleType
from typing import Any

from .command import PACKAGE

__all__ = ["ADDRESS", "aliases", "code_digests", "components", "used_code"]

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in the memory of this process
WORD = re.compile(r"(?<![\w.@])[A-Za-z_]\w*")
PARTS = ("losses", "networks", "transforms")  # of this package, whose code changes the result of a training
INSTALLED = ("site-packages", "dist-packages")
NOT_OWN = [Path(path).resolve() for path in (Path(__file__).parent, sysconfig.get_path("stdlib"))]
UNDECIDED = {  # with one of these words, what code uses cannot be read from it
    *("*", "eval", "exec", "getattr", "setattr", "globals", "locals", "vars", "sys", "__import__", "import_module"),
    *("metaclass", "__init_subclass__", "__subclasses__", "__getattr__"),
}
_first: dict[Path, str] = {}  # digests of modules of the user when this process met them


def code_digests(found: Iterable[Any], bundle: Any) -> dict[str, str]:
    """Return the digests of the code of components and of all that it imports; comments and docstrings do not count.

    A module of the user counts as a whole. Of a script or a notebook, which changes for other reasons, what the
    components use counts. Of this package the folders `PARTS` count.

    Args:
        found: names and objects (`components`).
        bundle: a folder whose modules are found too.

    Returns:
        File of a module, name in a script (`__main__.Mine`), or `.losses` of this package -> 16 hexadecimal digits.

    Raises:
        ValueError: if a module was edited after this process imported it, or the code in a notebook cannot be read.
    """
    waiting, code = list(found), dict[str, str]()
    known, modules = set[str](), set[str]()
    while waiting:
        component = waiting.pop()
        if isinstance(component, str) and component.startswith("__main__."):
            waiting += components(getattr(sys.modules["__main__"], component.split(".")[1], None), {})
            continue
        of = None if isinstance(component, str) else getattr(component, "__module__", None)
        name = component if isinstance(component, str) else f"{of}.{component.__qualname__}"
        if name in known:
            continue
        known.add(name)
        if of == "__main__":
            digests, used = _in_script(component)
            code |= digests
            waiting += used
            continue
        package, part, *_ = [*name.split("."), ""]
        if package == PACKAGE and part in PARTS:
            code[f".{part}"] = _code_of_part(part)
        for module, file in _modules(name, [str(bundle)]):
            if module in modules:
                continue
            modules.add(module)
            waiting += _imported([_parsed(file.read_bytes())], _package(module, file))
            place = module.replace(".", "/") + ("/__init__.py" if file.name == "__init__.py" else ".py")
            code[place] = _as_loaded(module, file)
    return code


def used_code(name: str) -> dict[str, str]:
    """Return the digests of a component of the user and of all that it uses in the user's modules.

    Statements of these modules that may act on others (calls, conditions, decorated classes) count too. Where the use
    cannot be read from the code (`UNDECIDED`), the whole module counts.

    Args:
        name: of the component.

    Returns:
        Name of a class, function, constant or module -> 16 hexadecimal digits; empty for installed code.

    Example:
        >>> used_code("torch.nn.Conv2d")
        {}
    """
    if name.startswith("__main__."):
        return {one: digest for one, digest in code_digests([name], None).items() if not one.startswith(".")}
    waiting, code, known = [name], dict[str, str](), set[str]()
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        modules = list(_modules(name, []))
        for module, file in modules:
            _as_loaded(module, file)
            wanted = name.removeprefix(module).lstrip(".").partition(".")[0]
            digests, imported = _in_module(module, file, wanted, optional=module != modules[-1][0])
            code |= digests
            waiting += imported
    return code


def _in_module(module: str, file: Path, wanted: str, optional: bool) -> tuple[dict[str, str], list[str]]:
    """Return the digests of what a name in a module uses there, and the dotted names that this imports.

    Args:
        module: its name.
        file: of the module.
        wanted: the name; "": the whole module.
        optional: the name may be that of a module within this one.
    """
    tree, package = _parsed(file.read_bytes()), _package(module, file)
    parts = [(_bound(node), _acts(node), node) for node in _statements(tree)]
    bound = {name for names, _, _ in parts for name in names}
    if _words(tree) & UNDECIDED or (wanted not in bound and not optional):
        return {module: _code_digest(file)}, list(_imported([tree], package))
    taken = [node for _, acts, node in parts if acts]
    code = {module: _digest(*taken)} if taken else {}
    waiting = {wanted, *_globals(taken)} & bound
    while waiting:
        name = waiting.pop()
        nodes = [node for names, _, node in parts if name in names]
        code[f"{module}.{name}"] = _digest(*nodes)
        taken += nodes
        waiting |= {one for one in _globals(nodes) & bound if f"{module}.{one}" not in code}
    return code, list(_imported(taken, package))


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module that do something in use, imports one by one."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (ast.Import([alias]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)
        elif not (isinstance(node, ast.If) and "__name__" in _words(node.test)) and not _is_text(node):
            yield node


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds or changes; those in conditions and loops are not read."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    named = isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
    return {one.id for target in targets if target and named for one in ast.walk(target) if isinstance(one, ast.Name)}


def _acts(node: ast.stmt) -> bool:
    """Return whether a statement of a module may change what others of it define, such as a registry."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return bool(node.decorator_list)
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return any(isinstance(one, ast.Call | ast.NamedExpr) for one in ast.walk(node))
    return not isinstance(node, ast.Import | ast.ImportFrom)


def _words(node: ast.AST) -> set[str]:
    """Return the words of code that `UNDECIDED` may hold."""
    fields = ("id", "attr", "name", "arg")
    return {str(getattr(one, field)) for one in ast.walk(node) for field in fields if hasattr(one, field)}


def _globals(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that code looks up in its module."""
    names = set[str]()
    tables = [symtable(ast.unparse(node), "", "exec") for node in nodes]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        outside = table.get_type() in ("module", "class")  # `size = size` in a class reads the name of the module
        found = (one for one in table.get_symbols() if one.is_global() or (outside and one.is_referenced()))
        names |= {symbol.get_name() for symbol in found}
    return names


def _in_script(component: Any) -> tuple[dict[str, str], list[Any]]:
    """Return the digests of a class or function in a script or notebook and of the values that it uses there.

    The classes, functions and modules that it uses are returned too.
    """
    node, script = _source(component), vars(sys.modules["__main__"])
    outer = component.__qualname__.partition(".")[0]
    values = {name: script[name] for name in sorted({outer, *_globals([node])}) if name in script}
    code = {f"__main__.{component.__qualname__}": _digest(node)}
    for name, value in values.items():
        if not isinstance(value, ModuleType) and not hasattr(value, "__qualname__"):
            code[f"__main__.{name}"] = _digest(_state(value))
    return code, list(components(list(values.values()), {}))


def _state(value: Any) -> str:
    """Return the content of a value as text that the next process writes too."""
    if isinstance(value, set | frozenset):
        return str(sorted(map(repr, value)))
    if hasattr(value, "tolist"):  # numpy and torch shorten
        value = value.tolist()
    plain = repr(value) == object.__repr__(value) and hasattr(value, "__dict__")
    return ADDRESS.sub("", repr(vars(value) if plain else value))


@cache  # this process goes on with the code that it has loaded, even if the script is edited
def _source(component: Any) -> ast.AST:
    """Return the code of a class or function in a script or notebook.

    Raises:
        ValueError: if it cannot be read.
    """
    component = inspect.unwrap(component)
    places = [component]
    if isinstance(component, type) and not hasattr(sys.modules["__main__"], "__file__"):  # inspect needs the file
        places = [inspect.unwrap(one) for one in vars(component).values() if inspect.isfunction(one)]
    for place in places:
        with suppress(OSError, TypeError, SyntaxError):
            lines, number = inspect.findsource(place)
            for node in ast.walk(ast.parse("".join(lines))):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                    node.name == component.__name__
                    and min([node.lineno, *(one.lineno for one in node.decorator_list)]) <= number + 1
                    and number < (node.end_lineno or 0)
                ):
                    return node
    raise ValueError(
        f"the code of {component.__qualname__} cannot be read, so it cannot identify the training; put it into a file "
        "of its own, such as mine.py, and import it from there."
    )


def _as_loaded(module: str, file: Path) -> str:
    """Return the digest of a module of the user; refuse one that was edited after this process imported it."""
    found = _code_digest(file)
    if module in sys.modules and _first.setdefault(file, found) != found:
        raise ValueError(f"{file} changed after this process imported it; start a new process to use it.")
    _first[file] = found
    return found


def _code_digest(file: Path) -> str:
    """Return the digest of a Python file; of its bytes if it cannot be run, which it says itself."""
    content = file.read_bytes()
    tree = _parsed(content)
    return _digest(tree) if tree.body else _digest(content.decode(errors="replace").strip())


def _digest(*code: ast.AST | str) -> str:
    """Return 16 digits of a digest; comments, docstrings and layout of code do not count."""
    return hashlib.sha256(repr([_content(one) for one in code]).encode()).hexdigest()[:16]


def _content(node: Any) -> Any:
    """Return a node of code as nested lists that do not depend on the version of Python."""
    if isinstance(node, list):
        return [_content(one) for one in node if not _is_text(one)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind"]
    return [type(node).__name__, *([name, _content(value)] for name, value in fields)]


def _is_text(node: Any) -> bool:
    """Return whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache  # this process goes on with the code that it has loaded, even if a file is edited
def _code_of_part(part: str) -> str:
    """Return the digest of all Python files of a folder of this package."""
    folder = Path(__file__).parent / part
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    visible = {name: path for name, path in sorted(files.items()) if "/." not in f"/{name}"}
    return _digest(*(text for name, path in visible.items() for text in (name, _code_digest(path))))


def aliases(imports: Any) -> dict[str, str]:
    """Return what the imports of a configuration are called in its expressions.

    Example:
        >>> aliases(["$import torch", "$from mine.losses import Sum as Mine"])
        {'torch': 'torch', 'Mine': 'mine.losses.Sum'}
    """
    lines = [str(line).lstrip("$ ") for line in ([imports] if isinstance(imports, str) else imports or ())]
    found = dict[str, str]()
    for node in [node for line in lines for node in ast.walk(_parsed(line.encode()))]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            above = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            found |= {alias.asname or alias.name.partition(".")[0]: above + alias.name for alias in node.names}
    return found


def components(node: Any, imported: Mapping[str, str]) -> Iterator[Any]:
    """Yield the components of a configuration.

    Args:
        node: a part of the configuration.
        imported: what imports are called in its expressions (`aliases`).

    Yields:
        Dotted names of `_target_` and of what expressions use of the imports; classes and functions, also those of
        objects and of `functools.partial`.

    Example:
        >>> list(components({"_target_": "mine.Loss", "scale": "$half(2)"}, {"half": "own_helper.half"}))
        ['mine.Loss', 'own_helper.half']
    """
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        node = list(node.values())
    elif isinstance(node, partial):
        node = [node.func, node.args, node.keywords]
    elif inspect.ismethod(node):
        node = [node.__self__]
    if isinstance(node, list | tuple | set | frozenset):
        for value in node:
            yield from components(value, imported)
    elif isinstance(node, str):
        yield from (imported[word] for word in WORD.findall(node) if node.startswith("$") and word in imported)
    elif isinstance(node, ModuleType):
        yield node.__name__
    else:
        yield node if hasattr(node, "__qualname__") else type(node)


def _modules(name: str, places: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield the modules of the user along a dotted name, with their files; nothing is imported."""
    module = ""
    for number, part in enumerate(name.split(".")):
        module = f"{module}.{part}" if number else part
        try:
            spec = (None if number else find_spec(module)) or PathFinder.find_spec(module, places)
        except KeyError:  # a folder without __init__.py, in one that is not imported
            places = [str(Path(place) / part) for place in places]
            continue
        except (ImportError, ValueError):  # not the name of a module, or one without a file
            return
        file = Path(spec.origin or "").resolve() if spec else Path()
        if file.suffix == ".py" and file.is_file():
            if set(INSTALLED) & set(file.parts) or any(file.is_relative_to(place) for place in NOT_OWN):
                return
            yield module, file
        if spec is None or spec.submodule_search_locations is None:
            return
        places = list(spec.submodule_search_locations)


def _package(module: str, file: Path) -> str:
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def _imported(code: Iterable[ast.AST], package: str) -> Iterator[str]:
    """Yield the dotted names that code in a package imports."""
    for node in [node for part in code for node in ast.walk(part)]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            with suppress(ImportError):  # beyond the package
                above = resolve_name("." * node.level + (node.module or ""), package)
                yield from (f"{above}.{alias.name}" for alias in node.names)


def _parsed(code: bytes) -> ast.Module:
    """Return code as a tree; an empty one if it cannot be run, which it says itself."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
