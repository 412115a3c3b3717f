"""Run among the services: delivers the demo's files, waits until they have left `source/`, and prints what it saw.

Needs STORAGE_EMULATOR_HOST and AIRFLOW_PASSWORD. Prints JSON: `objects`, the names in the bucket, and `tasks`, the
states of the run that loaded the files.
"""

import json
import os
import sys
import time
from pathlib import Path

import httpx
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

SAMPLES = Path(__file__).resolve().parents[2] / "local" / "samples"
AIRFLOW = "http://api-server:8080"
WAIT_SECONDS = 240


def main() -> None:
    """Deliver, wait, print."""
    bucket = storage.Client(project="local", credentials=AnonymousCredentials()).bucket("orders-data")
    airflow = logged_in()
    for file in sorted(SAMPLES.glob("*.csv")):
        bucket.blob(f"source/{file.name}").upload_from_filename(file)
    deadline = time.monotonic() + WAIT_SECONDS
    while list(bucket.list_blobs(prefix="source/")):
        if time.monotonic() > deadline:
            sys.exit(f"not archived in {WAIT_SECONDS} s: {runs(airflow)}")
        time.sleep(0.5)
    (loaded,) = [tasks for tasks in runs(airflow) if tasks["merge"] == "success"]
    print(json.dumps({"objects": [blob.name for blob in bucket.list_blobs()], "tasks": loaded}))


def logged_in() -> httpx.Client:
    """A client of Airflow's API with the login of .env."""
    login = {"username": "admin", "password": os.environ["AIRFLOW_PASSWORD"]}
    token = httpx.post(f"{AIRFLOW}/auth/token", json=login, timeout=30).raise_for_status().json()["access_token"]
    return httpx.Client(base_url=f"{AIRFLOW}/api/v2", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def runs(airflow: httpx.Client) -> list[dict[str, str]]:
    """The states of the tasks of each run of the DAG."""
    path = "/dags/order_tracking/dagRuns/~/taskInstances"
    found: dict[str, dict[str, str]] = {}
    for task in airflow.get(path).raise_for_status().json()["task_instances"]:
        found.setdefault(task["dag_run_id"], {})[task["task_id"]] = task["state"]
    return list(found.values())


if __name__ == "__main__":
    main()
