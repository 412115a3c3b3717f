"""The task that trims `batches/`."""

from datetime import timedelta

import pytest
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
        return TrimBatchesOperator(task_id="trim_batches", bucket=bucket.name, keep=keep).execute({})

    assert trimmed(timedelta(days=30)) == {"removed": 0, "kept": {}}
    result = trimmed(timedelta(seconds=-2))
    assert result["removed"] == 1
    assert list(result["kept"]) == ["batches/order_tracking/b1/"]  # not archived
    assert len(names(bucket, "batches/")) == 2
