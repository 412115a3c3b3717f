"""What `stage` does beside running its job: tell people of bad rows, and put back what was archived."""

import logging

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.stage import StageBatchOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, put
from tests.ingestion.tasks.conftest import printing
from tests.local.databricks.harness import Service, payload
from tests.operators import execute_to_end, new_context

COUNTS = {"batch_id": "b1", "rows_read": 200, "rows_quarantined": 2, "reasons": {"status: missing": 2}}


def stage(service: Service, bucket: Bucket, feed: Feed, token: str) -> StageBatchOperator:
    return StageBatchOperator(
        task_id="stage",
        feed=feed,
        bucket=bucket.name,
        json=payload(service.script(f"{token}.py", printing(COUNTS))),
        run_name="try 1",
        idempotency_token=token,
        batch_id="b1",
        polling_period_seconds=1,
    )


@pytest.mark.parametrize(("limit", "alerted"), [(0.0099, True), (0.01, False)])
def test_more_bad_rows_than_the_feed_allows_are_told(
    service: Service, bucket: Bucket, feed: Feed, limit: float, alerted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    put(bucket, NAME, FIRST)
    feed = feed.model_copy(update={"bad_row_share": limit})
    must_plan(bucket, feed)
    with caplog.at_level(logging.WARNING):
        result = execute_to_end(stage(service, bucket, feed, f"share-{limit}"), new_context())
    assert result == COUNTS
    assert ("2 of 200 rows quarantined" in caplog.text) is alerted
    assert ("2 x status: missing" in caplog.text) is alerted


def test_a_batch_that_was_archived_is_put_back_before_its_job_runs(
    service: Service, bucket: Bucket, feed: Feed
) -> None:
    put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    archive(bucket, manifest)
    pinned = manifest.files[0].input.removeprefix(f"gs://{bucket.name}/")
    assert not bucket.blob(pinned).exists()
    execute_to_end(stage(service, bucket, feed, "archived"), new_context())
    assert bucket.blob(pinned).download_as_text() == FIRST
