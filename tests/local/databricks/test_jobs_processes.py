"""What is left, and what is told, when the service or the Spark server dies."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.health import listens
from tests.conftest import SPARK_START_SECONDS, SparkRemote
from tests.local.databricks.harness import (
    Service,
    free_port,
    healthy,
    payload,
    start_service,
    start_spark,
    wait_for,
)

FOREVER = "import time; print('began', flush=True); time.sleep(1000)"
# Without a shuffle: Spark may submit the shuffle stage of a query that was cancelled while it was planned.
ENDLESS_QUERY = """
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    spark.sql("select 1").collect()
    print("began", flush=True)
    spark.range(10**15).where("crc32(string(id)) < 0").collect()
"""


def start_run(service: Service, text: str) -> int:
    run_id = service.submit(payload(service.script("long.py", text)))
    wait_for(lambda: service.output(run_id)["logs"] == "began\n", 60)
    return run_id


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_ended_service_leaves_no_process_and_tells_what_became_of_its_run(
    own_service: Service, spark_remote: SparkRemote, signum: int
) -> None:
    run_id = start_run(own_service, "import subprocess; subprocess.Popen(['sleep', '1000'])\n" + FOREVER)
    processes = own_service.processes()
    assert "sleep" in [process.name() for process in processes]
    own_service.terminate(signum)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []

    again = start_service(own_service.folder, spark_remote.remote, own_service.port)
    try:
        wait_for(lambda: healthy(again), 60)
        state = again.state(run_id)
        assert (state["life_cycle_state"], state["result_state"]) == ("INTERNAL_ERROR", "FAILED")
        told = "The Jobs service ended" if signum == signal.SIGKILL else "The Jobs service was stopped"
        assert again.output(run_id)["error"] == f"{told} while the run was under way"
        assert again.output(run_id)["logs"] == "began\n"
        assert again.submit(payload(again.script("next.py", ""))) > run_id
    finally:
        again.terminate()


def test_a_restarted_service_knows_finished_runs_and_their_tokens(
    own_service: Service, spark_remote: SparkRemote
) -> None:
    once = payload(own_service.script("once.py", "print('done')"), idempotency_token="once")
    run_id = own_service.submit(once)
    own_service.finished(run_id)
    before, output = own_service.get(run_id), own_service.output(run_id)
    own_service.terminate()

    again = start_service(own_service.folder, spark_remote.remote, own_service.port)
    try:
        wait_for(lambda: healthy(again), 60)
        assert (again.get(run_id), again.output(run_id)) == (before, output)
        assert again.submit(once) == run_id
    finally:
        again.terminate()


def test_a_run_against_a_dead_spark_server_fails_and_names_it(tmp_path: Path) -> None:
    port = free_port()
    service = start_service(tmp_path, f"sc://127.0.0.1:{port}")
    try:
        wait_for(lambda: listens("127.0.0.1", service.port))
        wait_for(lambda: service.call("GET", "/health", token=None).json()["python"])
        answer = service.call("GET", "/health", token=None)
        assert (answer.status_code, answer.json()["spark"]) == (503, False)
        waiting = service.processes()
        run_id = service.submit(payload(service.script("a.py", "print('hello')")))
        state = service.finished(run_id)
        assert (state["life_cycle_state"], state["result_state"]) == ("INTERNAL_ERROR", "FAILED")
        assert f"Spark server at 127.0.0.1:{port} does not answer" in service.output(run_id)["error"]
        assert service.processes() == waiting  # none was wasted on it
    finally:
        service.terminate()


@pytest.fixture
def spark_process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A Spark server the test may kill."""
    port = free_port()
    process = start_spark(tmp_path, port)
    try:
        wait_for(lambda: listens("127.0.0.1", port), SPARK_START_SECONDS)
        yield process, port
    finally:
        process.kill()
        process.wait()


def test_a_spark_server_killed_during_a_query_ends_the_run(
    tmp_path: Path, spark_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = spark_process
    service = start_service(tmp_path, f"sc://127.0.0.1:{port}")
    try:
        wait_for(lambda: healthy(service), 60)
        run_id = start_run(service, ENDLESS_QUERY)
        process.kill()
        wait_for(lambda: "result_state" in service.state(run_id), 10)
        assert service.state(run_id)["life_cycle_state"] == "INTERNAL_ERROR"
        assert f"Spark server at 127.0.0.1:{port} does not answer" in service.output(run_id)["error"]
    finally:
        service.terminate()


def test_cancel_stops_the_work_on_the_spark_server(
    tmp_path: Path, spark_process: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, port = spark_process  # of its own: work that went on would take the cores from every later test
    server = psutil.Process(process.pid)
    service = start_service(tmp_path, f"sc://127.0.0.1:{port}")
    try:
        wait_for(lambda: healthy(service), 60)
        run_id = start_run(service, ENDLESS_QUERY)
        wait_for(lambda: _load(server) > 0.5)
        service.call("POST", "/api/2.2/jobs/runs/cancel", {"run_id": str(run_id)})
        assert service.finished(run_id)["result_state"] == "CANCELED"
        wait_for(lambda: _load(server) < 0.2)
    finally:
        service.terminate()


def _load(process: psutil.Process) -> float:
    """The CPUs the process keeps busy, over half a second."""
    return process.cpu_percent(0.5) / 100
