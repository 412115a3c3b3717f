import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion_jobs import conflicts, merging
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.conftest import SparkRemote
from tests.spark_jobs.conftest import Lake, order


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before repetitions, taken down and not waited for."""
    taken: list[float] = []
    monkeypatch.setattr(conflicts.time, "sleep", taken.append)
    return taken


def test_two_merges_at_the_same_time_both_succeed(
    lake: Lake, spark_remote: SparkRemote, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    lake.load(lake.orders(order("T1", "ok", "07:00:00"), generation=1))
    uris = [
        lake.manifest(
            lake.orders(order("T1", f"batch {n}", f"0{n}:00:00"), order(f"N{n}", "ok", "07:00:00"), generation=n)
        )
        for n in (8, 9)
    ]
    for uri in uris:
        stage(lake.spark, uri)
    start = threading.Barrier(2)
    build = merging.merge_statement

    def build_together(*arguments: Any, **named: Any) -> str:
        start.wait(60)  # both jobs send their MERGE at the same moment
        return build(*arguments, **named)

    monkeypatch.setattr(merging, "merge_statement", build_together)

    def job(uri: str) -> dict[str, Any]:
        session = SparkSession.builder.remote(spark_remote.remote).create()
        try:
            return merge(session, uri)
        finally:
            session.stop()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(job, uris))

    assert pauses, "the two did not meet"
    assert lake.target("tracking_num", "status") == [("N8", "ok"), ("N9", "ok"), ("T1", "batch 9")]
    assert sum(result["rows_inserted"] for result in results) == 2


def test_a_conflict_that_does_not_end_is_given_up(pauses: list[float]) -> None:
    calls = []

    def always_late() -> None:
        calls.append(1)
        raise PySparkException("[DELTA_CONCURRENT_APPEND] files were added\nmore", errorClass="DELTA_CONCURRENT_APPEND")

    with pytest.raises(IngestionError, match=r"merging into t met another writer 6 times: .*DELTA_CONCURRENT_APPEND"):
        conflicts.repeat_on_conflict("merging into t", always_late)
    assert len(calls) == 6
    assert len(pauses) == 5
    assert pauses[4] > pauses[0]


def test_other_errors_are_not_repeated(lake: Lake, pauses: list[float]) -> None:
    with pytest.raises(PySparkException, match="TABLE_OR_VIEW_NOT_FOUND"):
        conflicts.repeat_on_conflict("reading", lambda: lake.spark.table(f"{lake.schema}.nothing").collect())
    assert pauses == []
