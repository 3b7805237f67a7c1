"""MLflow fails while cachelab runs: the run goes on, says so in one line, and `sync` logs everything later."""

import os
import random
import re
import shlex
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from cachelab.tracking.mlflow.tracking import MlflowTracking
from faults.command import NOBODY, Done, begin, end, run
from faults.faulty_store import FAULTS, FaultyStore, Server, faulty_store
from faults.ledger import record

RUN = ("experiment=multi_turn", "engine=replay", "artifacts=[requests]")
REQUESTS = 20  # that such a run sends at least
LIMIT_S = 75.0  # 30 s for the store (test_silent_store.py holds it to that), the rest for a run on a busy machine
NUMBERS = "select key, step, value from metrics where run_uuid = ?"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def numbers(server: Server, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, float]]:
    """Every metric point of an undisturbed run."""
    done = run(tmp_path_factory.mktemp("calm"), *RUN, f"tracking.uri={server.uri}", limit_s=200)
    assert done.code == 0, done.err
    return points(server.folder / "mlflow.db", run_of(done.out))


def query(database: Path, sql: str, *values: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(database, timeout=30) as connection:
        return connection.execute(sql, values).fetchall()


def points(database: Path, run_id: str) -> list[tuple[str, int, float]]:
    return sorted(query(database, NUMBERS, run_id))  # type: ignore[arg-type]


def run_of(text: str) -> str:
    """The last run that a command's output names."""
    return str(re.findall(r"(?:runs/|as run )([0-9a-f]{32})", text)[-1])


def check_one_line(done: Done) -> None:
    assert done.code == 1, (done.code, done.err)
    assert "Traceback" not in done.out + done.err
    lines = done.err.splitlines()
    assert lines[-1].startswith("cachelab: ")
    assert len(lines) <= 2, done.err  # with the warning of the moment when the store was lost
    assert done.seconds < LIMIT_S, done.seconds


def sync(done: Done, folder: Path, uri: str) -> str:
    """What the command says to type, typed; the run that it logged."""
    command = shlex.split(done.err.splitlines()[-1].partition("nothing is lost: ")[2])
    arguments = [*command[3:4], f"tracking.uri={uri}"]
    assert arguments[0].startswith("sync=")
    later = run(folder, *arguments)
    assert later.code == 0, later.err
    return run_of(later.out)


def attack(server: Server, folder: Path, fault: str, after: float, calm: list[tuple[str, int, float]]) -> None:
    """One run whose store begins to fail at a request. Raises AssertionError if anything is lost."""
    with faulty_store(server.port, fault, after) as store:
        done = run(folder, *RUN, f"tracking.uri={store.uri}")
    check_outcome(server, folder, done, calm)


def check_outcome(server: Server, folder: Path, done: Done, calm: list[tuple[str, int, float]]) -> None:
    check_one_line(done)
    if "could not be tracked" not in done.err:  # it did not start
        assert not list(folder.glob("outputs/*/*/artifacts"))
        return
    assert "FINISHED" in next(folder.glob("outputs/*/*/result.json")).read_text()
    run_id = sync(done, folder, server.uri)
    database = server.folder / "mlflow.db"
    assert points(database, run_id) == calm
    assert query(database, "select status from runs where run_uuid = ?", run_id) == [("FINISHED",)]
    assert query(database, "select count(*) from params where run_uuid = ?", run_id)[0][0] > 30  # type: ignore[operator]
    held = {path.name for path in server.folder.glob(f"artifacts/*/{run_id}/artifacts/*")}
    assert {"config.yaml", "requests.parquet", "metrics.json", "summary.md", "cachelab.log"} <= held


def in_turn(name: str, cases: list[Callable[[], None]]) -> None:
    """Run the cases, some at once: they wait more than they compute."""

    def tried(case: Callable[[], None]) -> str:
        try:
            case()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(tried, cases))
    record(name, len(found), found.count(""))
    assert found == [""] * len(found)


