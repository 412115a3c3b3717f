"""Files of the mission's feed in a bucket, and batches planned of them, for the tests of planning and archiving."""

from datetime import date

from google.cloud.storage import Bucket

from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import Manifest
from ingestion.pipeline.planning import Planner, plan
from ingestion.pipeline.run_request import Days, RunRequest, RunType

HEADER = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp\n"
NAME = "source/order_tracking_2026_11_20.csv"
ARCHIVED = "archive/order_tracking/2026-11-20/order_tracking_2026_11_20"
FIRST = HEADER + "1,T1,2026-11-19,,IN_TRANSIT,street,2026-11-20 10:00:00\n"
SECOND = HEADER + "1,T1,2026-11-19,,DELIVERED,street,2026-11-20 18:00:00\n"


def put(bucket: Bucket, name: str, content: str | bytes) -> int:
    blob = bucket.blob(name)
    blob.upload_from_string(content)
    return int(blob.generation)


def names(bucket: Bucket, prefix: str = "") -> list[str]:
    return sorted(blob.name for blob in bucket.client.list_blobs(bucket, prefix=prefix))


def planned(
    bucket: Bucket,
    feed: Feed,
    batch_id: str = "b1",
    days: Days | None = None,
    max_files: int | None = None,
    run_type: RunType = "manual",
) -> Manifest | None:
    request = RunRequest(run_type, days, max_files)
    return plan(bucket, feed, Planner(batch_id, feed.name, "run", "orders"), request)


def must_plan(
    bucket: Bucket, feed: Feed, batch_id: str = "b1", days: Days | None = None, max_files: int | None = None
) -> Manifest:
    manifest = planned(bucket, feed, batch_id, days, max_files)
    assert manifest is not None
    return manifest


def november(first: int, last: int | None = None) -> Days:
    return Days(date(2026, 11, first), date(2026, 11, last or first))
