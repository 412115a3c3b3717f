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
COUNTS = {"step": "merge", "batch_id": "b1", "rows_inserted": 3}


def merge(service: Service, feed: Feed, text: str, token: str) -> MergeBatchOperator:
    return MergeBatchOperator(
        task_id="merge",
        feed=feed,
        bucket="orders",
        json=payload(service.script(f"{token}.py", text)),
        run_name="try 1",
        idempotency_token=token,
        batch_id="b1",
        polling_period_seconds=1,
        outlets=[TABLE],
    )


@pytest.mark.parametrize(("text", "counts"), [(printing(COUNTS), COUNTS), ("", {})])
def test_archive_is_told_the_batch_and_the_table_its_counts_also_when_there_are_none(
    service: Service, feed: Feed, text: str, counts: dict[str, Any]
) -> None:
    context = new_context(TABLE)
    execute_to_end(merge(service, feed, text, f"merged-{len(text)}"), context)
    assert context["ti"].xcom["merged_batch"] == "b1"
    assert context["outlet_events"][TABLE].extra == counts


def test_a_failed_run_has_merged_no_batch(service: Service, feed: Feed) -> None:
    context = new_context(TABLE)
    with pytest.raises(AirflowException, match="merge failed"):
        execute_to_end(merge(service, feed, "raise ValueError", "not merged"), context)
    assert "merged_batch" not in context["ti"].xcom
