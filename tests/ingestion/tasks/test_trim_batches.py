"""The task that trims `batches/`."""

from datetime import timedelta

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket

from ingestion.pipeline.feeds import Feed
from ingestion.tasks.trim_batches import TrimBatchesOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, names, put

pytestmark = pytest.mark.usefixtures("bucket_environment")


def test_it_keeps_what_is_young_and_says_what_it_did(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    must_plan(bucket, feed, "b1")
    put(bucket, "batches/order_tracking/b0/manifest.json", "{}")

    def trimmed(keep: timedelta) -> dict[str, object]:
        buckets = {bucket.name: "google_cloud_default"}
        return TrimBatchesOperator(task_id="trim_batches", buckets=buckets, keep=keep).execute({})

    assert trimmed(timedelta(days=30)) == {"removed": 0, "kept": {}}
    result = trimmed(timedelta(seconds=-2))
    assert result["removed"] == 1
    assert list(result["kept"]) == [f"gs://{bucket.name}/batches/order_tracking/b1/"]  # not archived
    assert len(names(bucket, "batches/")) == 2


def test_a_bucket_that_cannot_be_trimmed_keeps_no_other_from_it(bucket: Bucket) -> None:
    put(bucket, "batches/order_tracking/b0/manifest.json", "{}")
    buckets = dict.fromkeys(("there-is-none", bucket.name), "google_cloud_default")
    with pytest.raises(NotFound):
        TrimBatchesOperator(task_id="trim_batches", buckets=buckets, keep=timedelta(seconds=-2)).execute({})
    assert names(bucket, "batches/") == []
