"""Three files of twenty that the bucket refuses to let be read or deleted, in a running Airflow.

Shares the stack and its story with test_pipeline.py; leaves `source/` empty and a live run waiting.
"""

import pytest
from google.cloud.storage import Bucket

from tests.conftest import Stack
from tests.e2e.clients import ENDED, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.jobs import Jobs
from tests.e2e.story import archived_name, assert_settled, assert_target, daily, moved_by, names, pinned
from tests.faults import answers
from tests.oracle import expected_target
from tests.refusals import ENCRYPTED, HELD, NO_ACCESS

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("healed")]


def test_three_files_of_twenty_that_the_bucket_refuses_keep_no_other_from_being_loaded(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries, jobs: Jobs
) -> None:
    """One is forbidden, one has its producer's own key, one is under a hold. One of the others has bad rows only."""
    wait_for("a live run waits", airflow.waiting_run)
    before = pinned(live_bucket)
    forbidden, encrypted, held, bad = (f"source/order_tracking_2026_09_{day}.csv" for day in (11, 12, 13, 14))
    stack.bucket.fail("GET", f"/o/{forbidden}.*alt=media", answers.gcs(*NO_ACCESS, contents=True), times=None)
    stack.bucket.fail("GET", f"/o/{encrypted}.*alt=media", answers.gcs(*ENCRYPTED, contents=True), times=None)
    stack.bucket.fail("DELETE", f"/o/{held}", answers.gcs(*HELD), times=None)
    files = {}
    for day in range(11, 31):
        text = daily(day).replace("F1,", ",").replace("F14-2", "") if day == 14 else daily(day)
        file = deliveries.put(f"order_tracking_2026_09_{day}.csv", text)
        files[file.object] = file
    unread = [files.pop(forbidden), files.pop(encrypted)]

    held_copy = archived_name(files[held])
    run = wait_for("the others loaded", lambda: moved_by(airflow, live_bucket, held_copy))
    wait_for(f"{run} ended", lambda: airflow.state(run) in ENDED)
    assert set(airflow.states(run).values()) == {"success"}
    assert sorted(airflow.returned(run, "archive")) == sorted(
        f"gs://{live_bucket.name}/{archived_name(file)}" for file in files.values()
    )
    assert names(live_bucket, "source/") == sorted((forbidden, encrypted, held))
    told = [
        airflow.log(airflow.dag, run, airflow.tasks(airflow.dag, run)[task], 200) for task in ("plan_batch", "archive")
    ]
    assert "2 file(s) cannot be read" in told[0]
    assert all(name in told[0] for name in (forbidden, encrypted, NO_ACCESS[1].rstrip("."), "delivered anew without"))
    assert "1 object(s) could not be moved" in told[1]
    assert all(text in told[1] for text in (held, "Release its hold"))
    expected = expected_target([file for file in deliveries.made if file not in unread])
    assert {row["tracking_num"]: row for row in lakehouse.rows("order_tracking")} == expected
    bad_rows = [row for row in lakehouse.rows("order_tracking_quarantine") if row["_source_file"] == bad]
    assert len(bad_rows) == 2

    waiting = wait_for("a live run waits", airflow.waiting_run)
    looks = len(stack.bucket.seen("GET", r"prefix=batches/order_tracking/left/"))
    wait_for("it looks", lambda: len(stack.bucket.seen("GET", r"prefix=batches/order_tracking/left/")) > looks + 3)
    assert airflow.states(waiting)["detect_new_files"] == "deferred", "none of the three starts a run"
    stack.bucket.heal()
    manual = airflow.trigger()
    wait_for("the manual run ended", lambda: airflow.state(manual) in ENDED)
    assert sorted(airflow.returned(manual, "archive")) == sorted(
        f"gs://{live_bucket.name}/{archived_name(file)}" for file in unread
    )
    assert_settled(live_bucket, jobs, [*files.values(), *unread], before)
    assert_target(lakehouse, deliveries)
