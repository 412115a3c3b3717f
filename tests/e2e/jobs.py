"""What the end-to-end tests see of the Databricks service and do to it, without its proxy."""

import signal
from typing import Any

import httpx
import psutil

from local.stack.home import Secrets
from tests.conftest import Stack
from tests.e2e.clients import wait_for

RUNS_GET = r"/jobs/runs/get\?"
RUNS_SUBMIT = r"/jobs/runs/submit$"


class Jobs:
    """The runs of the stack's Databricks service, and the processes that execute them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{stack.state.ports['databricks']}/api/2.2/jobs/runs",
            headers={"Authorization": f"Bearer {Secrets.of(stack.home).databricks_token}"},
            trust_env=False,
        )

    def runs(self, *words: str) -> list[dict[str, Any]]:
        """The latest runs with all these words in their name, newest first."""
        found = self._client.get("/list", params={"limit": 25}).raise_for_status().json()["runs"]
        return [run for run in found if set(words) <= set(run["run_name"].split())]

    def active(self, *words: str) -> list[dict[str, Any]]:
        """Those that are not over."""
        return [run for run in self.runs(*words) if "result_state" not in run["state"]]

    def processes(self) -> list[psutil.Process]:
        """Those that execute the scripts of runs: forks of a fork server, which is the service's child."""
        service = psutil.Process(next(item.pid for item in self._stack.state.components if item.name == "databricks"))
        return [process for child in service.children() for process in child.children()]

    def freeze(self) -> list[psutil.Process]:
        """Have the run that was just submitted make no step."""
        processes = wait_for("a run has a process", self.processes)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        return processes