def moments(seed: str, count: int) -> list[int]:
    """Requests at which to begin, the very first and some that are drawn."""
    return [0, *random.Random(seed).sample(range(1, REQUESTS - 1), count - 1)]


def faulted(server: Server, calm: list[tuple[str, int, float]], tmp_path: Path, faults: dict[str, list[int]]) -> None:
    in_turn(
        "MLflow server " + ", ".join(faults),
        [
            lambda fault=fault, after=after: attack(  # type: ignore[misc]
                server, tmp_path / f"{fault} {after}".replace(" ", "_"), fault, after, calm
            )
            for fault, afters in faults.items()
            for after in afters
        ],
    )


def test_server_fails_in_the_middle(server: Server, numbers: list[tuple[str, int, float]], tmp_path: Path) -> None:
    faulted(server, numbers, tmp_path, {fault: moments(fault, 2)[1:] for fault in FAULTS})


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
def test_server_fails_at_many_requests(
    server: Server, numbers: list[tuple[str, int, float]], tmp_path: Path, fault: str
) -> None:
    faulted(server, numbers, tmp_path, {fault: moments(f"{fault} long", 10)})


def test_server_is_stopped_in_the_middle(server: Server, numbers: list[tuple[str, int, float]], tmp_path: Path) -> None:
    """SIGSTOP: the kernel still accepts connections, nobody answers."""

    def case() -> None:
        with faulty_store(server.port, "passes", 8) as store:
            store.at_fault = lambda: server.send(signal.SIGSTOP)
            try:
                done = run(tmp_path, *RUN, f"tracking.uri={store.uri}")
            finally:
                server.send(signal.SIGCONT)
        check_outcome(server, tmp_path, done, numbers)

    in_turn("MLflow server stopped (SIGSTOP)", [case])


def sweep_on(store: FaultyStore, folder: Path) -> Done:
    jobs = ("--multirun", "engine.num_blocks=257,300,400,500", "hydra.sweep.dir=sweep_dir")
    return run(folder, *RUN, *jobs, f"tracking.uri={store.uri}")


def test_server_hangs_during_a_sweep(server: Server, tmp_path: Path) -> None:
    """The parent's end and four jobs wait once, and are all there after sync."""

    def case() -> None:
        with faulty_store(server.port, "hangs", 30) as store:
            done = sweep_on(store, tmp_path)
        assert done.code == 1
        assert "Traceback" not in done.err
        assert done.seconds < LIMIT_S
        assert re.search(r"of 4 jobs could not be tracked .*nothing is lost: ", done.err), done.err
        sync(done, tmp_path, server.uri)
        database = server.folder / "mlflow.db"
        (parent,) = {re.search(r'"parent_run_id": "(\w+)"', path.read_text())[1] for path in jobs_of(tmp_path)}  # type: ignore[index]
        children = "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?"
        ended = f"select status from runs where run_uuid = ? or run_uuid in ({children})"
        assert query(database, ended, parent, parent) == [("FINISHED",)] * 5
        twice = (
            f"select key from metrics where run_uuid in ({children}) group by run_uuid, key, step having count(*) > 1"
        )
        assert query(database, twice, parent) == []

    in_turn("MLflow server hangs during a sweep", [case])


def jobs_of(folder: Path) -> list[Path]:
    return list(folder.glob("sweep_dir/*/result.json"))


