"""The archive operator moves nothing that `merge` has not merged, whatever states its tasks were given by hand."""

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import DAG
from google.cloud.storage import Bucket

from ingestion import alerts
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.archive import ArchiveFilesOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, names, put
from tests.refusals import HELD, Refusals

pytestmark = pytest.mark.usefixtures("bucket_environment")


def archive(feed: Feed, bucket: Bucket, merged: str) -> list[str]:
    with DAG(feed.name):
        task = ArchiveFilesOperator(
            task_id="archive", feed=feed, bucket=bucket.name, batch_id="b1", merged_batch_id=merged
        )
    return task.execute({})


@pytest.mark.parametrize("merged", ["", "b0"], ids=["marked as success", "plan_batch alone cleared"])
def test_a_batch_that_was_not_merged_stays_in_source(bucket: Bucket, feed: Feed, merged: str) -> None:
    put(bucket, NAME, FIRST)
    must_plan(bucket, feed)
    before = names(bucket)
    with pytest.raises(AirflowException, match=r"b1 was not merged .* clear stage"):
        archive(feed, bucket, merged)
    assert names(bucket) == before


def test_the_merged_batch_leaves_source(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    must_plan(bucket, feed)
    moved = archive(feed, bucket, "b1")
    assert moved == [f"gs://{bucket.name}/archive/order_tracking/2026-11-20/order_tracking_2026_11_20.{generation}.csv"]
    assert names(bucket, "source/") == []


def test_rejected_files_need_no_merge(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, b"")
    must_plan(bucket, feed)
    archive(feed, bucket, "")
    assert names(bucket, "source/") == []


def test_people_are_told_of_a_file_under_a_hold_and_the_task_is_green(
    bucket: Bucket, feed: Feed, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(alerts, "tell", lambda context, subject, lines: told.append((subject, lines)))
    put(bucket, NAME, FIRST)
    must_plan(bucket, feed)
    refusals.refuse("DELETE", NAME, HELD)
    assert len(archive(feed, bucket, "b1")) == 1
    ((subject, (line,)),) = told
    assert subject == "order_tracking: 1 object(s) could not be moved"
    assert f"gs://{bucket.name}/{NAME} generation" in line
