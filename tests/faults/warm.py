"""Forks processes that run cachelab, from one that has imported its libraries: a run then takes two seconds, not ten.

Reads a JSON line for each command on stdin, answers each with one on stdout:
{"start": [arguments], "folder": ..., "environment": {...}} -> the child's pid
{"poll": pid} -> null while it runs, then its wait status as subprocess gives it (-9: killed)
"""

import json
import os
import sys
from typing import Any


def preload() -> None:
    """What a run, a sweep and a search import."""
    import datasets  # noqa: F401
    import hydra.main  # noqa: F401
    import hydra_plugins.hydra_optuna_sweeper._impl  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import mistral_common.tokens.tokenizers.mistral  # noqa: F401
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import numba  # noqa: F401
    import optuna.storages  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401


def run(command: dict[str, Any]) -> None:
    """In the child: become a cachelab of its own."""
    folder = command["folder"]
    for name, number, flags in (("null", 0, os.O_RDONLY), ("out", 1, os.O_WRONLY), ("err", 2, os.O_WRONLY)):
        path = os.devnull if name == "null" else os.path.join(folder, name)
        file = os.open(path, flags | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.update(command["environment"])
    sys.argv = ["cachelab", *command["start"]]
    from cachelab.cli import main

    main()


def serve() -> dict[str, Any] | None:
    """Answer commands until they end; in a child, what it is to run."""
    for line in sys.stdin:
        command = json.loads(line)
        if "start" in command:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                return dict(command)
            answer: int | None = pid
        else:
            pid, status = os.waitpid(command["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)
    return None


if __name__ == "__main__":
    preload()
    print("null", flush=True)
    if (found := serve()) is not None:
        run(found)
