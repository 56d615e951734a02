"""Measure which fraction of small code changes the tests of losses, label sets and metrics detect (mutation testing).

    make mutation
    python -m benchmarks.mutation --mutants 300 --seed 0

Cosmic Ray (`requirements-mutation.txt`) makes the mutants, one change each; a random sample of them is tested in a copy
of the project. A mutant that fails a test is killed. Changes of annotations, docstrings, `__all__` and error messages
are not sampled. Tests of compiled losses are left out, because each of them compiles for seconds.

Torch and MONAI are imported once; each mutant runs in a fork, which imports the mutated code.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

try:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names
except ModuleNotFoundError:
    sys.exit("cosmic-ray is not installed; run 'make mutation'")

MUTATED = ("common/label_sets.py", "common/label_set_map.py", "common/losses/*.py", "common/metrics/*.py")
TESTS = ["common/losses", "common/label_sets.py", "common/label_set_map.py", "common/metrics"]  # doctests
TESTS += ["tests/test_label_sets.py", "tests/test_label_sets_wrong_use.py", "tests/losses", "tests/metrics"]
TESTS += ["tests/test_label_set_map.py", "tests/test_conformance.py"]
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-k", "not compiled and not compiles", "--rootdir", "."]
PRELOADED = ("pytest", "hypothesis.strategies", "hypothesis.extra", "monai.engines", "monai.losses", "monai.metrics")
NEEDED = 0.95  # fraction of mutants that must be killed
SLOWER = 10  # a mutant that takes this many times as long as the original code hangs, and is killed


class Mutant(NamedTuple):
    """A file with one change."""

    path: Path
    operator: str
    code: str

    def __str__(self) -> str:
        before = self.path.read_text(encoding="utf-8").splitlines()
        lines = [line for line in difflib.ndiff(before, self.code.splitlines()) if line[0] in "+-"]
        return f"{self.path} ({self.operator.removeprefix('core/')})\n" + "\n".join(lines)


class Behaviour(ast.NodeTransformer):
    """Remove the parts of a syntax tree that tests of behaviour ignore."""

    def visit(self, node: ast.AST) -> ast.AST:
        """Remove annotations, docstrings, error messages and `__all__`."""
        self.generic_visit(node)
        for field in ("annotation", "returns"):
            if hasattr(node, field):
                setattr(node, field, None)
        match node:
            case ast.Raise(exc=ast.Call()):
                node.exc.args = []
            case ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name(id="__all__")]):
                return ast.Pass()
        return node


def behaviour(code: str) -> str | None:
    """Return the behaviour of code in a form to compare, or None if it is not valid Python."""
    try:
        return ast.dump(Behaviour().visit(ast.parse(code)))
    except SyntaxError:
        return None


def mutants() -> Iterator[Mutant]:
    """Yield all mutants with another behaviour, in a fixed order."""
    names = [name for name in operator_names() if not get_operator(name).arguments()]
    for path in sorted(path for pattern in MUTATED for path in Path().glob(pattern)):
        code = path.read_text(encoding="utf-8")
        seen = {None, behaviour(code)}
        for name in names:
            occurrence = 0
            while (mutated := mutate_code(code, get_operator(name)(), occurrence)) is not None:
                occurrence += 1
                if (changed := behaviour(mutated)) not in seen:
                    seen.add(changed)
                    yield Mutant(path, name, mutated)


def test() -> None:
    """Run the tests of the working directory without output, and exit with their status."""
    import pytest

    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    os._exit(pytest.main([*OPTIONS, *TESTS]))


def passes(timeout: float) -> bool:
    """Return whether the tests pass in a fork of this process, within `timeout` seconds."""
    process = multiprocessing.get_context("fork").Process(target=test)
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def main() -> int:
    """Test a random sample of mutants, print the survivors and the score; return 1 if the score is too low."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=300, help="size of the sample (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    arguments = parser.parse_args()
    everything = list(mutants())
    sample = random.Random(arguments.seed).sample(everything, arguments.mutants)
    print(f"{len(sample)} of {len(everything)} mutants", flush=True)

    os.environ |= {"OMP_NUM_THREADS": "1", "CI": "1"}  # CI: Hypothesis draws the same examples every time
    sys.dont_write_bytecode = True
    for module in PRELOADED:
        __import__(module)
    killed = 0
    with TemporaryDirectory() as folder:
        for name in ("common", "tests"):
            shutil.copytree(name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy("pyproject.toml", folder)
        os.chdir(folder)
        sys.path[0] = folder
        start = time.monotonic()
        if not passes(timeout=600):
            raise SystemExit("the tests fail without a mutation; run `make test-fast` first.")
        timeout = SLOWER * (time.monotonic() - start)
        for number, mutant in enumerate(sample, 1):
            original = mutant.path.read_text(encoding="utf-8")
            mutant.path.write_text(mutant.code, encoding="utf-8")
            survived = passes(timeout)
            mutant.path.write_text(original, encoding="utf-8")
            killed += not survived
            if survived:
                print(f"mutant {number} survived: {mutant}", flush=True)
    print(f"killed {killed} of {len(sample)} mutants, {killed / len(sample):.1%}, in {time.monotonic() - start:.0f} s")
    return int(killed < NEEDED * len(sample))


if __name__ == "__main__":
    sys.exit(main())
