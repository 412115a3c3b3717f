"""What Airflow keeps of a DAG and shows to everybody who may see it: no secret of the environment is in it."""

import json
import shutil
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

REPO = Path(__file__).resolve().parents[2]
SECRETS = {
    "INGESTION_ALERT_CHANNELS": '[{"notifier": "a.B", "url": "https://hooks.example.com/S3CRET-of-a-channel"}]',
    "AIRFLOW_CONN_DATABRICKS_DEFAULT": '{"conn_type": "databricks", "host": "h", "password": "S3CRET-of-databricks"}',
    "AIRFLOW_CONN_SMTP_DEFAULT": '{"conn_type": "smtp", "host": "h", "password": "S3CRET-of-smtp"}',
    "DATABRICKS_TOKEN": "S3CRET-of-the-stand-in",
}


def test_no_secret_is_in_a_dag_as_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it the values that tasks show as rendered fields."""
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(REPO / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    bag = DagBag(tmp_path / "dags", load_op_links=False)
    assert bag.import_errors == {}
    stored = {name: json.dumps(DagSerialization.to_dict(dag), default=str) for name, dag in bag.dags.items()}
    assert "/Workspace/Shared/ingestion/spark_jobs" in stored["order_tracking"]
    assert {name for name, text in stored.items() if "S3CRET" in text} == set()
