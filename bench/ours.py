"""This project's jobs: stage and merge, each in a session of its own, as its Databricks runs do it."""

import json
from itertools import count
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from bench.data import DELIVERED_AT, KEY, ORDER_BY, Batch, types_of
from bench.peer import Clock, Seconds, Staged
from bench.server import Server
from bench.spark_tables import insert_parts, restore, version_of
from bench.target import Target
from ingestion_jobs.manifest import read_manifest
from ingestion_jobs.merging import merge
from ingestion_jobs.names import quoted, quoted_table, sql_string
from ingestion_jobs.staging import stage
from ingestion_jobs.tables import ensure_staging_tables, ensure_target_tables

_FORMATS = {"date": ["yyyy-MM-dd"], "timestamp": ["yyyy-MM-dd HH:mm:ss"]}
# The lineage of rows that were there before, by type: whatever lineage the target's own definition asks for.
_LINEAGE = {
    "string": "'source/first.csv'",
    "bigint": "`_n`",
    "timestamp": "TIMESTAMP'2025-12-31 00:00:00Z'",
    "date": "DATE'2025-12-31'",
}


class Ours:
    """Tables in a schema of their own, manifests in a folder of its own."""

    name = "ours"
    why = "types, checks, quarantines, counts and logs every row; writes deletion vectors, so it copies no rows"

    def __init__(self, server: Server, folder: Path, schema: str, width: int) -> None:
        self._server, self._folder, self._schema = server, folder, schema
        self._feed = _feed(width)
        self._numbers = count(1)
        self._built = 0
        self._last = ""
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def table(self) -> Path:
        """The target's folder."""
        return self._server.lakehouse / f"{self._schema}.db" / "order_tracking"

    @property
    def staging(self) -> Path:
        """The folder of the staging table."""
        return self._server.lakehouse / f"{self._schema}.db" / "order_tracking_staging"

    def build(self, target: Target) -> None:
        """The tables as the jobs make them; the target's rows are put in beside the jobs, to have the asked layout."""
        with self._server.session() as spark:
            manifest = self.build_staging(spark)
            ensure_target_tables(spark, read_manifest(spark, manifest))
            name = quoted_table(f"{self._schema}.order_tracking")
            fields = spark.table(name).schema
            values = [_value(field.name, field.dataType.simpleString()) for field in fields]
            insert_parts(spark, name, values, target)
            self._built = version_of(spark, name)

    def build_staging(self, spark: SparkSession) -> str:
        """A new schema with the staging tables, for files that are never merged; the manifest they were made from."""
        spark.sql(f"CREATE SCHEMA {quoted(self._schema)}")
        nothing = self._folder / "nothing.csv"
        nothing.write_text("nothing\n")
        manifest = self._manifest(Batch("nothing", (nothing,)))
        ensure_staging_tables(spark, read_manifest(spark, manifest))
        return manifest

    def reset(self) -> None:
        """Restored by a commit of Delta's own: cheap, and the server knows of it."""
        with self._server.session() as spark:
            restore(spark, quoted_table(f"{self._schema}.order_tracking"), self._built)

    def load(self, batch: Batch) -> Seconds:
        """Stage and merge as a new batch, of file generations that are the same each time."""
        clock = Clock()
        self._last = self._manifest(batch)
        with self._server.session() as spark, clock.step("stage"):
            stage(spark, self._last)
        with self._server.session() as spark, clock.step("merge"):
            merge(spark, self._last)
        return clock.seconds

    def stage(self, batch: Batch) -> Staged:
        """Stage alone, as a new batch."""
        clock = Clock()
        manifest = self._manifest(batch)
        with self._server.session() as spark, clock.step("stage"):
            stage(spark, manifest)
        return Staged(clock.seconds, self.staging, f"_batch_id = {sql_string(Path(manifest).stem)}")

    def forget(self, staged: Staged) -> None:
        """Staging keeps its batches."""

    def repeat(self) -> Seconds:
        """Merge the last batch again: nothing may change."""
        clock = Clock()
        with self._server.session() as spark, clock.step("merge"):
            merge(spark, self._last)
        return clock.seconds

    def _manifest(self, batch: Batch) -> str:
        number = next(self._numbers)
        batch_id = f"{self._schema}-{number:05}"
        roles = {"target": "", "staging": "_staging", "quarantine": "_quarantine"}
        tables = {role: f"{self._schema}.order_tracking{suffix}" for role, suffix in roles.items()}
        document = {
            "version": 1,
            "batch_id": batch_id,
            "run_id": f"bench {number}",
            "feed": self._feed,
            "tables": tables | {"log": f"{self._schema}.ingestion_log"},
            "files": [self._entry(batch, number, path) for number, path in enumerate(batch.files, start=1)],
        }
        path = self._folder / f"{batch_id}.json"
        path.write_text(json.dumps(document))
        return str(path)

    def _entry(self, batch: Batch, number: int, path: Path) -> dict[str, Any]:
        return {
            "object": f"source/{batch.name}_{number:03}.csv",
            "generation": 1795342483000000 + number,
            "date": "2026-11-20",
            "delivered_at": DELIVERED_AT,
            "size": path.stat().st_size,
            "columns": [column["name"] for column in self._feed["columns"]],
            "input": str(path),
        }


def _feed(width: int) -> dict[str, Any]:
    return {
        "name": "order_tracking",
        "columns": [
            {"name": name, "type": type_, "formats": _FORMATS.get(type_, [])} for name, type_ in types_of(width).items()
        ],
        "key": [KEY],
        "order_by": ORDER_BY,
        "time_zone": "UTC",
        "csv": {"delimiter": ",", "multiline": True},
        "max_future_skew_seconds": 86400,
    }


def _value(name: str, type_: str) -> str:
    return f"{_LINEAGE[type_]} AS {quoted(name)}" if name.startswith("_") else quoted(name)
