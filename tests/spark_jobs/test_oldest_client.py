"""The jobs with the Python of the oldest runtime promised: a Spark 4.0 client, as on Databricks runtime 17.3."""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, SparkRemote
from tests.oracle import Delivery, expected_target
from tests.spark_jobs.conftest import HEADER, Lake, order
from tests.spark_jobs.test_entries import run
from tests.uv import environment

REQUIREMENTS = Path(__file__).with_name("oldest_client.txt")
MISSING = """
import sys
import pyspark
from pyspark.sql import functions
print(pyspark.__version__, *(name for name in sys.argv[1:] if not hasattr(functions, name)))
"""
COLUMNS = [*HEADER.split(","), "_delivered_at", "_source_file", "_generation", "_record"]
Jobs = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def oldest_client() -> Path:
    """The Python of an environment with the oldest client alone."""
    return environment(REQUIREMENTS)


@pytest.fixture
def jobs(oldest_client: Path, spark_remote: SparkRemote, tmp_path: Path) -> Jobs:
    """Runs the entry scripts with the oldest client on a manifest; gives the results they printed.

    In one process, as it takes seconds to start one and its session.
    """

    def execute(uri: str) -> list[dict[str, Any]]:
        ended = run(["stage.py", "merge.py"], spark_remote.remote, tmp_path, uri, python=oldest_client)
        assert ended.returncode == 0, ended.stderr
        lines = [line for line in ended.stdout.splitlines() if line.startswith("INGESTION_RESULT ")]
        return [json.loads(line.removeprefix("INGESTION_RESULT ")) for line in lines]

    return execute


def target(lake: Lake) -> dict[str, dict[str, object]]:
    """The target by key as the oracle has it: dates as text, times without their zone."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in lake.target(*COLUMNS)]
    assert len({row["tracking_num"] for row in rows}) == len(rows), "a key twice"
    return {row["tracking_num"]: {name: plain(value) for name, value in row.items()} for row in rows}


def plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value.isoformat() if isinstance(value, date) else value


def test_it_knows_every_function_that_the_jobs_call(oldest_client: Path) -> None:
    sources = [path.read_text() for path in (REPO / "spark_jobs").rglob("*.py")]
    called = sorted(set(re.findall(r"\bsf\.(\w+)", "\n".join(sources))))
    assert "lit" in called
    answer = subprocess.run([oldest_client, "-c", MISSING, *called], capture_output=True, text=True, check=True)
    version, *missing = answer.stdout.split()
    assert version.startswith("4.0.")
    assert missing == []


@pytest.mark.soak
def test_it_loads_two_batches_and_a_replay_changes_nothing(lake: Lake, jobs: Jobs) -> None:
    first = lake.orders(
        order("T1", "received", "09:00:00"),
        order("T2", "received", "09:00:00", '"2 Second St, ""rear""\nfloor 2"'),
        order("T3", "received", "11:00:00"),
        generation=1,
        name="a.csv",
    )
    update = lake.orders(
        order("T1", "shipped", "10:00:00", '"1 Main St\nrear"'),
        order("T1", "delivered", "10:30:00"),  # the newer of two rows in one file
        order("T3", "stale", "10:59:59"),
        order("", "no key", "10:00:00"),
        generation=2,
        name="b.csv",
    )
    new = lake.orders(order("T4", "received", "10:00:00"), generation=3, name="c.csv")
    delivered_at = datetime(2026, 11, 20, 10, 14, 58, tzinfo=UTC)
    deliveries = [
        Delivery(file["object"], file["generation"], delivered_at, Path(file["input"]).read_text())
        for file in (first, update, new)
    ]

    uri = lake.manifest(first, batch="b1")
    assert [(result["step"], result["batch_id"]) for result in jobs(uri)] == [("stage", "b1"), ("merge", "b1")]
    assert target(lake) == expected_target(deliveries[:1])

    uri = lake.manifest(update, new, batch="b2")
    results = jobs(uri)
    assert target(lake) == expected_target(deliveries)
    assert lake.target("tracking_num", "status", "address", "_source_file", "_generation", "_record") == [
        ("T1", "delivered", "1 Main St", "source/b.csv", 2, 2),
        ("T2", "received", '2 Second St, "rear"\nfloor 2', "source/a.csv", 1, 2),
        ("T3", "received", "1 Main St", "source/a.csv", 1, 3),
        ("T4", "received", "1 Main St", "source/c.csv", 3, 1),
    ]
    quarantine = lake.rows("order_tracking_quarantine", "_source_file, _generation, _record, reasons, _batch_id")
    assert quarantine == [("source/b.csv", 2, 4, ["tracking_num: missing"], "b2")]
    names = "batch_id, object, rows_read, rows_staged, rows_quarantined, "
    names += "rows_inserted, rows_updated, rows_stale, rows_duplicate"
    logged = [
        ("b1", "source/a.csv", 3, 3, 0, None, None, None, None),
        ("b1", None, 3, 3, 0, 3, 0, 0, 0),
        ("b2", "source/b.csv", 4, 3, 1, None, None, None, None),
        ("b2", "source/c.csv", 1, 1, 0, None, None, None, None),
        ("b2", None, 5, 4, 1, 1, 1, 1, 1),
    ]
    assert lake.rows("ingestion_log", names, order_by="batch_id, object NULLS LAST") == logged

    version = lake.version("order_tracking")
    assert jobs(uri) == results
    assert lake.version("order_tracking") == version
    assert (
        lake.rows("order_tracking_quarantine", "_source_file, _generation, _record, reasons, _batch_id") == quarantine
    )
    assert lake.rows("ingestion_log", names, order_by="batch_id, object NULLS LAST") == logged


def test_it_says_what_to_do_about_a_missing_manifest(
    oldest_client: Path, spark_remote: SparkRemote, tmp_path: Path
) -> None:
    uri = str(tmp_path / "none.json")
    ended = run(["merge.py"], spark_remote.remote, tmp_path, uri, python=oldest_client)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1] == (
        f"ingestion_jobs.errors.IngestionError: manifest {uri} does not exist: "
        "run plan_batch again, it writes one per batch"
    )