@pytest.fixture
def own_database(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "mlflow.db"
    with MlflowTracking(f"sqlite:///{path}", "cachelab", None, {}).open():
        return path


def test_sqlite_is_locked_in_the_middle(own_database: Path, tmp_path: Path) -> None:
    def case() -> None:
        started = time.monotonic()
        process = begin(tmp_path / "run", *RUN, f"tracking.uri=sqlite:///{own_database}")
        while not query(own_database, "select 1 from runs"):
            assert process.poll() is None
        with sqlite3.connect(own_database, timeout=30, isolation_level=None) as other:
            other.execute("begin exclusive")
            done = end(process, tmp_path / "run", started)
            other.execute("rollback")
        check_one_line(done)
        if "could not be tracked" in done.err:
            run_id = sync(done, tmp_path / "run", f"sqlite:///{own_database}")
            assert query(own_database, "select status from runs where run_uuid = ?", run_id) == [("FINISHED",)]
        else:
            assert "database is locked" in done.err

    in_turn("SQLite locked by another process", [case])


def test_sqlite_that_cannot_be_written(own_database: Path) -> None:
    """As nobody, whom file modes do stop."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def case() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o777)
            shutil.copy(own_database, folder / "mlflow.db")
            (folder / "mlflow.db").chmod(0o444)
            (folder / "run").mkdir()
            (folder / "run").chmod(0o777)
            done = run(
                folder / "run", *RUN, f"tracking.uri=sqlite:///{folder}/mlflow.db", user=NOBODY, HOME=str(folder)
            )
            assert done.code == 1
            assert done.err.startswith(f"cachelab: tracking.uri=sqlite:///{folder}/mlflow.db: "), done.err
            assert "readonly" in done.err
            assert len(done.err.splitlines()) == 1
            assert not list(folder.glob("run/outputs/*/*/artifacts"))

    in_turn("SQLite file that cannot be written", [case])


PASSWORD = "p/a@s%20s w0rd"
FORMS = {PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), PASSWORD.replace(" ", "")}


def check_no_password(*folders: Path) -> None:
    """No file below the folders holds the password, in any form, whatever kind of file it is.

    The server's own log is left out: a server logs the addresses of its requests, and the token is part of one.
    """
    forms = {form.encode() for form in FORMS | {form.lower() for form in FORMS}}
    seen = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and path.name != "server.log":
                seen += 1
                assert not [form for form in forms if form in path.read_bytes()], path
    assert seen > 20


def test_no_file_of_a_sweep_holds_the_password(server: Server, tmp_path: Path) -> None:
    """Neither the sweep's files nor the store's database, its WAL and artifacts, nor what is printed."""

    def case() -> None:
        uri = f"http://me:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
        options = tmp_path / "conf" / "order"
        options.mkdir(parents=True)
        jobs = ("--multirun", "engine.num_blocks=257,300", f"tracking.experiment={tmp_path.name}")
        done = run(tmp_path / "typed", *RUN, *jobs, f"tracking.uri='{uri}?access_token={quote(PASSWORD, safe='')}'")
        assert done.code == 1  # no server has such an address: the error is what must not tell
        done = run(tmp_path / "typed", *RUN, *jobs, f"tracking.uri='{uri}'")
        assert done.code == 0, done.err
        assert f"http://me:***@127.0.0.1:{server.port}/#/" in done.out
        (tmp_path / "conf" / "tracking").mkdir()
        shown = Path(__file__).parents[2] / "conf" / "tracking" / "mlflow.yaml"
        (tmp_path / "conf" / "tracking" / "secret.yaml").write_text(
            shown.read_text().replace("uri: null", f"uri: {uri}")
        )
        config = (f"--config-dir={tmp_path}/conf", "tracking=secret", f"tracking.experiment={tmp_path.name}")
        done = run(tmp_path / "in_a_file", *RUN, *jobs[:2], *config)
        assert done.code == 0, done.err
        done = run(tmp_path / "alone", *RUN, *config, HYDRA_FULL_ERROR="1")
        assert done.code == 0, done.err
        done = run(tmp_path / "swept", *RUN, "--multirun", f"--config-dir={tmp_path}/conf", "tracking=none,secret")
        assert "Traceback" not in done.err
        shutil.rmtree(tmp_path / "conf")
        tracked = "select count(*) from runs r join experiments e using (experiment_id) where e.name = ?"
        assert query(server.folder / "mlflow.db", tracked, tmp_path.name) == [(7,)]  # two sweeps of two, one alone
        check_no_password(tmp_path, server.folder)

    in_turn("password in tracking.uri", [case])
