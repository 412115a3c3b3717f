"""kill -9 of the service and of the Spark server at any moment of a run: every run ends, and in a true state."""

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.health import listens
from tests.conftest import SPARK_START_SECONDS
from tests.local.databricks.harness import (
    START_SECONDS,
    Service,
    free_port,
    healthy,
    payload,
    start_service,
    start_spark,
    wait_for,
)
from tests.tables import rows

ROUNDS = 10
WRITES = 3
SCRIPT = """
import sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
for n in range(int(sys.argv[2])):
    row = spark.createDataFrame([(sys.argv[1], n)], "run string, n int")
    row.write.format("delta").mode("append").saveAsTable("written")
print("all written")
"""


@dataclass
class Rig:
    """A Spark server and a service that can be killed and started again, on the same ports and folder."""

    folder: Path
    port: int
    spark: subprocess.Popen[bytes]
    service: Service

    def kill_service(self) -> None:
        processes = self.service.processes()
        self.service.process.kill()
        self.service.process.wait()
        _, alive = psutil.wait_procs(processes, timeout=20)
        assert alive == []

    def kill_spark(self) -> None:
        server = psutil.Process(self.spark.pid)
        for process in (*server.children(recursive=True), server):
            process.kill()
        self.spark.wait()

    def restore(self) -> None:
        """Start again what is dead, as the stack's supervisor does."""
        if self.spark.poll() is not None:
            self.spark = start_spark(self.folder, self.port)
        if self.service.process.poll() is not None:
            self.service = start_service(self.folder, f"sc://127.0.0.1:{self.port}", self.service.port)
        wait_for(lambda: listens("127.0.0.1", self.port), SPARK_START_SECONDS)
        wait_for(lambda: healthy(self.service), START_SECONDS)

    def rows(self, mark: str) -> int:
        """How many rows a run has written, read without Spark."""
        return len(rows(self.folder / "lakehouse" / "written", where=f"run = '{mark}'"))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder, port = tmp_path_factory.mktemp("kills"), free_port()
    rig = Rig(folder, port, start_spark(folder, port), start_service(folder, f"sc://127.0.0.1:{port}"))
    try:
        rig.restore()
        yield rig
    finally:
        rig.service.process.kill()
        rig.kill_spark()


def submit(rig: Rig, mark: str) -> int:
    return rig.service.submit(payload(rig.service.script("write.py", SCRIPT), mark, str(WRITES)))


def assert_true(rig: Rig, run_id: int, mark: str) -> str:
    """The run's state must be what really happened; returns its result."""
    state: dict[str, Any] = rig.service.state(run_id)
    output = rig.service.output(run_id)
    if state["result_state"] == "SUCCESS":
        assert output["logs"].endswith("all written\n")
        assert rig.rows(mark) == WRITES
    else:
        assert (state["life_cycle_state"], state["result_state"]) == ("INTERNAL_ERROR", "FAILED"), output
        assert "The Jobs service ended" in output["error"] or "does not answer" in output["error"]
        assert rig.rows(mark) <= WRITES
    return state["result_state"]


def undisturbed(rig: Rig, mark: str) -> float:
    """Let a run come to its end, which must be good; returns how long it took, in seconds."""
    run_id = submit(rig, mark)
    assert rig.service.finished(run_id)["result_state"] == "SUCCESS", rig.service.output(run_id)
    assert rig.rows(mark) == WRITES
    run = rig.service.get(run_id)
    return (run["end_time"] - run["start_time"]) / 1000


@pytest.mark.soak
@pytest.mark.parametrize("kill", [Rig.kill_service, Rig.kill_spark])
def test_a_run_ends_in_a_true_state_whatever_is_killed_and_when(rig: Rig, kill: Callable[[Rig], None]) -> None:
    moments = random.Random(kill.__name__)  # noqa: S311 - the same moments each time
    results = []
    seconds = undisturbed(rig, f"{kill.__name__}-first")
    for n in range(ROUNDS):
        mark = f"{kill.__name__}-{n}"
        run_id = submit(rig, mark)
        time.sleep(moments.random() * seconds)  # the moment is what is tried, nothing is waited for
        kill(rig)
        rig.restore()
        wait_for(lambda: "result_state" in rig.service.state(run_id), 60)  # noqa: B023 - used in this round only
        results.append(assert_true(rig, run_id, mark))
        seconds = undisturbed(rig, f"{mark}-after")
    assert "FAILED" in results  # or the moments were all too late
    print(f"{kill.__name__}: {results}")
