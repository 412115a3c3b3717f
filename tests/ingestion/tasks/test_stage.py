"""What `stage` does beside running its job: tell people of bad rows, and put back what was archived."""

import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from google.cloud.storage import Bucket

from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.stage import StageBatchOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, planned, put
from tests.ingestion.tasks.conftest import printing
from tests.local.databricks.harness import Service, payload
from tests.operators import execute_to_end, new_context

COUNTS = {"batch_id": "b1", "rows_read": 200, "rows_quarantined": 2, "reasons": {"status: missing": 2}}


def stage(service: Service, bucket: Bucket, feed: Feed, token: str, text: str = "") -> StageBatchOperator:
    return StageBatchOperator(
        task_id="stage",
        feed=feed,
        bucket=bucket.name,
        json=payload(service.script(f"{token}.py", text or printing(COUNTS))),
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


JOB_THAT_FAILS = """
class IngestionError(Exception): pass
class RefusedError(IngestionError): pass
raise {error}("column status of orders.t is int, feed order_tracking says string: undo the change")
"""


@pytest.mark.parametrize(("error", "is_final"), [("RefusedError", True), ("IngestionError", False)])
def test_what_a_job_refuses_is_not_tried_again_and_its_files_are_left_alone(
    service: Service, bucket: Bucket, feed: Feed, error: str, is_final: bool
) -> None:
    put(bucket, NAME, FIRST)
    must_plan(bucket, feed)
    job = stage(service, bucket, feed, f"raises-{error}", JOB_THAT_FAILS.format(error=error))
    with pytest.raises(AirflowException, match=r"column status of orders\.t is int") as failure:
        execute_to_end(job, new_context())
    assert isinstance(failure.value, AirflowFailException) is is_final  # which Airflow does not try again
    assert (planned(bucket, feed, "b2", run_type="scheduled") is None) is is_final
