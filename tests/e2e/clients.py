"""What the end-to-end tests ask a running stack, on top of the clients that the demo uses."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

import deltalake
import httpx
import pytest
from google.cloud.storage import Bucket

from local import clients
from local.stack.home import Home
from tests.oracle import Delivery

DAG = "order_tracking"
ENDED = ("success", "failed")
T = TypeVar("T")


class Airflow(clients.Airflow):
    """The runs of one DAG."""

    def __init__(self, home: Home, dag: str = DAG) -> None:
        super().__init__(home)
        self.dag = dag

    def exists(self) -> bool:
        """Whether Airflow knows the DAG by now, from a file that is there."""
        answer = self._client.get(f"/dags/{self.dag}")
        return answer.is_success and not answer.json()["is_stale"]

    def states(self, run: str) -> dict[str, str | None]:
        """The state of each task of a run."""
        return {name: task["state"] for name, task in self.tasks(self.dag, run).items()}

    def state(self, run: str) -> str:
        """The state of a run itself."""
        return self._client.get(f"/dags/{self.dag}/dagRuns/{run}").raise_for_status().json()["state"]

    def newest_run(self, task: str, *states: str) -> str | None:
        """The newest run with this task in one of these states."""
        # One request, however many runs there are: tests ask again and again.
        asked = {"task_id": task, "state": states, "order_by": "-run_after", "limit": 1}
        found = self._client.get(f"/dags/{self.dag}/dagRuns/~/taskInstances", params=asked).raise_for_status().json()
        return next((item["dag_run_id"] for item in found["task_instances"]), None)

    def waiting_run(self) -> str | None:
        """The live run whose sensor waits in the triggerer, if there is one now."""
        return self.newest_run("detect_new_files", "deferred")

    def active_run(self) -> str | None:
        """The newest run that is not over, if there is one now."""
        asked = {"state": ["queued", "running"], "order_by": "-run_after", "limit": 1}
        found = self._client.get(f"/dags/{self.dag}/dagRuns", params=asked).raise_for_status().json()["dag_runs"]
        return next((run["dag_run_id"] for run in found), None)

    def run_with_job(self, task: str) -> str | None:
        """The newest run that waits for this task's job on Databricks, in its worker or deferred."""
        run = self.newest_run(task, "running", "deferred")
        submitted = f"/dags/{self.dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/run_id"
        return run if run and self._client.get(submitted).is_success else None

    def returned(self, run: str, task: str) -> Any:  # noqa: ANN401 - whatever it is
        """What a task returned: the counts of a job, the archived names."""
        path = f"/dags/{self.dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        answer = self._client.get(path, params={"deserialize": True}).raise_for_status()
        return answer.json()["value"]

    def asset_events(self, run: str) -> list[dict[str, Any]]:
        """What the asset events of a run say."""
        asked = {"source_dag_id": self.dag, "source_run_id": run}
        found = self._client.get("/assets/events", params=asked).raise_for_status().json()
        return [event["extra"] for event in found["asset_events"]]

    def batch_id(self, run: str) -> str:
        """The batch that a run has planned."""
        path = f"/dags/{self.dag}/dagRuns/{run}/taskInstances/plan_batch/xcomEntries/batch_id"
        return self._client.get(path).raise_for_status().json()["value"].strip('"')

    def tries(self, run: str) -> dict[str, int]:
        """How often each task of a run was tried."""
        return {name: task["try_number"] for name, task in self.tasks(self.dag, run).items()}

    def trigger(self, logical_date: str | None = None, **conf: object) -> str:
        """Start a manual run with these fields of its form, under no date if none is given."""
        answer = self._client.post(f"/dags/{self.dag}/dagRuns", json={"logical_date": logical_date, "conf": conf})
        return answer.raise_for_status().json()["dag_run_id"]

    def backfill(self, first: str, last: str, max_active_runs: int, reprocess_behavior: str = "none") -> int:
        """Start a backfill of these days, as the UI's dialog does."""
        order = {"dag_id": self.dag, "from_date": f"{first}T00:00:00Z", "to_date": f"{last}T00:00:00Z"}
        order |= {"reprocess_behavior": reprocess_behavior}
        answer = self._client.post("/backfills", json=order | {"max_active_runs": max_active_runs})
        return answer.raise_for_status().json()["id"]

    def active_backfills(self) -> list[dict[str, Any]]:
        """Those that are not over, which Airflow says up to half a minute late, and until then takes no other."""
        found = self._client.get("/backfills", params={"dag_id": self.dag, "active": True}).raise_for_status()
        return [item for item in found.json()["backfills"] if item["completed_at"] is None]

    def backfill_runs(self, first: str, last: str) -> dict[str, str]:
        """The state of each backfill run of these days, by day."""
        asked = {"run_type": "backfill", "logical_date_gte": f"{first}T00:00:00Z", "limit": 100}
        asked |= {"logical_date_lte": f"{last}T00:00:00Z", "order_by": "logical_date"}
        found = self._client.get(f"/dags/{self.dag}/dagRuns", params=asked).raise_for_status().json()["dag_runs"]
        return {run["logical_date"][:10]: run["state"] for run in found}

    def clear(self, run: str, *tasks: str) -> None:
        """Clear these tasks of a run with all that follow; without any, the whole run."""
        order = {"dry_run": False, "dag_run_id": run, "only_failed": False, "include_downstream": True}
        answer = self._client.post(
            f"/dags/{self.dag}/clearTaskInstances", json=order | ({"task_ids": tasks} if tasks else {})
        )
        answer.raise_for_status()

    def mark_success(self, run: str) -> None:
        """Call a run successful, whatever it has done."""
        self._client.patch(f"/dags/{self.dag}/dagRuns/{run}", json={"state": "success"}).raise_for_status()

    def paused(self) -> bool:
        """Whether the DAG is paused."""
        return self._client.get(f"/dags/{self.dag}").raise_for_status().json()["is_paused"]

    def pause(self, paused: bool) -> None:
        """Pause the DAG or let it run again, as a person does in the UI."""
        self._client.patch(f"/dags/{self.dag}", json={"is_paused": paused}).raise_for_status()

    def beginning_with(self, prefix: str) -> list[str]:
        """The ids of the DAGs there are that begin so."""
        found = self._client.get("/dags", params={"limit": 100}).raise_for_status().json()["dags"]
        return [dag["dag_id"] for dag in found if dag["dag_id"].startswith(prefix)]

    def forget(self) -> bool:
        """Delete the DAG with its runs once Airflow has seen that its file is gone; whether that is done."""
        known = self._client.get(f"/dags/{self.dag}")
        if known.status_code == httpx.codes.NOT_FOUND:
            return True
        # A task that runs keeps it, and a parse under way would make it again.
        return known.raise_for_status().json()["is_stale"] and self._client.delete(f"/dags/{self.dag}").is_success

    def unpause(self) -> None:
        """Let the DAG run again."""
        self.pause(False)


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
        self.made.append(Delivery(blob.name, int(blob.generation), blob.time_created, text))
        return self.made[-1]


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 180, pause: float = 0.4) -> T:
    """The first true answer of `probe`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)  # asked more often, the servers would spend a tenth of a core on the answers
    return answer
