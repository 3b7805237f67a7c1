"""A real MLflow server, and a proxy in front of it that begins to fail at a given request."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FAULTS = ("hangs", "is gone", "resets", "answers 500", "answers garbage", "answers {}", "answers half")


class Server:
    """`mlflow server` with its database and artifacts in a folder; `stop` and `go_on` are SIGSTOP and SIGCONT."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [
            "--workers",
            "1",
            "--port",
            str(self.port),
            "--backend-store-uri",
            f"sqlite:///{self.folder}/mlflow.db",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "mlflow",
                    "server",
                    *options,
                    "--artifacts-destination",
                    f"{self.folder}/artifacts",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        until = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            assert time.monotonic() < until, (self.folder / "server.log").read_text()
            time.sleep(0.2)

    def send(self, number: int) -> None:
        """Send a signal to all processes of the server."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


class FaultyStore:
    """Passes requests on to the server; from request number `after` on, does what `fault` says. See FAULTS."""

    def __init__(self, server_port: int, fault: str, after: float) -> None:
        self.fault = fault
        self.after = after
        self.requests = 0
        self.at_fault: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server_port = server_port
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                proxy.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.uri = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.requests += 1
            failing = self.requests > self.after
            if failing and self.at_fault is not None:
                self.at_fault()
                self.at_fault = None
        fault = self.fault if failing else "passes"
        if fault == "is gone":
            with self._lock:
                self._http.socket.close()  # from now on nobody listens
            fault = "resets"
        if fault == "hangs":
            self._over.wait()
        if fault in ("hangs", "resets"):
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            request.close_connection = True
            request.connection.close()
            return
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        status, kind, text = {
            "answers 500": (500, "application/json", b'{"error_code": "INTERNAL_ERROR", "message": "out of luck"}'),
            "answers garbage": (200, "text/html", b"\xff<html>Please log in</html>"),
            "answers {}": (200, "application/json", b"{}"),
        }.get(fault) or self._passed_on(request, body)
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text[: len(text) // 2] if fault == "answers half" else text)

    def _passed_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server_port)
        headers = {key: value for key, value in request.headers.items() if key.lower() not in ("host", "connection")}
        try:
            connection.request(request.command, request.path, body, headers | {"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def faulty_store(server_port: int, fault: str, after: float) -> Iterator[FaultyStore]:
    """A proxy for as long as the context lasts."""
    store = FaultyStore(server_port, fault, after)
    try:
        yield store
    finally:
        store.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
