"""Clients of a running stack: its Airflow, its bucket, and a reader of its tables that is not Spark."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import deltalake
import httpx
import pyarrow
import pytest
from google.cloud.storage import Bucket

from tests.oracle import Delivery

T = TypeVar("T")
DAG = "order_tracking"
ENDED = ("success", "failed")


@dataclass
class Airflow:
    """Airflow's public REST API, as its UI uses it."""

    base_url: str
    password: str
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        login = {"username": "admin", "password": self.password}
        token = httpx.post(f"{self.base_url}/auth/token", json=login, timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=f"{self.base_url}/api/v2", headers=headers, timeout=30)

    def get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - JSON as Airflow answers it
        response = self._client.get(path, params=parameters)
        response.raise_for_status()
        return response.json()

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON as Airflow answers it
        response = self._client.post(path, json=body)
        response.raise_for_status()
        return response.json()

    def runs(self) -> list[dict[str, Any]]:
        return self.get(f"/dags/{DAG}/dagRuns", order_by="-run_after", limit=50)["dag_runs"]

    def states(self, run_id: str) -> dict[str, str | None]:
        tasks = self.get(f"/dags/{DAG}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}

    def xcom(self, run_id: str, task: str, key: str = "return_value") -> Any:  # noqa: ANN401 - whatever was pushed
        path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/{key}"
        return self.get(path, deserialize=True)["value"]

    def waiting_run(self) -> str | None:
        """The live run whose sensor waits in the triggerer, if there is one now."""
        running = [run["dag_run_id"] for run in self.runs() if run["state"] == "running"]
        return next((run for run in running if self.states(run)["detect_new_files"] == "deferred"), None)


@dataclass
class Lakehouse:
    """The tables, read by delta-rs."""

    folder: Path

    def rows(self, table: str) -> list[dict[str, Any]]:
        delta = deltalake.DeltaTable(self.folder / "orders.db" / table)
        result = deltalake.QueryBuilder().register("t", delta).execute("select * from t")
        rows = pyarrow.table(result.read_all()).to_pylist()
        return [{name: plain(value) for name, value in row.items()} for row in rows]

    def version(self, table: str) -> int:
        return deltalake.DeltaTable(self.folder / "orders.db" / table).version()


def plain(value: object) -> object:
    """Dates as text, times without their zone (all UTC): as the oracle has them."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value.isoformat() if isinstance(value, date) else value


@dataclass
class Deliveries:
    """Uploads to `source/`, remembered for the oracle."""

    bucket: Bucket
    made: list[Delivery] = field(default_factory=list)

    def put(self, name: str, text: str) -> Delivery:
        blob = self.bucket.blob(f"source/{name}")
        blob.upload_from_string(text)
        self.made.append(Delivery(blob.name, int(blob.generation), text))
        return self.made[-1]


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 120) -> T:
    """The first true answer of `probe`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return answer
