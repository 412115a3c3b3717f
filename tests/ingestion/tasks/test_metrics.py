"""The pipeline's own metrics, as a statsd server hears them."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.providers.databricks.hooks.databricks import RunState
from airflow.sdk import DAG
from airflow.sdk._shared.observability.metrics import stats
from airflow.sdk.observability.metrics import stats_utils
from google.cloud.storage import Bucket

from ingestion.pipeline.feeds import Feed
from ingestion.tasks.archive import ArchiveFilesOperator
from ingestion.tasks.merge import MergeBatchOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, put
from tests.ingestion.tasks.test_merge import COUNTS, TABLE
from tests.operators import new_context
from tests.uv import packages

EXTRAS = Path(__file__).with_name("extras.txt")
END = "end"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What was sent so far to a statsd server that Airflow is set to use, as a task's process is."""
    monkeypatch.syspath_prepend(packages(EXTRAS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        for name, value in (("ON", "true"), ("HOST", "127.0.0.1"), ("PORT", str(server.getsockname()[1]))):
            monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)

        def received() -> list[str]:
            stats.incr(END)
            return sorted(message for message in iter(lambda: server.recv(1000).decode(), f"airflow.{END}:1|c"))

        yield received
        monkeypatch.undo()
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


def test_rows_are_counted_by_what_became_of_them(
    feed: Feed, heard: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MergeBatchOperator, "_result", lambda task, run_id: COUNTS)
    task = MergeBatchOperator(task_id="merge", feed=feed, bucket="orders", table=TABLE.name, batch_id="b1", json={})
    state = RunState("TERMINATED", "SUCCESS", "").to_json()
    task.execute_complete(new_context(TABLE), {"run_id": 1, "run_page_url": "", "run_state": state})
    assert [message for message in heard() if "ingestion" in message] == [
        "airflow.ingestion.order_tracking.rows.inserted:3|c",
        "airflow.ingestion.order_tracking.rows.quarantined:2|c",
        "airflow.ingestion.order_tracking.rows.stale:1|c",
    ]


@pytest.mark.usefixtures("bucket_environment")
def test_a_file_is_counted_and_timed_when_it_leaves_source_and_never_again(
    bucket: Bucket, feed: Feed, heard: Callable[[], list[str]]
) -> None:
    put(bucket, NAME, FIRST)
    put(bucket, NAME.replace("_20.csv", "_21.csv"), b"")
    must_plan(bucket, feed)
    with DAG(feed.name):
        task = ArchiveFilesOperator(
            task_id="archive", feed=feed, bucket=bucket.name, batch_id="b1", merged_batch_id="b1"
        )
    task.execute({})
    timer, *counters = (message for message in heard() if "ingestion" in message)
    assert counters == [
        "airflow.ingestion.order_tracking.files.loaded:1|c",
        "airflow.ingestion.order_tracking.files.rejected:1|c",
    ]
    name, milliseconds = timer.removesuffix("|ms").split(":")
    assert name == "airflow.ingestion.order_tracking.delivery_to_archive"
    assert 0 < float(milliseconds) < 600_000
    task.execute({})
    assert [message for message in heard() if "ingestion" in message] == []
