"""What loads the cases: the jobs' code in a Spark session of this machine, or runs of their scripts by a workspace."""

import base64
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.workspace import ImportFormat
from pyspark.sql import SparkSession

from ingestion.pipeline.job_output import results_of
from ingestion.pipeline.payload import submit_payload
from ingestion.pipeline.settings import Settings
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.conftest import REPO
from tests.tables import rows

SCRIPTS = REPO / "spark_jobs"
READER = Path(__file__).with_name("print_rows.py")
ROWS = re.compile(r"^ROWS (\S+)\s*$", re.MULTILINE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A run on a cluster of its own may wait for it.
RUN_LIMIT = timedelta(minutes=40)

Rows = list[dict[str, Any]]


class Engine(Protocol):
    """Loads batches into the tables of `schema`, and reads them."""

    schema: str

    def run(self, step: str, uri: str) -> dict[str, Any]:
        """Stage or merge the batch of this manifest; the counts."""

    def read(self, tables: Iterable[str]) -> dict[str, Rows]:
        """All rows of these tables of the schema; none of one that does not exist."""


@dataclass
class InSession:
    """The jobs' functions in a session; the tables as delta-rs reads them from their folder."""

    schema: str
    spark: SparkSession
    folder: Path

    def run(self, step: str, uri: str) -> dict[str, Any]:
        """Stage or merge the batch of this manifest; the counts."""
        return {"stage": stage, "merge": merge}[step](self.spark, uri)

    def read(self, tables: Iterable[str]) -> dict[str, Rows]:
        """All rows of these tables."""
        return {table: rows(self.folder / table) for table in tables}


@dataclass
class ByRuns:
    """Databricks runs of the scripts, as the pipeline submits them; `settings.jobs` holds them and READER."""

    schema: str
    client: WorkspaceClient
    settings: Settings

    def run(self, step: str, uri: str) -> dict[str, Any]:
        """Stage or merge the batch of this manifest; the counts."""
        batch_id = uri.split("/")[-2]
        return results_of(batch_id, self._output(step, "--manifest", uri))[-1]

    def read(self, tables: Iterable[str]) -> dict[str, Rows]:
        """All rows of these tables, by one run."""
        names = {f"{self.schema}.{table}": table for table in tables}
        (line,) = ROWS.findall(self._output(READER.stem, *names))
        found = json.loads(zlib.decompress(base64.b64decode(line)))
        return {table: typed(**found[name]) if name in found else [] for name, table in names.items()}

    def _output(self, step: str, *parameters: str) -> str:
        """What the run of a script has printed."""
        payload = submit_payload(step, list(parameters), self.settings, "PERFORMANCE_OPTIMIZED")
        body = payload | {"run_name": f"tests/cases {step}"}
        run_id = self.client.api_client.do("POST", "/api/2.2/jobs/runs/submit", body=body)["run_id"]
        run = self.client.jobs.wait_get_run_job_terminated_or_skipped(run_id, timeout=RUN_LIMIT)
        (task,) = run.tasks or []
        output = self.client.jobs.get_run_output(task.run_id)
        assert output.error is None, f"{run.run_page_url}: {output.error}\n{output.error_trace}"
        return output.logs or ""


def typed(types: dict[str, str], rows: list[list[Any]]) -> Rows:
    """Rows as READER printed them, with times as times."""
    return [
        {
            name: EPOCH + timedelta(microseconds=value) if type_ == "timestamp" and value is not None else value
            for (name, type_), value in zip(types.items(), row, strict=True)
        }
        for row in rows
    ]


def upload(client: WorkspaceClient) -> str:
    """Put the scripts of this checkout into a folder of the user's in the workspace; its path."""
    folder = f"/Workspace/Users/{client.current_user.me().user_name}/ingestion-cases"
    for path in [*SCRIPTS.rglob("*.py"), READER]:
        name = path.name if path == READER else path.relative_to(SCRIPTS).as_posix()
        client.workspace.mkdirs(f"{folder}/{name}".rpartition("/")[0])
        with path.open("rb") as content:
            client.workspace.upload(f"{folder}/{name}", content, format=ImportFormat.RAW, overwrite=True)
    return folder
