"""Starts with the real daemon, stopped before anything expensive runs, and the one cheap real component."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from local.stack import control
from local.stack.components import stack_components
from local.stack.home import Home, Secrets, StackState, is_supervised, only_supervisor
from local.stack.processes import end, free_port, identify, spawn
from local.stack.settings import Ports

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_a_taken_port_is_named_with_its_variable_and_nothing_starts(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = control.launch(home, REPO / "dags", control.FREE_PORTS | {"SPARK_PORT": str(port)}, tied=True)
        assert daemon.wait(30) == 1
    state = StackState.read(home)
    assert state.phase == "failed"
    assert f"port {port} for the Spark server is taken" in state.error
    assert "SPARK_PORT=" in state.error
    assert state.components == []


def test_a_stack_stopped_while_it_starts_leaves_nothing(home: Home) -> None:
    daemon = control.launch(home, REPO / "dags", control.FREE_PORTS, tied=True)
    deadline = time.monotonic() + 30
    while not any(item.name == "bucket" and item.pid for item in StackState.read(home).components):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [item.pid for item in StackState.read(home).components if item.pid]
    assert control.stop(home)
    assert daemon.wait(5) == 0
    assert not is_supervised(home)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_stack_of_which_everything_was_killed_starts_again_at_once(home: Home) -> None:
    for _ in range(2):
        daemon = control.launch(home, REPO / "dags", control.FREE_PORTS, tied=True)
        await_component(home, "postgres")
        state = StackState.read(home)
        for pid in (state.pid, *(item.pid for item in state.components if item.state in ("starting", "running"))):
            os.kill(pid, signal.SIGKILL)
        daemon.wait(5)
    control.stop(home)


def await_component(home: Home, name: str) -> None:
    deadline = time.monotonic() + 60
    while not any(item.name == name and item.state == "running" for item in StackState.read(home).components):
        assert time.monotonic() < deadline
        assert StackState.read(home).phase == "starting", StackState.read(home).error
        time.sleep(0.05)


def test_only_one_supervisor_for_a_home(home: Home) -> None:
    with only_supervisor(home) as ours:
        assert ours
        daemon = subprocess.run(
            [sys.executable, "-m", "local.stack.daemon", str(home.root), str(REPO / "dags")],
            cwd=REPO,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert daemon.returncode == 1
    assert "another supervisor" in daemon.stderr


def test_the_bucket_keeps_generation_checksums_and_metadata_over_a_restart(home: Home) -> None:
    ports = Ports(bucket=free_port())
    components = {component.name: component for component in stack_components(home, ports, home.root)}
    bucket = components["bucket"]
    url = f"{ports.url('bucket')}/storage/v1/b/orders-data/o/source%2Fa.csv"
    seen = []
    for attempt in range(2):
        process = spawn(bucket.command, env=bucket.env, cwd=REPO, log=home.log("bucket"))
        try:
            deadline = time.monotonic() + 20
            while not bucket.ready(0):
                assert time.monotonic() < deadline, home.log("bucket").read_text()
                time.sleep(0.05)
            if attempt == 0:
                subprocess.run(components["create-bucket"].command, env=bucket.env, cwd=REPO, check=True)
                upload(ports, "source/a.csv", "a,b\n1,2\n", {"sender": "test"})
            seen.append(httpx.get(url).json())
        finally:
            end({identify(process.pid): signal.SIGTERM}, seconds=5)
    assert seen[0] == seen[1]
    assert seen[0]["metadata"] == {"sender": "test"}
    assert seen[0]["crc32c"] == "SZ2HxQ=="
    assert int(seen[0]["generation"]) > 0


def upload(ports: Ports, name: str, text: str, metadata: dict[str, str]) -> None:
    endpoint = {"api_endpoint": ports.url("bucket")}
    client = Client(project="local", credentials=AnonymousCredentials(), client_options=endpoint)
    blob = client.bucket("orders-data").blob(name)
    blob.metadata = metadata
    blob.upload_from_string(text)


def test_secrets_are_made_once_and_only_their_owner_reads_them(home: Home) -> None:
    first = Secrets.of(home)
    assert Secrets.of(home) == first
    assert (home.root / "secrets.json").stat().st_mode & 0o077 == 0
    other = Home(home.root / "other")
    other.create()
    assert Secrets.of(other) != first
