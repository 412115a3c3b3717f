"""Bucket and Databricks fail in every way while a file is loaded, which ends up where it belongs, once.

Shares the stack and its story with test_pipeline.py; each test leaves `source/` empty and a live run waiting.
"""

import json

import pytest
from google.cloud.storage import Bucket

from tests.conftest import Stack
from tests.e2e.clients import Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.jobs import RUNS_GET, RUNS_SUBMIT, Jobs
from tests.e2e.story import assert_settled, assert_target, daily, pinned, wait_until_archived
from tests.faults import answers
from tests.faults.rules import Answer, Change, Pass, Reset, Truncate

pytestmark = pytest.mark.usefixtures("healed")


def test_a_run_meets_every_fault_on_every_api(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries, jobs: Jobs
) -> None:
    """Each fault is over when it is asked again, by the client or the next try. One run is TIMEDOUT."""
    waiting = wait_for("a live run waits", airflow.waiting_run)
    before = pinned(live_bucket)
    looks = stack.bucket.fail(
        "GET", r"/o\?.*prefix=batches/order_tracking/left/|/o\?.*prefix=source/", answers.gcs(503), Reset()
    )
    wait_for("the waiting run has met them", lambda: all(rule.left == 0 for rule in looks))

    name = "order_tracking_2026_09_03.csv"
    rules = [
        *stack.bucket.fail("GET", f"/o/source/{name}.*alt=media", answers.gcs(503, contents=True), Truncate()),
        *stack.bucket.fail("GET", r"/o/batches/order_tracking/.*/input/00001.csv\?", Reset()),
        *stack.bucket.fail("POST", f"/o/source/{name}/rewriteTo/", answers.gcs(429), Truncate()),
        *stack.bucket.fail("POST", "^/upload/.*", answers.gcs(503), Truncate()),
        *stack.bucket.fail("GET", "/o/batches/order_tracking/.*manifest.json.*alt=media", Reset(), Truncate()),
        *stack.bucket.fail("GET", r"/o\?.*prefix=batches/order_tracking/.*/input/", answers.gcs(429), Truncate()),
        *stack.bucket.fail("POST", "/rewriteTo/.*archive/", Reset(), answers.gcs(503)),
        *stack.bucket.fail("DELETE", f"/o/source/{name}", answers.gcs(503), Truncate()),
        # The first try of stage, its second one (the first run is over, so it asks twice), the first of merge.
        *stack.databricks.fail(
            "POST", RUNS_SUBMIT, Change(of_a_second), Pass(), Pass(), answers.databricks(503), Truncate()
        ),
        *stack.databricks.fail("GET", RUNS_GET, answers.databricks(429), Reset()),
        *stack.databricks.fail("GET", r"/jobs/runs/get-output\?", answers.databricks(503), Reset(), Truncate()),
    ]
    delivery = deliveries.put(name, daily(3))
    run = wait_until_archived(airflow, live_bucket, delivery)

    assert run == waiting
    assert [rule for rule in rules if rule.left] == []
    assert airflow.state(run) == "success"
    assert airflow.tries(run) == {"detect_new_files": 1, "plan_batch": 1, "stage": 2, "merge": 2, "archive": 1}
    first_try = airflow.log(airflow.dag, run, {"task_id": "stage", "try_number": 1}, lines=100)
    assert "stage failed on Databricks (TIMEDOUT)" in first_try
    batch = airflow.batch_id(run)
    assert len(jobs.runs("stage", batch)) == 2
    # One if the try after the lost answer finds it under way.
    assert len(jobs.runs("merge", batch)) in (1, 2)
    assert_settled(live_bucket, jobs, [delivery], before)
    assert_target(lakehouse, deliveries)


def of_a_second(body: bytes) -> bytes:
    """The request for a run that may take no longer."""
    return json.dumps(json.loads(body) | {"timeout_seconds": "1"}).encode()


@pytest.mark.soak
@pytest.mark.parametrize(("down", "task", "stages"), [("databricks", "stage", 2), ("bucket", "archive", 1)])
def test_however_long_a_service_is_down_it_costs_at_most_one_databricks_run(
    stack: Stack,
    airflow: Airflow,
    live_bucket: Bucket,
    lakehouse: Lakehouse,
    deliveries: Deliveries,
    jobs: Jobs,
    down: str,
    task: str,
    stages: int,
) -> None:
    """The service goes down as soon as `stage` has its run, until the task has tried more often than at a mistake."""
    wait_for("a live run waits", airflow.waiting_run)
    before = pinned(live_bucket)
    look = stack.databricks.hold("GET", RUNS_GET)
    delivery = deliveries.put(f"order_tracking_2026_09_0{3 + stages}.csv", daily(3 + stages))
    wait_for("stage has submitted its run", look.reached.is_set)
    run = airflow.newest_run("stage", "running")
    assert run
    proxy, answer = {
        "databricks": (stack.databricks, answers.databricks(503)),
        "bucket": (stack.bucket, answers.gcs(503)),
    }[down]
    for method in ("GET", "POST", "DELETE"):
        proxy.fail(method, "", answer, times=None)
    look.let_go()
    wait_for("more tries than a mistake has", lambda: airflow.tries(run)[task] > 3, 500)
    proxy.heal()
    assert wait_until_archived(airflow, live_bucket, delivery) == run
    batch = airflow.batch_id(run)
    assert (len(jobs.runs("stage", batch)), len(jobs.runs("merge", batch))) == (stages, 1)
    assert not airflow.paused()
    assert_settled(live_bucket, jobs, [delivery], before)
    assert_target(lakehouse, deliveries)


def test_a_folder_marker_in_source_starts_nothing(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, jobs: Jobs
) -> None:
    """As the console makes one. The stand-in stores objects as files and cannot hold it, so the listing is made up."""
    waiting = wait_for("a live run waits", airflow.waiting_run)
    before = jobs.runs()
    marker = {"kind": "storage#object", "name": "source/", "bucket": live_bucket.name, "size": "0", "generation": "1"}
    marker |= {"timeCreated": "2026-11-20T10:00:00.000Z", "crc32c": "AAAAAA==", "md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    listing = Answer(200, json.dumps({"kind": "storage#objects", "items": [marker]}))
    (rule,) = stack.bucket.fail("GET", r"/o\?.*prefix=source/", listing, times=None)
    wait_for("several looks of both feeds", lambda: rule.met > 6)
    assert airflow.states(waiting)["detect_new_files"] == "deferred"
    assert jobs.runs() == before
