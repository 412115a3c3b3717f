"""Stock clients of a running stack: for its bucket, for Airflow, and a reader of its tables that is not Spark."""

from pathlib import Path
from typing import Any

import deltalake
import httpx
import pyarrow
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from local.stack.home import Home, Secrets, StackState, is_supervised
from local.stack.services import BUCKET, PROJECT, SCHEMA


class NotRunningError(Exception):
    """There is no running stack to talk to; the message says how to start one."""


def running_state(home: Home) -> StackState:
    """The state of the stack of this home; NotRunningError if it does not run."""
    state = StackState.read(home)
    if not is_supervised(home) or state.phase != "running":
        raise NotRunningError("the stack is not running: start it with `make up`")
    return state


def bucket(home: Home) -> storage.Bucket:
    """The bucket of a running stack."""
    endpoint = f"http://127.0.0.1:{running_state(home).ports['bucket']}"
    client = storage.Client(
        project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
    )
    return client.bucket(BUCKET)


def tables(home: Home) -> dict[str, Path]:
    """The Delta tables there are, by name."""
    folders = sorted((home.lakehouse / f"{SCHEMA}.db").glob("*/_delta_log"))
    return {folder.parent.name: folder.parent for folder in folders}


def rows(table: Path, order: str, limit: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """The first rows of a Delta table in this order, and how many rows it has."""
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(table))
    count = pyarrow.table(query.execute("SELECT count(*) AS n FROM t").read_all()).to_pylist()[0]["n"]
    bound = f" LIMIT {limit}" if limit else ""
    found = query.execute(f"SELECT * FROM t ORDER BY {order}{bound}")  # noqa: S608 - our own column names
    return pyarrow.table(found.read_all()).to_pylist(), count


def token(url: str, password: str) -> str:
    """What the only user of the Airflow at this URL shows to be let in."""
    login = {"username": "admin", "password": password}
    answer = httpx.post(f"{url}/auth/token", json=login, timeout=30, trust_env=False).raise_for_status()
    return answer.json()["access_token"]


def log_in(url: str, password: str) -> httpx.Client:
    """A client of the REST API of the Airflow at this URL, logged in as its only user."""
    headers = {"Authorization": f"Bearer {token(url, password)}"}
    return httpx.Client(base_url=f"{url}/api/v2", headers=headers, timeout=30, trust_env=False)


class Airflow:
    """Airflow's public REST API, logged in as the stack's only user."""

    def __init__(self, home: Home) -> None:
        self.url = f"http://127.0.0.1:{running_state(home).ports['airflow']}"
        self._client = log_in(self.url, Secrets.of(home).password)

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The latest runs of a DAG, newest first; none while Airflow does not know it yet."""
        answer = self._client.get(f"/dags/{dag}/dagRuns", params={"order_by": "-run_after", "limit": 10})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return answer.raise_for_status().json()["dag_runs"]

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        """The task instances of a run by task id."""
        answer = self._client.get(f"/dags/{dag}/dagRuns/{run}/taskInstances").raise_for_status()
        return {task["task_id"]: task for task in answer.json()["task_instances"]}

    def import_errors(self) -> list[str]:
        """What is wrong with DAG files."""
        return [error["stack_trace"] for error in self._client.get("/importErrors").json()["import_errors"]]

    def log(self, dag: str, run: str, task: dict[str, Any], lines: int = 15) -> str:
        """The end of the log of a task's latest try, exceptions as one line each."""
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        content = self._client.get(path, params={"map_index": -1}).json().get("content", [])
        return "\n".join(line for entry in content[-lines:] for line in _log_lines(entry))


def _log_lines(entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return [str(entry)]
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return [str(entry.get("event", "")), *errors]
