"""A feed that no longer fits its tables, in a running Airflow: refused once, and loaded when the feed is mended.

Shares the stack and its story with test_pipeline.py; leaves `source/` empty and a live run waiting.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from google.cloud.storage import Bucket

from tests.conftest import Stack
from tests.e2e.clients import DAG, Airflow, Deliveries, Lakehouse, wait_for
from tests.e2e.jobs import Jobs
from tests.e2e.story import HEADER, assert_target, names, wait_until_archived


@contextmanager
def changed_type(stack: Stack) -> Iterator[None]:
    """The YAML says that a column of text is one of numbers."""
    path = stack.dags / "feeds/order_tracking.yaml"
    text = path.read_text()
    path.write_text(text.replace("  - name: status\n", "  - {name: status, type: bigint}\n"))
    assert path.read_text() != text
    try:
        yield
    finally:
        path.write_text(text)


def failed_run(airflow: Airflow, before: str | None = None) -> str | None:
    """The newest run that has ended without archiving, if it is another than `before`."""
    run = airflow.newest_run("archive", "upstream_failed")
    return None if run == before else run


def test_a_changed_type_costs_one_databricks_run_and_its_files_are_loaded_when_it_is_undone(
    stack: Stack, airflow: Airflow, live_bucket: Bucket, lakehouse: Lakehouse, deliveries: Deliveries
) -> None:
    jobs = Jobs(stack)
    wait_for("a live run waits", airflow.waiting_run)
    before, failed_before = {run["run_id"] for run in jobs.runs(DAG)}, failed_run(airflow)
    with changed_type(stack):
        delivery = deliveries.put("order_tracking_2026_10_22.csv", f"{HEADER}1,R1,2026-10-22,,1,,2026-10-22 09:00:00\n")
        failed = wait_for("the run has failed", lambda: failed_run(airflow, failed_before))
        task = airflow.tasks(DAG, failed)["stage"]
        assert (task["state"], task["try_number"]) == ("failed", 1)
        said = airflow.log(DAG, failed, task, lines=40)
        assert "is string, feed order_tracking says bigint: undo the change, or rebuild" in said
        assert f"no live run takes {delivery.object}" in said
        waiting = wait_for("the next live run waits", airflow.waiting_run)
        assert names(live_bucket, "source/") == [delivery.object]
        assert len({run["run_id"] for run in jobs.runs(DAG)} - before) == 1
    assert wait_until_archived(airflow, live_bucket, delivery) == waiting, "it has heard of the change"
    assert not airflow.paused()
    assert_target(lakehouse, deliveries)
