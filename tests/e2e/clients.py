"""What the end-to-end tests ask a running stack, on top of the clients that the demo uses."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

import deltalake
import pytest
from google.cloud.storage import Bucket

from local import clients
from local.stack.home import Home
from tests.oracle import Delivery

DAG = "order_tracking"
ENDED = ("success", "failed")
T = TypeVar("T")


class Airflow(clients.Airflow):
    """The runs of the one DAG."""

    def states(self, run: str) -> dict[str, str | None]:
        """The state of each task of a run."""
        return {name: task["state"] for name, task in self.tasks(DAG, run).items()}

    def state(self, run: str) -> str:
        """The state of a run itself."""
        return next(found["state"] for found in self.runs(DAG) if found["dag_run_id"] == run)

    def newest_run(self, accept: Callable[[dict[str, str | None]], bool]) -> str | None:
        """The newest run whose tasks' states are accepted."""
        runs = [run["dag_run_id"] for run in self.runs(DAG)]
        return next((run for run in runs if accept(self.states(run))), None)

    def waiting_run(self) -> str | None:
        """The live run whose sensor waits in the triggerer, if there is one now."""
        return self.newest_run(lambda states: states["detect_new_files"] == "deferred")

    def counts(self, run: str, task: str) -> dict[str, Any]:
        """What a job's task returned."""
        path = f"/dags/{DAG}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        answer = self._client.get(path, params={"deserialize": True}).raise_for_status()
        return answer.json()["value"]

    def trigger(self) -> str:
        """Start a manual run."""
        answer = self._client.post(f"/dags/{DAG}/dagRuns", json={"logical_date": None}).raise_for_status()
        return answer.json()["dag_run_id"]

    def paused(self) -> bool:
        """Whether the DAG is paused."""
        return self._client.get(f"/dags/{DAG}").raise_for_status().json()["is_paused"]

    def unpause(self) -> None:
        """Let the DAG run again, as a person does in the UI."""
        self._client.patch(f"/dags/{DAG}", json={"is_paused": False}).raise_for_status()


@dataclass
class Lakehouse:
    """The tables, read by delta-rs."""

    home: Home

    def rows(self, table: str, order: str = "1") -> list[dict[str, Any]]:
        """All rows of a table; dates as text and times without their zone (all UTC), as the oracle has them."""
        rows, _ = clients.rows(clients.tables(self.home)[table], order)
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    def version(self, table: str) -> int:
        """The newest version of a table."""
        return deltalake.DeltaTable(clients.tables(self.home)[table]).version()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value.isoformat() if isinstance(value, date) else value


@dataclass
class Deliveries:
    """Uploads to `source/`, remembered for the oracle."""

    bucket: Bucket
    made: list[Delivery] = field(default_factory=list)

    def put(self, name: str, text: str) -> Delivery:
        """Upload a file."""
        blob = self.bucket.blob(f"source/{name}")
        blob.upload_from_string(text)
        self.made.append(Delivery(blob.name, int(blob.generation), text))
        return self.made[-1]


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 180) -> T:
    """The first true answer of `probe`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return answer
