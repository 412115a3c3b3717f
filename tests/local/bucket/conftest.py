"""The stack's bucket component with a bucket for each test, and one Spark server that reads it."""

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client
from pyspark.sql import SparkSession

from local.spark_server import spark_server_command, spark_server_env
from local.stack import settings
from local.stack.components import Component, stack_components
from local.stack.home import JARS, Home, Secrets
from local.stack.processes import end, free_port, identify, listens, spawn, tail
from local.stack.settings import Ports

BUCKET_SECONDS = 20
SPARK_SECONDS = 90


@dataclass
class BucketServer:
    """The running stand-in, started by the very command of the stack, and what the stack tells its clients of it."""

    home: Home
    component: Component
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.component.address

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start it, wait until it answers, and end it afterwards."""
        log = self.home.log("bucket")
        process = spawn(self.component.command, env=self.component.env, cwd=self.home.root, log=log)
        leader = identify(process.pid)
        ready = self.component.ready
        assert ready is not None
        try:
            await_that(lambda: process.poll() is not None or ready(0), BUCKET_SECONDS, log)
            assert process.poll() is None, tail(log)
            yield self
        finally:
            end({leader: signal.SIGTERM}, seconds=5)


def await_that(condition: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, tail(log)
        time.sleep(0.05)


def new_server(root: Path) -> BucketServer:
    home = Home(root)
    home.create()
    ports = Ports(bucket=free_port())
    components = {item.name: item for item in stack_components(home, ports, home.root)}
    return BucketServer(home, components["bucket"], settings.pipeline_environment(home, ports, Secrets.of(home)))


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    """One server for all tests that do not restart or spoil it."""
    with new_server(tmp_path_factory.mktemp("stack")).running() as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> BucketServer:
    """A server of one test, not started yet."""
    return new_server(tmp_path / "stack")


def new_client() -> Client:
    """The stock client; where the server is, it takes from STORAGE_EMULATOR_HOST."""
    return Client(project=settings.PROJECT, credentials=AnonymousCredentials())


@pytest.fixture
def bucket(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, with the clients' environment set as the stack sets it."""
    for name in ("STORAGE_EMULATOR_HOST", "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"):
        monkeypatch.setenv(name, bucket_server.environment[name])
    return new_client().create_bucket(f"orders-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def http(bucket_server: BucketServer) -> Iterator[httpx.Client]:
    """For requests the stock clients do not make, or would repeat for minutes."""
    with httpx.Client(base_url=bucket_server.url, timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def spark(bucket_server: BucketServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on a Spark Connect server that has the bucket server as its gs://."""
    home = tmp_path_factory.mktemp("spark")
    (home / "lakehouse").mkdir()
    log, port = home / "spark.log", free_port()
    command = spark_server_command(home / "lakehouse", JARS, port, bucket_server.url)
    server = spawn(command, env=spark_server_env(settings.base_environment()), cwd=home, log=log)
    leader = identify(server.pid)
    try:
        await_that(lambda: server.poll() is not None or listens(port), SPARK_SECONDS, log)
        assert server.poll() is None, tail(log)
        session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").create()
        yield session
        session.stop()
    finally:
        end({leader: signal.SIGTERM}, seconds=10)
