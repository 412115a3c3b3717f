"""What the end-to-end tests deliver and look for: the story that they share."""

from google.cloud.storage import Bucket

from tests.e2e.clients import ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.jobs import Jobs
from tests.oracle import Delivery, expected_target

HEADER = "order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address,last_update_timestamp\n"
FIRST_DAY = (
    HEADER
    + "1001,T1,2026-11-19,,IN_TRANSIT,1 First St,2026-11-20 08:00:00\n"
    + "1001,T1,2026-11-19,,OUT_FOR_DELIVERY,1 First St,2026-11-20 12:00:00\n"  # the newer of two rows in one file
    + '1002,T2,2026-11-19,,IN_TRANSIT,"2 Second St, ""rear""\nfloor 2",2026-11-20 09:00:00\n'
    + "1003,,2026-11-19,,IN_TRANSIT,3 Third St,2026-11-20 09:00:00\n"  # no key
    + "1004,T4,2026-11-19,,IN_TRANSIT,4 Fourth St,yesterday\n"  # no time
)


def names(bucket: Bucket, prefix: str) -> list[str]:
    return sorted(blob.name for blob in bucket.client.list_blobs(bucket, prefix=prefix))


def archived_name(delivery: Delivery) -> str:
    stem = delivery.object.removeprefix("source/").removesuffix(".csv")
    day = stem.removeprefix("order_tracking_").replace("_", "-")
    return f"archive/order_tracking/{day}/{stem}.{delivery.generation}.csv"


def archived(bucket: Bucket, delivery: Delivery) -> bool:
    return bucket.blob(archived_name(delivery)).exists() and bucket.get_blob(delivery.object) is None


def moved_by(airflow: Airflow, bucket: Bucket, name: str) -> str | None:
    """The latest run that archived, if it moved a file to this name."""
    run = airflow.newest_run("archive", "success")
    return run if run and f"gs://{bucket.name}/{name}" in airflow.returned(run, "archive") else None


def wait_until_archived(airflow: Airflow, bucket: Bucket, delivery: Delivery) -> str:
    """The id of the run that loaded it, ended."""
    run = wait_for(f"{delivery.object} archived", lambda: moved_by(airflow, bucket, archived_name(delivery)))
    assert archived(bucket, delivery)
    wait_for(f"{run} ended", lambda: airflow.state(run) in ENDED)
    return run


def assert_target(lakehouse: Lakehouse, deliveries: Deliveries) -> None:
    rows = lakehouse.rows("order_tracking")
    found = {row["tracking_num"]: row for row in rows}
    assert len(found) == len(rows), "a key twice"
    assert found == expected_target(deliveries.made)


def daily(day: int, status: str = "IN_TRANSIT") -> str:
    date = f"2026-09-{day:02d}"
    shared = f"3001,F1,{date},,{status},1 Fault St,{date} 08:00:00\n"
    return f"{HEADER}{shared}3002,F{day}-2,{date},,{status},,{date} 09:00:00\n"


def pinned(bucket: Bucket) -> list[str]:
    """All pinned copies there are: runs that other tests have let fail for good leave theirs."""
    return [name for name in names(bucket, "batches/order_tracking/") if "/input/" in name]


def assert_settled(bucket: Bucket, jobs: Jobs, files: list[Delivery], pinned_before: list[str]) -> None:
    """Each file is archived once, byte for byte, nothing else is left of it, and no run goes on writing."""
    days = {archived_name(file).rsplit("/", 1)[0] for file in files}
    assert [name for day in sorted(days) for name in names(bucket, day)] == sorted(map(archived_name, files))
    for file in files:
        assert bucket.blob(archived_name(file)).download_as_text() == file.text
    assert names(bucket, "source/") == []
    assert pinned(bucket) == pinned_before
    assert jobs.active() == []
