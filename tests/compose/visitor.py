"""Run among the services: sees a run end that waited in vain, delivers the demo's files, waits until they have left
`source/`, and prints what it saw.

Needs STORAGE_EMULATOR_HOST and AIRFLOW_PASSWORD. Prints JSON: `objects`, the names in the bucket, and `runs`, the
states of the tasks of each run that planned a batch.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from local.clients import log_in

SAMPLES = Path(__file__).resolve().parents[2] / "local" / "samples"
WAIT_SECONDS = 240


def main() -> None:
    """Deliver, wait, print."""
    bucket = storage.Client(project="local", credentials=AnonymousCredentials()).bucket("orders-data")
    airflow = log_in("http://api-server:8080", os.environ["AIRFLOW_PASSWORD"])
    wait_for("a run that waited in vain", airflow, lambda: any(ended_in_vain(tasks) for tasks in runs(airflow)))
    for file in sorted(SAMPLES.glob("order_tracking_*.csv")):
        bucket.blob(f"source/{file.name}").upload_from_filename(file)
    wait_for("no file in source/", airflow, lambda: not list(bucket.list_blobs(prefix="source/")))
    wait_for("archive ended", airflow, lambda: {tasks["archive"] for tasks in batches(airflow)} == {"success"})
    print(json.dumps({"objects": [blob.name for blob in bucket.list_blobs()], "runs": batches(airflow)}))


def wait_for(what: str, airflow: httpx.Client, condition: Callable[[], bool]) -> None:
    """Return when the condition holds; end the program if it does not in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not in {WAIT_SECONDS} s: {what}; {runs(airflow)}")
        time.sleep(0.5)


def ended_in_vain(tasks: dict[str, str]) -> bool:
    """Whether a run has ended without a file, none of its tasks failed."""
    return set(tasks.values()) == {"skipped"}


def batches(airflow: httpx.Client) -> list[dict[str, str]]:
    """The states of the tasks of each run that planned a batch."""
    return [tasks for tasks in runs(airflow) if tasks["plan_batch"] == "success"]


def runs(airflow: httpx.Client) -> list[dict[str, str]]:
    """The states of the tasks of each of the newest runs of the DAG."""
    path = "/dags/order_tracking/dagRuns/~/taskInstances"
    found: dict[str, dict[str, str]] = {}
    newest = {"limit": 100, "order_by": "-id"}
    for task in airflow.get(path, params=newest).raise_for_status().json()["task_instances"]:
        found.setdefault(task["dag_run_id"], {})[task["task_id"]] = task["state"]
    return list(found.values())


if __name__ == "__main__":
    main()
