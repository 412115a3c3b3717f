"""Live, manual and backfill runs of one feed at once, through a running Airflow.

Shares the stack and its story with test_pipeline.py; each test leaves `source/` empty and a live run waiting.
"""

import pytest
from google.cloud.storage import Bucket

from tests.e2e.clients import DAG, ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.story import HEADER, archived, assert_target, names

FIRST, LAST = "2026-08-01", "2026-08-04"
DAYS_WITH_FILES = ("2026-08-02", "2026-08-04")
# A backfill of which two days run jobs, one after the other, on a machine that does other things as well.
LONG_SECONDS = 400


def daily_file(day: str, status: str) -> str:
    return f"{HEADER}2001,B1,{day},,{status},9 Ninth St,{day} 08:00:00\n2002,B{day},{day},,{status},,{day} 09:00:00\n"


def put_days(deliveries: Deliveries, *days: str) -> None:
    for day in days:
        deliveries.put(f"order_tracking_{day.replace('-', '_')}.csv", daily_file(day, f"OF_{day}"))


def test_a_backfill_a_manual_run_and_an_arrival_end_right_while_a_live_run_waits(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    put_days(deliveries, *DAYS_WITH_FILES)
    wait_for("the old days loaded", lambda: not names(live_bucket, "source/"))
    waiting = wait_for("a live run waits", airflow.waiting_run)
    version = lakehouse.version("order_tracking")
    wait_for("no other backfill", lambda: not airflow.active_backfills())

    airflow.backfill(FIRST, LAST, max_active_runs=2)
    wait_for("the backfill runs", lambda: "running" in airflow.backfill_runs(FIRST, LAST).values())
    wait_for("two days ended", lambda: list(airflow.backfill_runs(FIRST, LAST).values()).count("success") > 1)
    assert airflow.state(waiting) == "running", "a live run need not make way for a backfill"
    assert not all_ended(airflow), "a day with a file is still to be loaded"
    # Under a midnight, as only a backfill run would otherwise be.
    manual = airflow.trigger("2026-10-20T00:00:00Z")
    wait_for("the manual run ended", lambda: airflow.state(manual) in ENDED)
    arrival = deliveries.put("order_tracking_2026_10_20.csv", daily_file("2026-10-20", "ARRIVED"))
    wait_for("the arrival archived", lambda: archived(live_bucket, arrival), LONG_SECONDS)
    wait_for("the backfill ended", lambda: all_ended(airflow), LONG_SECONDS)

    assert set(airflow.backfill_runs(FIRST, LAST).values()) == {"success"}
    assert len(airflow.backfill_runs(FIRST, LAST)) == 4
    assert airflow.state(manual) == "success"
    runs = {day: f"backfill__{day}T00:00:00+00:00" for day in airflow.backfill_runs(FIRST, LAST)}
    stages = {day: airflow.states(run)["stage"] for day, run in runs.items()}
    assert tuple(day for day, state in stages.items() if state == "success") == DAYS_WITH_FILES
    assert set(stages.values()) == {"success", "skipped"}
    assert_target(lakehouse, deliveries)
    assert lakehouse.version("order_tracking") == version + 1, "only the arrival changed the table"
    assert [event for run in runs.values() for event in airflow.asset_events(run)] == []
    assert names(live_bucket, "source/") == []


def all_ended(airflow: Airflow) -> bool:
    return all(state in ENDED for state in airflow.backfill_runs(FIRST, LAST).values())


@pytest.mark.soak
def test_neither_a_pause_nor_a_run_called_green_starts_a_stampede(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    wait_for("a live run waits", airflow.waiting_run)
    put_days(deliveries, "2026-10-13")
    staging = wait_for("a run stages", lambda: airflow.run_with_job("stage"))
    airflow.pause(True)
    airflow.mark_success(staging)
    assert names(live_bucket, "source/"), "the run called green has left its file"
    before = {run["dag_run_id"] for run in airflow.runs(DAG)}
    airflow.unpause()
    wait_for("the file archived by another run", lambda: not names(live_bucket, "source/"))
    wait_for("a live run waits", airflow.waiting_run)
    assert len({run["dag_run_id"] for run in airflow.runs(DAG)} - before) == 2, "one run loads it, one waits"
    assert_target(lakehouse, deliveries)


@pytest.mark.soak
def test_the_same_file_in_two_runs_ends_right(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    """A live run and a backfill of its day plan one file side by side."""
    wait_for("no other backfill", lambda: not airflow.active_backfills())
    wait_for("a live run waits", airflow.waiting_run)
    put_days(deliveries, "2026-10-12")
    airflow.backfill("2026-10-12", "2026-10-12", max_active_runs=1)
    ended = {"2026-10-12": "success"}
    wait_for("the backfill ended", lambda: airflow.backfill_runs("2026-10-12", "2026-10-12") == ended)
    wait_for("a live run waits", airflow.waiting_run)
    assert_target(lakehouse, deliveries)
    assert names(live_bucket, "source/") == []
    assert len(names(live_bucket, "archive/order_tracking/2026-10-12/")) == 1
    manifests = [text for text in manifest_texts(live_bucket) if "order_tracking_2026_10_12.csv" in text]
    assert len(manifests) == 2, "both runs planned the file"


def manifest_texts(bucket: Bucket) -> list[str]:
    found = names(bucket, "batches/order_tracking/")
    return [bucket.blob(name).download_as_text() for name in found if name.endswith("manifest.json")]
