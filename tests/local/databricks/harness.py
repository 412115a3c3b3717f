"""Starting the service and talking to it, for the tests of this folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import psutil

from local.spark_server import spark_server_command, spark_server_env

REPO = Path(__file__).resolve().parents[3]
TOKEN = "a-token-of-the-tests"
START_SECONDS = 60
RUN_SECONDS = 120  # the first write of a cold Spark server on a busy machine takes most of a minute

# For a Spark server of few batches: Java's optimising compiler pays off after more, and costs the first one 20 s of
# processor. Without it, Java would reserve too little room for compiled code, and interpret what does not fit.
FEW_BATCHES = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"}


@dataclass
class Service:
    """A service process; `url` is its address, `folder` holds its state and the workspace."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self, token: str = TOKEN) -> str:
        """Airflow's connection to it, as an environment variable holds it."""
        address = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": self.port}
        return json.dumps(address | {"password": token})

    def script(self, name: str, text: str) -> str:
        """Put a script into the workspace; returns its path there."""
        path = self.folder / "workspace" / "Shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return f"/Workspace/Shared/{name}"

    def call(self, method: str, route: str, body: object = None, token: str | None = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, f"{self.url}{route}", json=body, headers=headers, trust_env=False)

    def submit(self, payload: dict[str, Any]) -> int:
        answer = self.call("POST", "/api/2.2/jobs/runs/submit", payload)
        assert answer.status_code == 200, answer.text
        return answer.json()["run_id"]

    def get(self, run_id: int) -> dict[str, Any]:
        return self.call("GET", f"/api/2.2/jobs/runs/get?run_id={run_id}").json()

    def state(self, run_id: int) -> dict[str, Any]:
        return self.get(run_id)["state"]

    def output(self, run_id: int) -> dict[str, Any]:
        (task,) = self.get(run_id)["tasks"]
        return self.call("GET", f"/api/2.2/jobs/runs/get-output?run_id={task['run_id']}").json()

    def finished(self, run_id: int) -> dict[str, Any]:
        """Wait for the run's end; returns its state."""
        wait_for(lambda: "result_state" in self.state(run_id), RUN_SECONDS)
        return self.state(run_id)

    def run(self, text: str, *parameters: str, **fields: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run a script to its end; returns the run's state and output."""
        run_id = self.submit(payload(self.script(f"script_{time.monotonic_ns()}.py", text), *parameters, **fields))
        return self.finished(run_id), self.output(run_id)

    def processes(self) -> list[psutil.Process]:
        """The service's Python processes, and whatever they started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def terminate(self, signum: int = signal.SIGTERM) -> None:
        self.process.send_signal(signum)
        self.process.wait(30)


def payload(python_file: str, *parameters: str, **fields: object) -> dict[str, Any]:
    """A body for runs/submit as the pipeline's operators send it: serverless, one script."""
    task = {
        "task_key": "step",
        "environment_key": "default",
        "spark_python_task": {"python_file": python_file, "parameters": list(parameters)},
    }
    environments = [{"environment_key": "default", "spec": {"environment_version": "5"}}]
    return {"run_name": "a test", "tasks": [task], "environments": environments} | fields


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until `condition` holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def start_service(folder: Path, remote: str, port: int | None = None, env: Mapping[str, str] | None = None) -> Service:
    """Start a service in `folder`; one that was there before leaves its runs to it. `env` is added to its own."""
    port = port or free_port()
    (folder / "workspace").mkdir(parents=True, exist_ok=True)
    options = {"port": port, "home": folder / "home", "workspace": folder / "workspace", "spark-remote": remote}
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.databricks", *(f"--{name}={value}" for name, value in options.items())],
            cwd=REPO,
            env=os.environ | {"DATABRICKS_TOKEN": TOKEN} | dict(env or {}),
            stdout=log,
            stderr=log,
        )
    return Service(process, port, folder)


def start_spark(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a Spark Connect server in `folder`; it goes on with the tables of one that was there before."""
    (folder / "lakehouse").mkdir(exist_ok=True)
    command = spark_server_command(folder / "lakehouse", REPO / ".local" / "jars", port, None)
    with (folder / "spark.log").open("ab") as log:
        return subprocess.Popen(command, env=spark_server_env() | FEW_BATCHES, cwd=folder, stdout=log, stderr=log)


def healthy(service: Service) -> bool:
    assert service.process.poll() is None, (service.folder / "service.log").read_text()
    try:
        return service.call("GET", "/health", token=None).status_code == 200
    except httpx.TransportError:
        return False
