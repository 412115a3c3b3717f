"""Airflow's database starts again whatever became of the server before."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.stack import database
from local.stack.home import Home
from local.stack.processes import spawn, tail
from local.stack.settings import base_environment

SECONDS = 30
ENDS, STAYS = ["true"], ["sleep", "600"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    database.prepare(home)
    return home


@pytest.fixture(params=[ENDS, STAYS], ids=["a zombie", "a stranger"])
def holder(request: pytest.FixtureRequest) -> Iterator[psutil.Process]:
    """A process of the server's user that is no server; a zombie is one that nobody waits for."""
    user = database.database_user()
    process = subprocess.Popen(request.param, user=user, group=user, extra_groups=[] if user else None, cwd="/")
    if request.param == ENDS:
        wait(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def test_a_killed_server_starts_again_though_its_number_is_in_use(home: Home, holder: psutil.Process) -> None:
    """As after kill -9 of everything: the lock files stay, and a process has the number in them."""
    kill(home, start(home))
    for lock in database.lock_files(home.postgres):
        _, *rest = lock.read_text().splitlines()
        lock.write_text("\n".join([str(holder.pid), *rest, ""]))
    database.prepare(home)
    server = start(home)
    server.send_signal(signal.SIGINT)
    assert server.wait(SECONDS) == 0


def test_a_server_that_still_works_is_never_robbed_of_its_lock(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_LEFTOVER_SECONDS", 0)
    server = start(home)
    try:
        with pytest.raises(database.DatabaseError, match=rf"end its processes .*\b{server.pid}\b"):
            database.prepare(home)
        assert (home.postgres / "postmaster.pid").exists()
    finally:
        kill(home, server)


def start(home: Home) -> subprocess.Popen[bytes]:
    command, user, log = database.server_command(home.postgres), database.database_user(), home.log("postgres")
    server = spawn(command, env=base_environment(), cwd=home.root, log=log, user=user)
    wait(lambda: server.poll() is not None or database.is_ready(home.postgres))
    assert server.poll() is None, tail(log)
    return server


def kill(home: Home, server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
    assert (home.postgres / "postmaster.pid").exists()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
