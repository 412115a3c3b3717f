"""A bucket server of one test's own, plain HTTP to the shared one, and Spark as its client."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.bucket_server import BucketServer, new_server
from tests.conftest import SparkRemote


@pytest.fixture
def own_server(tmp_path: Path) -> BucketServer:
    """A server of one test, not started yet."""
    return new_server(tmp_path / "stack")


@pytest.fixture
def http(bucket_server: BucketServer) -> Iterator[httpx.Client]:
    """For requests the stock clients do not make, or would repeat for minutes."""
    with httpx.Client(base_url=bucket_server.url, timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def spark(spark_remote: SparkRemote) -> Iterator[SparkSession]:
    """A session on a Spark Connect server that has the bucket server as its gs://."""
    session = SparkSession.builder.remote(spark_remote.remote).create()
    yield session
    session.stop()
