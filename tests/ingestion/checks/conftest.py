"""A Databricks that answers by a script, and findings by their names."""

import json
from collections.abc import Iterable, Iterator

import pytest

from ingestion.pipeline.findings import Finding
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Answer

TOKEN = "S3CRET-of-databricks"
GET, SUBMIT = r"/runs/get(\?|$)", r"/runs/submit$"


def lines(findings: Iterable[Finding], *levels: str) -> dict[str, str]:
    """The texts by name, of all findings or of those of a level."""
    return {finding.name: finding.text for finding in findings if not levels or finding.level in levels}


def refusal(status: int, code: str, message: str) -> Answer:
    """As the Jobs API says it."""
    return Answer(status, json.dumps({"error_code": code, "message": message}))


def connection(port: int, token: str = TOKEN) -> str:
    """Airflow's connection to a service on this machine."""
    address = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": port}
    return json.dumps(address | {"password": token})


NO_RUN = refusal(400, "INVALID_PARAMETER_VALUE", "Run 4611686018427387904 does not exist.")


@pytest.fixture
def databricks(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A service without any run, and Airflow's connection to it."""
    with FaultProxy(lambda: "http://127.0.0.1:9").running() as service:
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", connection(service.port))
        yield service
