"""A real MLflow server that dies, several first openings of a database, and what users find in MLflow's pages."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from epochs import assert_complete, runs_of, train, warnings_of
from mlflow import MlflowClient

from common.tracking.delivery import backlog

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an MLflow server."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--artifacts-destination", str(folder / "artifacts"), "--port", str(port), "--workers", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, start_new_session=True, **quiet) as process:
        deadline = time.monotonic() + 120
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield port
        os.killpg(process.pid, signal.SIGTERM)


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, and is dead from the `last`-th on; `lost` carries that one out, unanswered."""

    def __init__(self, target: int, last: float = float("inf"), lost: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.target, self.last, self.lost, self.seen = target, last, lost, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Passing(BaseHTTPRequestHandler):
    """One request."""

    server: Proxy

    def answer(self) -> None:
        self.server.seen += 1
        dead = self.server.seen >= self.server.last
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not dead or (self.server.lost and self.server.seen == self.server.last):
            connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        if dead:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", answer.headers.get("Content-Type") or "application/json")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = answer

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.mark.slow
@pytest.mark.robust
@pytest.mark.parametrize("lost", [False, True])
def test_a_server_that_dies_at_every_step_in_turn(
    server: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, lost: bool
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = MlflowClient(f"http://127.0.0.1:{server}")
    whole = Proxy(server)
    train(tmp_path / "whole" / "run", f"http://127.0.0.1:{whole.server_port}")
    assert_complete(client, tmp_path / "whole" / "run")
    assert whole.seen > 8
    for last in range(1, whole.seen + 1):
        folder = tmp_path / str(last) / "run"
        caplog.clear()
        dying = Proxy(server, last, lost)
        train(folder, f"http://127.0.0.1:{dying.server_port}")
        died = dying.seen >= last  # two epochs may share a request
        assert len(list(warnings_of(caplog.records))) == died
        dying.last = float("inf")  # it is back
        assert [error for _, error in backlog(folder.parent, "") if error is not None] == []
        assert_complete(client, folder)
        dying.shutdown()
        dying.server_close()
    whole.shutdown()
    whole.server_close()


@pytest.mark.slow
@pytest.mark.robust
def test_three_first_openings_of_a_database_are_three_runs(tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    code = "import sys, pathlib, epochs; epochs.train(pathlib.Path(sys.argv[1]), sys.argv[2])"
    folders = [tmp_path / "runs" / name for name in "abc"]
    words = [[sys.executable, "-c", code, str(folder), uri] for folder in folders]
    processes = [
        subprocess.Popen(one, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for one in words
    ]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        assert "did not record" not in output
    for folder in folders:
        assert_complete(MlflowClient(uri), folder)
        assert len(runs_of(MlflowClient(uri), folder)) == 1
    assert [path.name for path in (tmp_path / "new").iterdir() if path.name.startswith(".")] == []
