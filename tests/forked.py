"""Run `python -m MODULE` in a fork of a process that has imported the libraries, which takes a new one six seconds.

The fork has its own working directory, environment, output, `sys.argv` and exit code, as a new process has. It cannot
test what must not see this repository: `common` is imported before the fork.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import IO

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "monai.bundle",
    "mlflow.store.tracking.sqlalchemy_store",
    "common.bundle.settings",
    "common.engines",
    "common.experiments.reports.report",
    "common.heart",
    "common.inference",
    "common.losses",
    "common.metrics",
    "common.networks",
    "common.registration",
    "common.tracking",
    "common.transforms",
)


def run(
    words: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, imported: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m` with the words of its module and arguments, as `subprocess.run` with captured text does.

    Args:
        words: the module, then its arguments.
        cwd: working directory.
        env: environment (that of this process).
        imported: what this command and later ones need beside the usual libraries, for example "itk.BSplineTransform".
    """
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        request = {
            "words": [*words],
            "cwd": str(cwd),
            "env": dict(os.environ if env is None else env),
            "outputs": [str(path) for path in outputs],
        }
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps({"imported": [*imported], "request": request}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        stdout, stderr = (path.read_text() for path in outputs)
    return subprocess.CompletedProcess([sys.executable, "-m", *words], code, stdout, stderr)


@cache
def _server() -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    server = subprocess.Popen(
        [sys.executable, "-m", "forked"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)  # it ends when its input does
    return server


def _serve(requests: IO[str], answers: IO[str]) -> None:
    for line in requests:
        content = json.loads(line)
        for name in content["imported"]:
            resolve_name(name)
        child = os.fork()
        if child == 0:
            requests.close()
            answers.close()
            os._exit(_carry_out(**content["request"]))
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()


def _carry_out(words: Sequence[str], cwd: str, env: Mapping[str, str], outputs: Sequence[str]) -> int:
    for number, path in enumerate([os.devnull, *outputs]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[0] = cwd
    sys.argv = list(words)
    code = 0
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are not daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing but answers goes where answers go
    for name in IMPORTED:
        resolve_name(name)
    _serve(sys.stdin, answers)
