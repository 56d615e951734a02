"""Settings that are expressions: they are compared as text, so their value must be the same at each start."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..identity import SPEED, WITHOUT_EFFECT

__all__ = ["check_steady"]

READS = frozenset(  # names of what differs from one start to the next
    (
        *("environ", "environb", "getenv", "argv", "input", "open", "read_text", "read_bytes"),
        *("sched_getaffinity", "cpu_count", "device_count", "popen", "check_output"),
        *("time", "time_ns", "datetime", "today", "uuid", "uuid1", "uuid4", "getpid", "gethostname"),
        *("random", "rand", "randn", "randint", "randperm", "initial_seed", "default_rng", "secrets", "urandom"),
        "default_generator",
    )
)
SEEDED = ("default_rng", "RandomState", "Random")  # whose draws their argument decides
PLACES = ("checkpoint", "input", "output", "out", "dataset_dir")  # what they lead to is compared
FREE = (*WITHOUT_EFFECT, *SPEED, *PLACES)
REFERENCE = re.compile(r"@\w+(?:(?:::|#)\w+)*")
VARIABLE = re.compile(r"""["']([A-Z_][A-Z0-9_]*)["']""")


def check_steady(given: Mapping[str, Any]) -> None:
    """Refuse given expressions that read what differs from one start to the next, such as the environment.

    A training that is resumed, and a result that is recorded, would state the same text for another value. Places,
    names, tags and what changes only speed may differ.

    Args:
        given: setting -> value.

    Raises:
        ValueError: names the setting.

    Example:
        >>> check_steady({"seed": "$int(os.environ['TASK'])"})
        Traceback (most recent call last):
        ...
        ValueError: --seed: $int(os.environ['TASK']) reads environ, which may differ at the next start, but settings ...
        >>> check_steady({"seed": "$3 + @time", "runs_dir": "$os.environ['SCRATCH']"})
    """
    for name, value in given.items():
        place = name.replace("#", "::")
        if place in FREE or place.split("::")[0] in FREE:
            continue
        for expression in _expressions(value):
            if read := next(_reads(expression), None):
                variable = VARIABLE.search(expression) if "env" in read else None
                inserted = f'"${variable[1]}"' if variable else "VALUE"
                raise ValueError(
                    f"--{name}: {expression} reads {read}, which may differ at the next start, but settings are "
                    f"compared as text; let the shell insert the value: --{name} {inserted}."
                )


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _expressions(item)
    elif isinstance(value, str) and value.startswith("$"):
        yield value


def _reads(expression: str) -> Iterator[str]:
    """Yield the names in an expression that read what differs; none if it cannot be run, which MONAI says.

    Example:
        >>> list(_reads("$__import__('os').environ['TASK']")), list(_reads("$'time' + str(@random)"))
        (['environ'], [])
        >>> list(_reads("$import random as r")), list(_reads("$from os import environ as e"))
        (['random'], ['environ'])
        >>> list(_reads("$numpy.random.default_rng(3).random()")), list(_reads("$numpy.random.default_rng()"))
        ([], ['default_rng', 'random'])
    """
    try:
        tree = ast.parse(REFERENCE.sub("_", expression[1:]).strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    inside = {id(node) for each in ast.walk(tree) if isinstance(each, ast.Lambda) for node in ast.walk(each.body)}
    inside |= {id(node) for node in _seeded(tree)}
    for node in [node for node in ast.walk(tree) if id(node) not in inside]:  # a lambda draws when it is called
        words = list[Any]()
        if isinstance(node, ast.Name):
            words = [node.id]
        elif isinstance(node, ast.Attribute):
            words = [node.attr]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("__import__", "import_module")):
            words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        elif isinstance(node, ast.ImportFrom):
            words = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):  # a plain import shows where it is used
            words = [alias.name for alias in node.names if alias.asname]
        yield from (word for word in words if word in READS)


def _seeded(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the names of functions in an expression whose draws a seed or a generator decides, with their modules."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    seeded = [call for call in calls if _name(call.func) in SEEDED and _is_given([*call.args, *call.keywords])]
    drawing = [call for call in calls if _is_given([each for each in call.keywords if each.arg == "generator"])]
    for node in [call.func for call in (*seeded, *drawing)]:
        yield from _chain(node)
    yield from (call.func for call in calls if isinstance(call.func, ast.Attribute) and call.func.value in seeded)


def _chain(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a dotted name with the names before its dots."""
    yield node
    if isinstance(node, ast.Attribute):
        yield from _chain(node.value)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_given(arguments: Sequence[ast.AST]) -> bool:
    """Return whether an argument is there, and not None."""
    values = [each.value if isinstance(each, ast.keyword) else each for each in arguments]
    return any(not (isinstance(each, ast.Constant) and each.value is None) for each in values)
