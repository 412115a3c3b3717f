"""Files land in the bucket of a running Airflow and end up in the table, the quarantine, the archive.

One stack, one story: each test delivers into the state the one before left, as days follow each other. What the target
must hold is computed by tests/oracle.py from everything delivered so far.
"""

import pytest
from google.cloud.storage import Bucket

from tests.e2e.clients import ENDED, Airflow, Deliveries, Lakehouse, wait_for
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
SECOND_DAY = (
    HEADER
    + "1001,T1,2026-11-19,2026-11-21,DELIVERED,1 First St,2026-11-21 10:00:00\n"  # update
    + "1002,T2,2026-11-19,,LABEL_CREATED,2 Second St,2026-11-18 10:00:00\n"  # stale: older than what is there
    + "1005,T5,2026-11-20,,IN_TRANSIT,5 Fifth St,2026-11-21 11:00:00\n"  # new
)


def names(bucket: Bucket, prefix: str) -> list[str]:
    return sorted(blob.name for blob in bucket.client.list_blobs(bucket, prefix=prefix))


def archived_name(delivery: Delivery) -> str:
    stem = delivery.object.removeprefix("source/").removesuffix(".csv")
    day = stem.removeprefix("order_tracking_").replace("_", "-")
    return f"archive/order_tracking/{day}/{stem}.{delivery.generation}.csv"


def archived(bucket: Bucket, delivery: Delivery) -> bool:
    return bucket.blob(archived_name(delivery)).exists() and bucket.get_blob(delivery.object) is None


def wait_until_archived(airflow: Airflow, bucket: Bucket, delivery: Delivery) -> str:
    """The id of the run that loaded it, ended."""
    wait_for(f"{delivery.object} archived", lambda: archived(bucket, delivery))
    run = wait_for("the run's archive ended", lambda: airflow.newest_run(lambda states: states["archive"] == "success"))
    wait_for(f"{run} ended", lambda: airflow.state(run) in ENDED)
    return run


def assert_target(lakehouse: Lakehouse, deliveries: Deliveries) -> None:
    rows = lakehouse.rows("order_tracking")
    found = {row["tracking_num"]: row for row in rows}
    assert len(found) == len(rows), "a key twice"
    assert found == expected_target(deliveries.made)


def test_a_first_day_is_loaded_by_itself(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    delivery = deliveries.put("order_tracking_2026_11_20.csv", FIRST_DAY)
    run = wait_until_archived(airflow, live_bucket, delivery)
    assert set(airflow.states(run).values()) == {"success"}
    assert_target(lakehouse, deliveries)
    assert live_bucket.blob(archived_name(delivery)).download_as_text() == FIRST_DAY
    bad = sorted((row["_record"], row["reasons"]) for row in lakehouse.rows("order_tracking_quarantine"))
    assert [record for record, _ in bad] == [4, 5]
    assert "tracking_num" in bad[0][1][0]
    assert "last_update_timestamp" in bad[1][1][0]
    counts = airflow.counts(run, "merge")
    assert (counts["rows_inserted"], counts["rows_updated"], counts["rows_duplicate"]) == (2, 0, 1)


def test_a_changed_day_updates_inserts_and_leaves_newer_rows_alone(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    run = wait_until_archived(airflow, live_bucket, deliveries.put("order_tracking_2026_11_21.csv", SECOND_DAY))
    assert_target(lakehouse, deliveries)
    counts = airflow.counts(run, "merge")
    assert (counts["rows_inserted"], counts["rows_updated"], counts["rows_stale"]) == (1, 1, 1)


def test_the_same_file_delivered_again_is_loaded_and_archived_as_a_new_one(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    wait_until_archived(airflow, live_bucket, deliveries.put("order_tracking_2026_11_21.csv", SECOND_DAY))
    assert_target(lakehouse, deliveries)
    assert len(names(live_bucket, "archive/order_tracking/2026-11-21/")) == 2
    assert names(live_bucket, "source/") == []


def test_a_bad_file_is_rejected_without_any_databricks_run(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse
) -> None:
    before = lakehouse.version("order_tracking")
    live_bucket.blob("source/order_tracking_2026_11_22.csv").upload_from_string("order_num;tracking_num\n1;2\n")
    moved = wait_for("the file moved", lambda: names(live_bucket, "rejected/order_tracking/2026-11-22/"))
    assert moved
    wait_for("source/ empty", lambda: not names(live_bucket, "source/"))
    run = wait_for(
        "a run that only archived",
        lambda: airflow.newest_run(lambda states: (states["stage"], states["archive"]) == ("skipped", "success")),
    )
    assert airflow.states(run)["merge"] == "skipped"
    assert lakehouse.version("order_tracking") == before


def test_a_manual_run_goes_first_while_a_live_run_waits(airflow: Airflow) -> None:
    waiting = wait_for("a live run waits", airflow.waiting_run)
    manual = airflow.trigger()
    wait_for("the manual run ended", lambda: airflow.state(manual) in ENDED)
    assert (airflow.state(waiting), airflow.state(manual)) == ("success", "success")
    assert airflow.states(manual)["plan_batch"] == "skipped"
    assert wait_for("another live run waits", airflow.waiting_run) != waiting


def test_what_is_no_file_of_the_feed_starts_nothing(airflow: Airflow, live_bucket: Bucket) -> None:
    waiting = wait_for("a live run waits", airflow.waiting_run)
    stranger = live_bucket.blob("source/readme.txt")
    stranger.upload_from_string("not a file of any feed")
    looks = 3  # of INGESTION_POLL_SECONDS=1; the same run must still wait after them
    with pytest.raises(pytest.fail.Exception):
        wait_for("the run goes on", lambda: airflow.states(waiting)["detect_new_files"] != "deferred", looks)
    assert stranger.exists()
    stranger.delete()
