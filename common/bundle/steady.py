"""Settings that are expressions: they are compared as text, so their value must be the same at each start."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..identity import SPEED, WITHOUT_EFFECT

__all__ = ["check_steady"]

READS = frozenset(  # names of what differs from one start to the next
    (
        *("environ", "environb", "getenv", "argv", "input", "open", "read_text", "read_bytes"),
        *("sched_getaffinity", "cpu_count", "device_count", "popen", "check_output"),
        *("time", "time_ns", "datetime", "today", "uuid", "uuid1", "uuid4", "getpid", "gethostname"),
        *("random", "rand", "randn", "randint", "randperm", "initial_seed", "default_rng", "secrets", "urandom"),
    )
)
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
    """
    try:
        tree = ast.parse(REFERENCE.sub("_", expression[1:]).strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    inside = {id(node) for each in ast.walk(tree) if isinstance(each, ast.Lambda) for node in ast.walk(each.body)}
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
