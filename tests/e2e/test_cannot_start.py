"""Runs that cannot start stop none that can, in a running Airflow.

Shares the stack and its story with test_pipeline.py; leaves `source/` empty and a live run waiting.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from google.cloud.storage import Bucket

from tests.conftest import Stack
from tests.e2e.clients import DAG, ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.story import HEADER, assert_target, names, wait_until_archived

# More than Airflow looks at in a round by default.
WAITING_RUNS = 25
# Runs of the first wait for a slot of a pool that has none: always running, at no cost.
DAGS = """
from datetime import datetime
from airflow.sdk import DAG, task

with DAG("always_waiting", schedule=None, max_active_runs=25):

    @task(pool="no_slots")
    def wait():
        pass

    wait()

with DAG("beside_them", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False):

    @task
    def work():
        pass

    work()
"""


def live_runs(airflow: Airflow) -> set[str]:
    return {run["dag_run_id"] for run in airflow.runs(DAG) if run["run_type"] == "scheduled"}


def waits_beside_others(airflow: Airflow) -> str | None:
    """The waiting run, once it has looked at queued runs and has waited on."""
    run = airflow.waiting_run()
    task = airflow.tasks(DAG, run)["detect_new_files"] if run else {}
    return run if run and "Waits on beside" in airflow.log(DAG, run, task, lines=200) else None


def trigger_for_tomorrow(airflow: Airflow, name: str | None = None) -> httpx.Response:
    order = {"logical_date": None, "run_after": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    return airflow._client.post(f"/dags/{DAG}/dagRuns", json=order | ({"dag_run_id": name} if name else {}))


def test_a_run_for_tomorrow_and_a_paused_backfill_of_an_old_run_stop_no_arrival(
    airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    wait_for("no other backfill", lambda: not airflow.active_backfills())
    old = airflow.trigger("2026-09-10T00:00:00Z")
    wait_for("an old manual run", lambda: airflow.state(old) in ENDED)
    wait_for("a live run waits", airflow.waiting_run)

    order = {"dag_id": DAG, "from_date": "2026-09-09T00:00:00Z", "to_date": "2026-09-10T00:00:00Z"}
    order |= {"max_active_runs": 1, "reprocess_behavior": "completed"}
    backfill = airflow._client.post("/backfills", json=order).raise_for_status().json()["id"]
    airflow._client.put(f"/backfills/{backfill}/pause").raise_for_status()
    assert airflow.state(old) == "queued", "the backfill has taken it over"
    refused = trigger_for_tomorrow(airflow)
    assert refused.status_code == httpx.codes.BAD_REQUEST
    assert "is in the future: until then no other run of this DAG would begin" in refused.text
    waiting = wait_for("a live run waits beside the old one", lambda: waits_beside_others(airflow))
    before = live_runs(airflow)
    trigger_for_tomorrow(airflow, "named_by_its_caller").raise_for_status()

    arrival = deliveries.put("order_tracking_2026_10_23.csv", f"{HEADER}1,W1,2026-10-23,,NEW,,2026-10-23 09:00:00\n")
    assert wait_until_archived(airflow, live_bucket, arrival) == waiting, "it has made way for neither"
    assert live_runs(airflow) == before
    assert_target(lakehouse, deliveries)

    airflow._client.delete(f"/dags/{DAG}/dagRuns/named_by_its_caller").raise_for_status()
    wait_for("the next live run waits beside the old one", lambda: waits_beside_others(airflow))
    assert len(live_runs(airflow) - before) == 1, "one live run has followed the other"
    airflow._client.put(f"/backfills/{backfill}/unpause").raise_for_status()
    wait_for("the old run again", lambda: airflow.state(old) == "success")
    assert names(live_bucket, "source/") == []


def test_the_calendar_plans_no_thousands_of_runs(airflow: Airflow) -> None:
    wait_for("a live run waits", airflow.waiting_run)
    now = datetime.now(UTC)
    asked = {"granularity": "daily", "logical_date_gte": now.isoformat()}
    asked |= {"logical_date_lte": (now + timedelta(days=365)).isoformat()}
    answer = airflow._client.get(f"{airflow.url}/ui/calendar/{DAG}", params=asked).raise_for_status()
    assert sum(item["count"] for item in answer.json()["dag_runs"] if item["state"] == "planned") <= 3


@pytest.fixture
def beside_them(stack: Stack) -> Iterator[Airflow]:
    """A DAG beside as many runs that always run."""
    path = stack.dags / "always_waiting.py"
    path.write_text(DAGS)
    waiting, beside = Airflow(stack.home, "always_waiting"), Airflow(stack.home, "beside_them")
    waiting._client.post("/pools", json={"name": "no_slots", "slots": 0}).raise_for_status()
    wait_for("the DAGs", lambda: beside._client.get("/dags/beside_them").is_success)
    runs = [wait_for("a run", lambda: waiting.trigger()) for _ in range(WAITING_RUNS)]
    yield beside
    path.unlink()
    for run in runs:
        waiting.mark_success(run)


def test_a_backfill_ends_beside_more_waiting_runs_than_airflow_looks_at_by_default(beside_them: Airflow) -> None:
    running = {"dag_ids": ["always_waiting"], "states": ["running"], "page_limit": 100}

    def count() -> int:
        answer = beside_them._client.post("/dags/~/dagRuns/list", json=running).raise_for_status()
        return answer.json()["total_entries"]

    wait_for("all of them run", lambda: count() == WAITING_RUNS)
    beside_them.backfill("2026-10-01", "2026-10-02", max_active_runs=1)
    ended = {"2026-10-01": "success", "2026-10-02": "success"}
    wait_for("the backfill ended", lambda: beside_them.backfill_runs("2026-10-01", "2026-10-02") == ended)
    assert count() == WAITING_RUNS
