"""Where and how the cases are loaded: in a session of the local Spark server, or by runs of scripts."""

import os
import shutil
import uuid
from collections.abc import Iterator

import pytest
from databricks.sdk import WorkspaceClient
from google.cloud.storage import Bucket, Client
from pyspark.sql import SparkSession

from ingestion.pipeline.settings import load_settings
from tests.bucket_server import BucketServer, new_client
from tests.cases.engines import READER, SCRIPTS, ByRuns, Engine, InSession, upload
from tests.conftest import SparkRemote
from tests.local.databricks.harness import TOKEN, Service

# In what Databricks' defaults differ from the settings of the local Spark server: a session may have its own.
AS_ON_DATABRICKS = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.shuffle.partitions": "200",
}


HERE = [
    pytest.param("in a session", id="local"),
    pytest.param("as on Databricks", id="as on Databricks", marks=pytest.mark.soak),
    pytest.param("by runs", id="by runs", marks=pytest.mark.soak),
]
WAYS = [pytest.param("a workspace", id="a workspace")] if os.environ.get("CASES_PROFILE") else HERE


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the cases are loaded."""
    return request.param


@pytest.fixture(scope="module")
def bucket(way: str, bucket_server: BucketServer) -> Iterator[Bucket]:
    """An empty bucket."""
    if way == "a workspace":
        bucket = Client().bucket(os.environ["CASES_BUCKET"])
        assert not next(iter(bucket.list_blobs(max_results=1)), None), f"gs://{bucket.name} is not empty"
        yield bucket
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bucket_server.environment["STORAGE_EMULATOR_HOST"])
        yield new_client().create_bucket(f"cases-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def engine(way: str, spark_remote: SparkRemote, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """What loads the batches, into an empty schema."""
    if way == "a workspace":
        client = WorkspaceClient(profile=os.environ["CASES_PROFILE"])
        settings = {"INGESTION_JOBS": upload(client), "INGESTION_COMPUTE": os.environ.get("CASES_COMPUTE", "")}
        yield ByRuns(os.environ["CASES_SCHEMA"], client, load_settings(settings))
        return
    schema = f"cases_{uuid.uuid4().hex[:8]}"
    session = SparkSession.builder.remote(spark_remote.remote).create()
    session.sql(f"CREATE SCHEMA {schema}")
    # The jobs must not depend on the zone they are started in.
    conf = {"spark.sql.session.timeZone": "America/New_York"} | (AS_ON_DATABRICKS if way == "as on Databricks" else {})
    for name, value in conf.items():
        session.conf.set(name, value)
    if way == "by runs":
        service: Service = request.getfixturevalue("service")
        jobs = service.folder / "workspace" / "Shared" / "cases"
        shutil.copytree(SCRIPTS, jobs)
        shutil.copy(READER, jobs)
        client = WorkspaceClient(host=service.url, token=TOKEN)
        yield ByRuns(schema, client, load_settings({"INGESTION_JOBS": "/Workspace/Shared/cases"}))
    else:
        yield InSession(schema, session, spark_remote.lakehouse / f"{schema}.db")
    session.stop()
