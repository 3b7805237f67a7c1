"""Forks processes that run cachelab, from one that has imported its libraries: a run takes one second, not twenty.

    warm.py ADDRESS MODULE...

Imports the modules (PACKAGE.*: a package and all modules in it) and runs one small replay, so that no child loads the
compiled loops, lists Hydra's plugins or reads the fonts. Then it answers at an abstract Unix socket, and ends when the
last process that stays connected has ended. Each connection is for one command, a JSON line, and every answer is a line
of JSON:

    {"stay": true} -> null, when it is ready to fork
    {"run": [arguments], "folder": ..., "out": file, "err": file, "environment": {...}, "user": null or a number,
     "exits_at_once": whether Python's own end is left out} -> the child's pid
    an empty line after that -> null while the child runs, then its status as subprocess gives it (-9: killed)

A child is reaped when it is asked for: until then its pid is no other process's.
"""

import contextlib
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import struct
import sys
import tempfile
from dataclasses import dataclass
from json import dumps, loads
from typing import Any

UNUSED_S = 300.0


@dataclass
class Client:
    """A connection, and the child that was started for it; none for one that stays."""

    connection: socket.socket
    child: int | None = None

    def answer(self, value: Any) -> None:
        with contextlib.suppress(OSError):  # it has gone: the next read says so
            self.connection.sendall(dumps(value).encode() + b"\n")

    def line(self) -> bytes:
        """The next line; b"" at the end."""
        text = b""
        with contextlib.suppress(ConnectionError):
            while not text.endswith(b"\n") and (more := self.connection.recv(1 << 16)):
                text += more
        return text

    def status(self) -> int | None:
        assert self.child is not None
        pid, status = os.waitpid(self.child, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


def serve(listener: socket.socket) -> dict[str, Any] | None:
    """Answer until nobody stays; in a child, what it is to run."""
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    clients: dict[int, Client] = {}
    stayed = False
    while not stayed or any(client.child is None for client in clients.values()):
        events = waiting.select(None if stayed else UNUSED_S)
        if not events:
            break  # who started this has died
        for key, _ in events:
            if key.fileobj is listener:
                connection, _ = listener.accept()
                if _user(connection) == os.getuid():
                    clients[connection.fileno()] = Client(connection)
                    waiting.register(connection, selectors.EVENT_READ)
                continue
            client = clients[key.fd]
            line = client.line()
            if not line:
                waiting.unregister(client.connection)
                del clients[key.fd]
                client.connection.close()
                if client.child is not None:
                    _end(client)
            elif client.child is not None:
                client.answer(client.status())
            elif "stay" in (command := loads(line)):
                stayed = True
                client.answer(None)
            else:
                client.child = os.fork()
                if client.child == 0:
                    for other in (listener, *(one.connection for one in clients.values())):
                        other.close()
                    waiting.close()
                    return dict(command)
                client.answer(client.child)
    for client in clients.values():
        _end(client)
    return None


def _user(connection: socket.socket) -> int:
    """The user at the other end of a Unix socket."""
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])


def _end(client: Client) -> None:
    """Kill and reap the child if nobody has asked for its status."""
    assert client.child is not None
    with contextlib.suppress(ChildProcessError):
        if client.status() is None:
            os.kill(client.child, signal.SIGKILL)
            os.waitpid(client.child, 0)


def run(command: dict[str, Any]) -> None:
    """In the child: become a cachelab of its own."""
    os.chdir(command["folder"])
    for number, name in ((1, command["out"]), (2, command["err"])):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)
    if command["user"] is not None:
        os.setgroups([])
        os.setgid(command["user"])
        os.setuid(command["user"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.argv = ["cachelab", *command["run"]]
    from cachelab.cli import main

    if not command["exits_at_once"]:
        return main()
    code: Any = 0
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def listen(address: str) -> socket.socket | None:
    """A socket that listens at the address; None if another process does."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(f"\0{address}")
    except OSError:
        return None
    listener.listen(100)
    return listener


def load(name: str) -> None:
    """Import a module; PACKAGE.*: and all modules in it."""
    with contextlib.suppress(ImportError):  # an extra that is not installed
        module = importlib.import_module(name.removesuffix(".*"))
        if name.endswith(".*"):
            for found in pkgutil.iter_modules(module.__path__, f"{module.__name__}."):
                if not found.name.endswith("__main__"):
                    load(f"{found.name}.*" if found.ispkg else found.name)


def rehearse() -> None:
    """Run a replay with its figures. It has no store: an open database would be shared with the children."""
    import cachelab

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        cachelab.run("experiment=multi_turn", "engine=replay", "filter.max_conversations=3", "hydra.run.dir=run")


def start(address: str, modules: list[str]) -> None:
    """Listen, and go on as a process of its own, which imports the modules and serves."""
    if (listener := listen(address)) is None or os.fork():
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    from cachelab.engine.vllm.core import vllm_environment

    vllm_environment()
    for name in modules:
        load(name)
    rehearse()
    if (found := serve(listener)) is not None:
        run(found)


if __name__ == "__main__":
    start(sys.argv[1], sys.argv[2:])
