"""One Spark session for the examples of all pages."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from ingestion_jobs.session import settle
from tests.conftest import SparkRemote


@pytest.fixture(scope="session")
def spark(spark_remote: SparkRemote) -> Iterator[SparkSession]:
    """A session as the jobs settle it. To compile code for a few rows each would take most of the time."""
    session = SparkSession.builder.remote(spark_remote.remote).create()
    settle(session)
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    session.stop()
