"""The operator of stage and merge against the Databricks service: its counts, alerts, failures and resubmissions."""

import json
import logging
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import Asset

from ingestion.operators.submit_job import SubmitJobOperator
from tests.local.databricks.harness import Service, payload
from tests.operators import execute_deferred, new_context

ASSET = Asset("orders.order_tracking")
COUNTS = {"batch_id": "b1", "rows_read": 200, "rows_quarantined": 2, "reasons": {"status: missing": 2}}


@pytest.fixture(autouse=True)
def connection(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", service.connection())
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared")


def job(service: Service, text: str, token: str, name: str = "try 1", bad_row_share: float = 0.01) -> SubmitJobOperator:
    return SubmitJobOperator(
        task_id="stage",
        json=payload(service.script(f"{token}.py", f"import time; time.sleep(1)\n{text}")),
        run_name=name,
        idempotency_token=token,
        batch_id="b1",
        bad_row_share=bad_row_share,
        polling_period_seconds=1,
        outlets=[ASSET],
    )


def printing(*results: dict[str, Any]) -> str:
    return "\n".join(f"print({'INGESTION_RESULT ' + json.dumps(result)!r})" for result in results)


def run(operator: SubmitJobOperator) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Execute it; returns its result, what it left for other tasks, and what it told of the table."""
    context = new_context(ASSET)
    result = execute_deferred(operator, context)
    return result, context["ti"].xcom, context["outlet_events"][ASSET].extra


def test_the_last_counts_of_its_batch_are_its_result(service: Service) -> None:
    first, other = COUNTS | {"rows_read": 1}, COUNTS | {"batch_id": "b2", "rows_read": 3}
    result, xcom, told = run(job(service, printing(first, COUNTS, other), "counts"))
    assert result == COUNTS
    assert xcom["done_batch"] == "b1"
    assert told == {"batch_id": "b1", "rows_read": 200, "rows_quarantined": 2}


@pytest.mark.parametrize("output", ["", 'print(\'INGESTION_RESULT {"batch_id": "b1\')', printing({"batch_id": "b2"})])
def test_a_run_without_readable_counts_is_still_a_success(
    service: Service, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result, xcom, told = run(job(service, output, f"none-{len(output)}"))
    assert (result, xcom["done_batch"], told) == (None, "b1", {})
    assert "so there are no counts" in capsys.readouterr().out  # of Airflow's logger, which is not Python's


@pytest.mark.parametrize(("limit", "alerted"), [(0.0099, True), (0.01, False)])
def test_more_bad_rows_than_the_feed_allows_are_told(
    service: Service, limit: float, alerted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result, _, _ = run(job(service, printing(COUNTS), f"share-{limit}", bad_row_share=limit))
    assert result == COUNTS
    assert ("2 of 200 rows quarantined" in caplog.text) is alerted
    assert ("2 x status: missing" in caplog.text) is alerted


def test_a_failed_run_fails_the_task_in_the_words_of_the_job(service: Service) -> None:
    context = new_context(ASSET)
    operator = job(service, "raise ValueError('file 3: the header is not its own')", "failing")
    with pytest.raises(AirflowException, match=r"stage failed on Databricks \(FAILED\): .*file 3.* Log: http://127"):
        execute_deferred(operator, context)
    assert "done_batch" not in context["ti"].xcom


def test_a_run_that_is_still_active_is_taken_over_and_a_finished_one_is_not(service: Service) -> None:
    slow = job(service, "time.sleep(3)", "slow")
    _, first, _ = run(slow)
    lost = service.submit(
        payload(service.script("lost.py", "import time; time.sleep(5)"), idempotency_token="slow-1", run_name="try 2")
    )
    _, third, _ = run(job(service, "", "slow", name="try 3"))
    assert third["run_id"] == lost  # "slow-0" is over and not its own, "slow-1" is active
    _, fourth, _ = run(job(service, "", "slow", name="try 4"))
    assert fourth["run_id"] not in (first["run_id"], lost)
