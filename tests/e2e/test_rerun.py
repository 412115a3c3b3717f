"""Old runs cleared, tables rebuilt from the archive, through a running Airflow.

Shares the stack and its story with test_pipeline.py; each test leaves `source/` empty and a live run waiting.
"""

from typing import Any

import pytest
from google.cloud.storage import Bucket
from pyspark.sql import SparkSession

from tests.conftest import Stack
from tests.e2e.clients import ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.story import archived, assert_target, names

LOGIN = "user_id,event_type,amount,event_timestamp\n123,login,,2026-10-01 09:00:00\n124,login,,2026-10-01 09:30:00\n"
PURCHASE = "user_id,event_type,amount,event_timestamp\n123,purchase,49.90,2026-10-02 18:45:00\n"


@pytest.mark.parametrize("task", ["archive", "merge", "stage", "plan_batch", "detect_new_files"])
def test_any_task_of_an_old_run_may_be_cleared(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries, first_run: str, task: str
) -> None:
    """The first three do their batch again, which changes nothing; the others look anew, and find nothing or wait."""
    wait_for("a live run waits", airflow.waiting_run)
    before = lakehouse.version("order_tracking"), names(live_bucket, "archive/")
    tries = airflow.tasks(airflow.dag, first_run)[task]["try_number"]
    airflow.clear(first_run, task)
    if task == "detect_new_files":
        wait_for("it waits as a live run does", lambda: airflow.states(first_run)[task] == "deferred")
        return
    wait_for(f"{first_run} ended", lambda: airflow.state(first_run) in ENDED)
    assert airflow.state(first_run) == "success"
    assert airflow.tasks(airflow.dag, first_run)[task]["try_number"] > tries
    again = {"archive", "merge", "stage"}
    assert airflow.states(first_run)["stage"] == ("success" if task in again else "skipped")
    assert (lakehouse.version("order_tracking"), names(live_bucket, "archive/")) == before
    assert_target(lakehouse, deliveries)
    assert names(live_bucket, "source/") == []


@pytest.fixture(scope="module")
def users(activity: Airflow, live_bucket: Bucket) -> None:
    """Two files are loaded: in one batch, most likely."""
    for day, text in (("2026_10_01", LOGIN), ("2026_10_02", PURCHASE)):
        live_bucket.blob(f"source/user_activity_{day}.csv").upload_from_string(text)
    wait_for("both archived", lambda: len(names(live_bucket, "archive/user_activity/")) == 2)
    wait_for("a live run waits", activity.waiting_run)


@pytest.mark.usefixtures("users")
def test_a_user_is_one_row_with_the_latest_event(lakehouse: Lakehouse) -> None:
    rows = [
        (row["user_id"], row["event_type"], str(row["amount"])) for row in lakehouse.rows("user_activity", "user_id")
    ]
    assert rows == [("123", "purchase", "49.90"), ("124", "login", "None")]


@pytest.mark.soak
@pytest.mark.usefixtures("users")
def test_dropped_tables_are_rebuilt_by_a_backfill(stack: Stack, activity: Airflow, lakehouse: Lakehouse) -> None:
    """In a batch for each file."""
    before = lakehouse.rows("user_activity", "user_id")
    assert before
    drop(stack, "user_activity", "user_activity_staging", "user_activity_quarantine")
    activity.backfill("2026-10-01", "2026-10-02", max_active_runs=1)
    ended = dict.fromkeys(("2026-10-01", "2026-10-02"), "success")
    wait_for("the backfill ended", lambda: activity.backfill_runs("2026-10-01", "2026-10-02") == ended)
    assert lakehouse.rows("user_activity", "user_id") == before


def test_dropped_tables_are_rebuilt_from_the_archive_by_one_run_over_all_days(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    """The whole story, with redeliveries, a late file, stale and bad rows: every row with its first lineage."""
    before = lakehouse.rows("order_tracking", "tracking_num"), quarantined(lakehouse)
    drop(stack, "order_tracking", "order_tracking_staging", "order_tracking_quarantine")
    run = airflow.trigger(reload_from="2026-09-01", reload_to="2026-11-30")
    wait_for("the run ended", lambda: airflow.state(run) in ENDED)
    assert set(airflow.states(run).values()) == {"success"}
    assert len(airflow.returned(run, "stage")["files"]) == len(deliveries.made), "all days are one batch"
    assert (lakehouse.rows("order_tracking", "tracking_num"), quarantined(lakehouse)) == before
    assert_target(lakehouse, deliveries)
    assert all(archived(live_bucket, delivery) for delivery in deliveries.made)


def test_a_form_that_asks_for_too_much_fails_at_once_and_says_what_would_fit(activity: Airflow) -> None:
    run = activity.trigger(reload_from="2026-10-01", reload_to="2026-10-02", max_files=1)
    wait_for("the run ended", lambda: activity.state(run) in ENDED)
    task = activity.tasks(activity.dag, run)["plan_batch"]
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert "2026-10-01 to 2026-10-01 would fit" in activity.log(activity.dag, run, task)


def quarantined(lakehouse: Lakehouse) -> list[tuple[Any, ...]]:
    """The quarantine without the batch that filled it."""
    place = ("_source_file", "_generation", "_record", "_delivered_at")
    rows = lakehouse.rows("order_tracking_quarantine", ", ".join(place))
    return [(*(row[name] for name in place), row["file_date"], tuple(row["reasons"]), row["raw"]) for row in rows]


def drop(stack: Stack, *tables: str) -> None:
    spark = SparkSession.builder.remote(stack.env["SPARK_REMOTE"]).create()
    for table in tables:
        spark.sql(f"DROP TABLE orders.{table}")
    spark.stop()
