"""Fixtures that start real servers, once per test session and on free ports."""

import hashlib
import os
import shlex
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from google.cloud.storage import Bucket

from local.health import listens
from local.spark_server import spark_server_command, spark_server_env
from local.stack import control
from local.stack.home import Home, StackState
from local.stack.processes import end, free_port, identify, spawn, tail
from tests.bucket_server import BucketServer, new_client, new_server
from tests.faults.proxy import FaultProxy
from tests.local.databricks.harness import START_SECONDS, Service, healthy, start_service, wait_for

REPO = Path(__file__).resolve().parent.parent
SPARK_START_SECONDS = 90
STACK_START_SECONDS = 300


def pytest_configure() -> None:
    """Have temporary files in a place of this run's own.

    Whenever pytest starts it closes the usual place to other users. Where the tests run as root, one of them is the
    database of a stack that other tests have started. What is left of runs that are over is kept until the next one.
    """
    if "PYTEST_DEBUG_TEMPROOT" in os.environ:  # a worker has that of its run
        return
    checkout = hashlib.sha256(str(REPO).encode()).hexdigest()[:6]
    mine = Path(tempfile.gettempdir()) / f"tests-{checkout}-{os.getpid()}"  # short: the path of a socket is limited
    for folder in mine.parent.glob(f"tests-{checkout}-*"):
        if not psutil.pid_exists(int(folder.name.rpartition("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)
    mine.mkdir(exist_ok=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(mine)


@pytest.hookimpl(tryfirst=True)  # the groups are read by a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the tests over the workers of `make test` so that one stack and one Spark server serve all of them."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = next((name for name in ("stack", "spark_remote") if name in fixtures), None)
        # The rest by file: what a module shares is made once.
        item.add_marker(pytest.mark.xdist_group(shared or item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    """One bucket server for all tests that do not restart or spoil it."""
    with new_server(tmp_path_factory.mktemp("bucket")).running() as server:
        yield server


@pytest.fixture
def bucket_environment(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stack tells the bucket's clients, Airflow's connection included."""
    for name in ("STORAGE_EMULATOR_HOST", "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"):
        monkeypatch.setenv(name, bucket_server.environment[name])


@pytest.fixture
def bucket(bucket_environment: None) -> Bucket:
    """An empty bucket."""
    return new_client().create_bucket(f"orders-{uuid.uuid4().hex[:8]}")


@dataclass(frozen=True)
class SparkRemote:
    """A running Spark Connect server: its address for clients and the folder that holds its tables."""

    remote: str
    lakehouse: Path


@pytest.fixture(scope="session")
def spark_remote(bucket_server: BucketServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkRemote]:
    """A Spark Connect server with Delta, and the bucket server as its gs://."""
    home = tmp_path_factory.mktemp("spark")
    lakehouse = home / "lakehouse"
    lakehouse.mkdir()
    port = free_port()
    log = home / "spark.log"
    command = spark_server_command(lakehouse, REPO / ".local" / "jars", port, bucket_server.url)
    server = spawn(command, env=spark_server_env(), cwd=home, log=log)
    leader = identify(server.pid)
    try:
        deadline = time.monotonic() + SPARK_START_SECONDS
        while not listens("127.0.0.1", port):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the Spark server did not start:\n{tail(log)}")
            time.sleep(0.1)
        yield SparkRemote(f"sc://127.0.0.1:{port}", lakehouse)
    finally:
        end({leader: signal.SIGTERM}, seconds=10)


@pytest.fixture(scope="session")
def service(
    spark_remote: SparkRemote, bucket_server: BucketServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One Databricks service for all tests that leave it running. What it runs reaches the bucket server."""
    bucket = {"STORAGE_EMULATOR_HOST": bucket_server.environment["STORAGE_EMULATOR_HOST"]}
    service = start_service(tmp_path_factory.mktemp("databricks"), spark_remote.remote, env=bucket)
    try:
        wait_for(lambda: healthy(service), START_SECONDS)
        yield service
    finally:
        service.terminate()


@dataclass(frozen=True)
class Stack:
    """The whole stack: its folder, the environment of its Airflow and its clients as in its `env` file, its DAGs.

    Airflow reaches bucket and Databricks through proxies that can make them fail; Spark and the tests do not.
    """

    home: Home
    env: dict[str, str]
    dags: Path
    bucket: FaultProxy
    databricks: FaultProxy

    @property
    def state(self) -> StackState:
        """What its supervisor knows of its components now."""
        return StackState.read(self.home)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything `make up` starts, in a folder and on ports of its own, on a copy of the DAGs that tests may change."""
    home = Home(tmp_path_factory.mktemp("stack"))
    dags = tmp_path_factory.mktemp("airflow") / "dags"
    shutil.copytree(REPO / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))

    def address(name: str) -> str:
        return f"http://127.0.0.1:{StackState.read(home).ports[name]}"

    with (
        FaultProxy(lambda: address("bucket")).running() as bucket,
        FaultProxy(lambda: address("databricks")).running() as databricks,
        started(home, dags, bucket, databricks) as stack,
    ):
        yield stack


@contextmanager
def started(home: Home, dags: Path, bucket: FaultProxy, databricks: FaultProxy) -> Iterator[Stack]:
    proxies = {"BUCKET_PROXY_PORT": str(bucket.port), "DATABRICKS_PROXY_PORT": str(databricks.port)}
    supervisor = control.launch(home, dags, control.FREE_PORTS | proxies, tied=True)
    try:
        deadline = time.monotonic() + STACK_START_SECONDS
        while (state := StackState.read(home)).phase == "starting":
            if supervisor.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        if state.phase != "running":
            pytest.fail(f"the stack did not start: {state.error or tail(home.log('supervisor'))}")
        yield Stack(home, exported(home.env_file), dags, bucket, databricks)
    finally:
        control.stop(home)


def exported(env_file: Path) -> dict[str, str]:
    """The variables of a shell file of export lines, but for PATH, which it only extends."""
    lines = shlex.split(env_file.read_text())
    pairs = [line.split("=", 1) for line in lines if line != "export"]
    return {name: value for name, value in pairs if name != "PATH"}
