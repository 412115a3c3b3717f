"""Jobs on the Databricks service, for the operators that submit them."""

import json
from typing import Any

import pytest

from tests.local.databricks.harness import Service


@pytest.fixture(autouse=True)
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's connection to the service, for the tests that use it."""
    if "service" in request.fixturenames:
        service: Service = request.getfixturevalue("service")
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", service.connection())
        monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared")


def printing(*results: dict[str, Any]) -> str:
    """The text of a job that prints these results."""
    return "\n".join(f"print({'INGESTION_RESULT ' + json.dumps(result)!r})" for result in results)
