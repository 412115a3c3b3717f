"""A schema of its own per test or module, files to load into it, and its tables read back by delta-rs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.conftest import SparkRemote
from tests.tables import rows

ORDER_COLUMNS = [
    {"name": "order_num", "type": "string", "formats": []},
    {"name": "tracking_num", "type": "string", "formats": []},
    {"name": "pck_recieved_date", "type": "date", "formats": ["yyyy-MM-dd"]},
    {"name": "package_deliver_date", "type": "date", "formats": ["yyyy-MM-dd"]},
    {"name": "status", "type": "string", "formats": []},
    {"name": "address", "type": "string", "formats": []},
    {"name": "last_update_timestamp", "type": "timestamp", "formats": ["yyyy-MM-dd HH:mm:ss"]},
]
HEADER = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp"
DELIVERED_AT = "2026-11-20T10:14:58Z"
LATER = "2026-11-20T10:14:58.000001Z"  # as text it is before the other


def feed(**changes: Any) -> dict[str, Any]:
    """The feed of a manifest: order tracking, or what differs from it."""
    return {
        "name": "order_tracking",
        "columns": ORDER_COLUMNS,
        "key": ["tracking_num"],
        "order_by": "last_update_timestamp",
        "time_zone": "UTC",
        "csv": {"delimiter": ",", "multiline": True},
        "max_future_skew_seconds": 86400,
    } | changes


def order(tracking_num: str, status: str, time: str, address: str = "1 Main St") -> str:
    """A line of an order tracking file, updated on 2026-11-20 at `time`."""
    return f"O1,{tracking_num},2026-11-18,,{status},{address},2026-11-20 {time}\n"


@dataclass
class Lake:
    """The tables of a feed and the ways to fill and read them."""

    spark: SparkSession
    schema: str
    tables: Path
    files: Path
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def deliver(self, content: str | bytes, generation: int, name: str = "orders.csv", **entry: Any) -> dict[str, Any]:
        """Write a file, header included, and return its entry for a manifest."""
        data = content.encode() if isinstance(content, str) else content
        path = self.files / f"{next(self.numbers):05}.csv"
        path.write_bytes(data)
        return {
            "object": f"source/{name}",
            "generation": generation,
            "date": "2026-11-20",
            "delivered_at": DELIVERED_AT,
            "size": len(data),
            "columns": HEADER.split(","),
            "input": str(path),
        } | entry

    def orders(
        self, *lines: str, generation: int, name: str = "orders.csv", delivered_at: str = DELIVERED_AT
    ) -> dict[str, Any]:
        """Deliver an order tracking file of these lines."""
        return self.deliver(f"{HEADER}\n{''.join(lines)}", generation, name, delivered_at=delivered_at)

    def manifest(self, *files: dict[str, Any], batch: str | None = None, **changes: Any) -> str:
        """Write the manifest of a batch; `changes` are to the feed."""
        batch = batch or f"batch-{next(self.numbers):05}"
        roles = {"target": "", "staging": "_staging", "quarantine": "_quarantine"}
        document = {
            "version": 1,
            "batch_id": batch,
            "run_id": f"run of {batch}",
            "feed": feed(**changes),
            "tables": {role: f"{self.schema}.order_tracking{suffix}" for role, suffix in roles.items()}
            | {"log": f"{self.schema}.ingestion_log"},
            "files": list(files),
        }
        path = self.files / f"{batch}.json"
        path.write_text(json.dumps(document, indent=2))
        return str(path)

    def stage(self, *files: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Stage a new batch of these files."""
        return stage(self.spark, self.manifest(*files, **changes))

    def load(self, *files: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Stage and merge a new batch of these files; the result of merge."""
        uri = self.manifest(*files, **changes)
        stage(self.spark, uri)
        return merge(self.spark, uri)

    def rows(
        self, table: str, columns: Sequence[str] | str = "*", order_by: str = "1", where: str = "true"
    ) -> list[tuple[Any, ...]]:
        """The rows of a table, named without its schema, as delta-rs reads them."""
        names = columns if isinstance(columns, str) else ", ".join(columns)
        return [tuple(row.values()) for row in rows(self.tables / table, names, where=where, order_by=order_by)]

    def staged(self, columns: Sequence[str] | str, order_by: str = "1", where: str = "true") -> list[tuple[Any, ...]]:
        """The good rows in staging."""
        return self.rows("order_tracking_staging", columns, order_by, f"_reasons IS NULL AND ({where})")

    def target(self, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """The target's rows by tracking_num."""
        return self.rows("order_tracking", columns, order_by="tracking_num", where=where)

    def version(self, table: str) -> int:
        """The newest version of a table."""
        return DeltaTable(str(self.tables / table)).version()

    def exists(self, table: str) -> bool:
        """Whether there is such a table."""
        return DeltaTable.is_deltatable(str(self.tables / table))


@pytest.fixture(scope="session")
def spark(spark_remote: SparkRemote) -> Iterator[SparkSession]:
    """One Spark Connect session for all tests of the jobs."""
    session = SparkSession.builder.remote(spark_remote.remote).getOrCreate()
    # The jobs must not depend on the zone they are started in.
    session.conf.set("spark.sql.session.timeZone", "America/New_York")
    yield session
    session.stop()


def new_lake(spark: SparkSession, spark_remote: SparkRemote, files: Path) -> Lake:
    """An empty schema, and the folder for its files."""
    schema = f"test_{uuid4().hex[:12]}"
    spark.sql(f"CREATE SCHEMA {schema}")
    return Lake(spark, schema, spark_remote.lakehouse / f"{schema}.db", files)


@pytest.fixture
def lake(spark: SparkSession, spark_remote: SparkRemote, tmp_path: Path) -> Lake:
    """A lake for one test."""
    return new_lake(spark, spark_remote, tmp_path)


@pytest.fixture(scope="module")
def module_lake(spark: SparkSession, spark_remote: SparkRemote, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that the tests of a module share, each with files and keys of its own.

    To create tables and to load a batch takes Spark seconds, however few rows there are.
    """
    return new_lake(spark, spark_remote, tmp_path_factory.mktemp("lake"))
