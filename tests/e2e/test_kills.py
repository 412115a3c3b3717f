"""Tasks and a Databricks run are killed at every step of one DAG run, and its files end up where they belong, once.

The proxies between Airflow and the two services are the clock: a task is killed while a certain request of it is held.
Shares the stack and its story with test_pipeline.py; leaves `source/` empty and a live run waiting.
"""

from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from tests.conftest import Stack
from tests.e2e.clients import ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.jobs import RUNS_GET, RUNS_SUBMIT, Jobs
from tests.e2e.story import archived_name, assert_settled, assert_target, daily, pinned, wait_until_archived
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Hold

LOOKS_OF_SUBMIT = 4  # of one try at a run that it has taken over, before it waits for it

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("healed")]


def test_a_run_that_is_killed_at_every_step_loads_each_file_once(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries, jobs: Jobs
) -> None:
    """Two files, one of them replaced while the batch is staged: that is a third one, for the next run."""
    wait_for("a live run waits", airflow.waiting_run)
    before = pinned(live_bucket)
    copying = stack.bucket.hold("POST", "/rewriteTo/.*archive/order_tracking/2026-09-01/")
    deleting = stack.bucket.hold("DELETE", "/o/source/order_tracking_2026_09_02.csv")
    look = stack.databricks.hold("GET", RUNS_GET)
    files = [deliveries.put(f"order_tracking_2026_09_0{day}.csv", daily(day)) for day in (1, 2)]

    wait_for("stage has submitted its run", look.reached.is_set)
    run = airflow.newest_run("stage", "running")
    assert run
    frozen = jobs.freeze()
    kill_client(stack.databricks, look)
    files.append(deliveries.put("order_tracking_2026_09_01.csv", daily(1, "REPLACED")))
    submitted, looks = (len(stack.databricks.seen(*request)) for request in (("POST", RUNS_SUBMIT), ("GET", RUNS_GET)))
    wait_for("the next try submits", lambda: len(stack.databricks.seen("POST", RUNS_SUBMIT)) > submitted)
    wait_for("and waits", lambda: len(stack.databricks.seen("GET", RUNS_GET)) > looks + LOOKS_OF_SUBMIT)
    batch = airflow.batch_id(run)
    assert len(jobs.runs("stage", batch)) == 1, "the second try has taken the run of the first over"

    look = stack.databricks.hold("GET", RUNS_GET)
    wait_for("it looks again", look.reached.is_set)
    for process in frozen:
        process.resume()
    wait_for("the run has staged the batch", lambda: not jobs.active())
    kill_client(stack.databricks, look)

    kill_amid_merge(stack, jobs, batch)
    wait_for(
        "one file is archived, the other is about to be", lambda: copying.reached.is_set() and deleting.reached.is_set()
    )
    assert not live_bucket.blob(archived_name(files[0])).exists()
    assert live_bucket.blob(archived_name(files[1])).exists()
    kill_client(stack.bucket, copying, deleting)
    wait_for(f"{run} ended", lambda: airflow.state(run) in ENDED)
    assert airflow.tries(run) == {"detect_new_files": 1, "plan_batch": 1, "stage": 3, "merge": 2, "archive": 2}
    assert (len(jobs.runs("stage", batch)), len(jobs.runs("merge", batch))) == (2, 2)
    assert airflow.state(run) == "success"
    wait_until_archived(airflow, live_bucket, files[2])
    assert_settled(live_bucket, jobs, files, before)
    assert_target(lakehouse, deliveries)


def kill_client(proxy: FaultProxy, *holds: Hold) -> None:
    """Kill -9 the task whose requests are held, which the service never sees."""
    process = proxy.client_of(holds[0])
    process.kill()
    wait_for("the task's process is gone", lambda: not process.is_running())
    for hold in holds:
        hold.drop()


def kill_amid_merge(stack: Stack, jobs: Jobs, batch: str) -> None:
    """Kill -9 the process of the merge when it has written rows that it has not committed yet."""
    table = stack.home.lakehouse / "orders.db" / "order_tracking"
    before = data_files(table)
    wait_for("a merge runs", lambda: jobs.active("merge", batch))
    processes = wait_for("it has a process", jobs.processes)
    wait_for("it writes", lambda: data_files(table) - before or not jobs.active("merge", batch), pause=0.02)
    for process in processes:
        if process.is_running():
            process.kill()


def data_files(table: Path) -> set[Path]:
    return set(table.glob("*.parquet"))
