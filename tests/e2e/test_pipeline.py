"""Files land in the bucket of a running Airflow and end up in the table, the quarantine, the archive.

One stack, one story: each test delivers into the state the one before left, as days follow each other. What the target
must hold is computed by tests/oracle.py from everything delivered so far.
"""

import httpx
import pytest
from google.cloud.storage import Bucket

from tests.e2e.clients import ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.story import FIRST_DAY, HEADER, archived_name, assert_target, moved_by, names, wait_until_archived

SECOND_DAY = (
    HEADER
    + "1001,T1,2026-11-19,2026-11-21,DELIVERED,1 First St,2026-11-21 10:00:00\n"  # update
    + "1002,T2,2026-11-19,,LABEL_CREATED,2 Second St,2026-11-18 10:00:00\n"  # stale: older than what is there
    + "1005,T5,2026-11-20,,IN_TRANSIT,5 Fifth St,2026-11-21 11:00:00\n"  # new
)


def test_a_first_day_is_loaded_by_itself(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries, first_run: str
) -> None:
    assert set(airflow.states(first_run).values()) == {"success"}
    assert_target(lakehouse, deliveries)
    assert live_bucket.blob(archived_name(deliveries.made[0])).download_as_text() == FIRST_DAY
    bad = sorted((row["_record"], row["reasons"]) for row in lakehouse.rows("order_tracking_quarantine"))
    assert [record for record, _ in bad] == [4, 5]
    assert "tracking_num" in bad[0][1][0]
    assert "last_update_timestamp" in bad[1][1][0]
    counts = airflow.returned(first_run, "merge")
    assert (counts["rows_inserted"], counts["rows_updated"], counts["rows_duplicate"]) == (2, 0, 1)
    (event,) = airflow.asset_events(first_run)
    assert (event["file_count"], event["first_day"], event["last_day"]) == (1, "2026-11-20", "2026-11-20")
    assert (event["rows_read"], event["rows_inserted"], event["rows_quarantined"]) == (5, 2, 2)


def test_a_changed_day_updates_inserts_and_leaves_newer_rows_alone(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    run = wait_until_archived(airflow, live_bucket, deliveries.put("order_tracking_2026_11_21.csv", SECOND_DAY))
    assert_target(lakehouse, deliveries)
    counts = airflow.returned(run, "merge")
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
    wait_for("source/ empty", lambda: not names(live_bucket, "source/"))
    moved = names(live_bucket, "rejected/order_tracking/2026-11-22/")
    assert len(moved) == 2, "the file and the reason"
    run = wait_for("its run ended", lambda: moved_by(airflow, live_bucket, moved[0]))
    states = airflow.states(run)
    assert (states["stage"], states["merge"]) == ("skipped", "skipped")
    assert lakehouse.version("order_tracking") == before


def test_a_manual_run_goes_first_while_a_live_run_waits(airflow: Airflow) -> None:
    waiting = wait_for("a live run waits", airflow.waiting_run)
    manual = airflow.trigger()
    wait_for("the manual run ended", lambda: airflow.state(manual) in ENDED)
    assert (airflow.state(waiting), airflow.state(manual)) == ("success", "success")
    assert airflow.states(manual)["plan_batch"] == "skipped"
    assert wait_for("another live run waits", airflow.waiting_run) != waiting


def test_a_manual_run_of_a_date_that_airflow_would_never_start_is_refused(airflow: Airflow) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        airflow.trigger(logical_date="2130-01-01T00:00:00Z")


def test_what_is_no_file_of_the_feed_starts_nothing(airflow: Airflow, live_bucket: Bucket) -> None:
    waiting = wait_for("a live run waits", airflow.waiting_run)
    stranger = live_bucket.blob("source/readme.txt")
    stranger.upload_from_string("not a file of any feed")
    looks = 3  # of INGESTION_POLL_SECONDS=1; the same run must still wait after them
    with pytest.raises(pytest.fail.Exception):
        wait_for("the run goes on", lambda: airflow.states(waiting)["detect_new_files"] != "deferred", looks)
    assert stranger.exists()
    stranger.delete()
