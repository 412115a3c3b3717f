"""The task says what the command says, as far as a worker can see it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from google.cloud.storage import Bucket

from ingestion.tasks import check
from ingestion.tasks.check import CheckOperator
from local.stack.processes import free_port

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def paused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """DAGs that are paused, in an environment with a bucket and without a Databricks."""
    names: set[str] = set()

    def answer(dag_id: str) -> SimpleNamespace:
        if dag_id == "user_activity" and "gone" in names:
            raise LookupError("not found")
        return SimpleNamespace(is_paused=dag_id in names)

    monkeypatch.setattr(check.RuntimeTaskInstance, "get_dag", staticmethod(answer))
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared")
    monkeypatch.setenv("INGESTION_BUCKET", bucket.name)
    nowhere = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": free_port(), "password": "t"}
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", json.dumps(nowhere))
    return names


def test_it_logs_every_line_and_fails_with_those_that_fail(
    paused: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    paused.add("order_tracking")
    task = CheckOperator(task_id="check", folder=REPO / "dags")
    with pytest.raises(AirflowFailException, match="1 FAIL") as failed:
        task.execute({"params": {"run": True}})
    (line,) = [text for text in str(failed.value).splitlines() if text.startswith("FAIL")]
    assert line.startswith("FAIL     Databricks, databricks_default: it cannot be asked")
    logged = capsys.readouterr().out
    assert f"[error    ] {line}" in logged
    assert "[warning  ] warn     DAGs: paused, so nothing of them runs: order_tracking" in logged
    assert "[info     ] skipped  Airflow's processes" in logged
    assert "[info     ] ok       bucket orders-" in logged


def test_a_dag_that_airflow_does_not_have(paused: set[str]) -> None:
    paused.add("gone")
    task = CheckOperator(task_id="check", folder=REPO / "dags")
    with pytest.raises(AirflowFailException, match="DAGs: Airflow does not know user_activity"):
        task.execute({"params": {"run": False}})
