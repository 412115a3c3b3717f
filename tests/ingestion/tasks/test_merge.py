"""What `merge` tells others of its batch."""

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import Asset

from ingestion.pipeline.feeds import Feed
from ingestion.tasks.merge import MergeBatchOperator
from tests.ingestion.tasks.conftest import printing
from tests.local.databricks.harness import Service, payload
from tests.operators import execute_to_end, new_context

TABLE = Asset("orders.order_tracking")
ROWS = {"rows_inserted": 3, "rows_updated": 0, "rows_stale": 1, "rows_quarantined": 2}
COUNTS = {"batch_id": "b1", "file_count": 2, "first_day": "2026-11-20", "last_day": "2026-11-21", **ROWS}
UNCHANGED = COUNTS | {"rows_inserted": 0}
REASON = "the comments of orders.order_tracking could not be changed: no MODIFY"


def merge(service: Service, feed: Feed, text: str, token: str) -> MergeBatchOperator:
    return MergeBatchOperator(
        task_id="merge",
        feed=feed,
        bucket="orders",
        table=TABLE.name,
        json=payload(service.script(f"{token}.py", text)),
        run_name="try 1",
        idempotency_token=token,
        batch_id="b1",
        polling_period_seconds=1,
    )


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (printing({"step": "merge", "without_comments": REASON} | COUNTS), COUNTS),
        ("", {"batch_id": "b1"}),
        (printing({"step": "merge"} | UNCHANGED), None),
    ],
    ids=["changes", "no counts", "nothing new"],
)
def test_archive_is_told_the_batch_and_who_waits_for_the_table_what_changed_in_it(
    service: Service, feed: Feed, text: str, event: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    task = merge(service, feed, text, f"merged-{len(text)}")
    context = new_context(TABLE)
    execute_to_end(task, context)
    assert context["ti"].xcom["merged_batch"] == "b1"
    # Airflow sends an event for each of these.
    assert task.outlets == ([TABLE] if event else [])
    assert context["outlet_events"][TABLE].extra == (event or {})
    # Airflow's logger is not Python's.
    assert (f"The rows are merged, but {REASON}" in capsys.readouterr().out) == ("without_comments" in text)


def test_a_failed_run_has_merged_no_batch(service: Service, feed: Feed) -> None:
    context = new_context(TABLE)
    with pytest.raises(AirflowException, match="merge failed"):
        execute_to_end(merge(service, feed, "raise ValueError", "not merged"), context)
    assert "merged_batch" not in context["ti"].xcom
