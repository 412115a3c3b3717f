"""What is left, and what is told, when the service or the Spark server dies."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from local.health import listens
from tests.conftest import SPARK_START_SECONDS, SparkRemote
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


@dataclass
class Mortal:
    """A service that tests end and start again, in the same folder and on the same port."""

    service: Service
    remote: str

    def start_again(self) -> Service:
        self.service = start_service(self.service.folder, self.remote, self.service.port)
        wait_for(lambda: healthy(self.service), START_SECONDS)
        return self.service


@pytest.fixture(scope="module")
def mortal(spark_remote: SparkRemote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    folder = tmp_path_factory.mktemp("mortal")
    mortal = Mortal(start_service(folder, spark_remote.remote), spark_remote.remote)
    try:
        yield mortal
    finally:
        mortal.service.terminate(signal.SIGKILL)


@pytest.fixture
def own_service(mortal: Mortal) -> Service:
    """The service, for a test that ends it."""
    if mortal.service.process.poll() is not None:
        return mortal.start_again()
    wait_for(lambda: healthy(mortal.service), START_SECONDS)
    return mortal.service


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_ended_service_leaves_no_process_and_tells_what_became_of_its_run(
    mortal: Mortal, own_service: Service, signum: int
) -> None:
    run_id = start_run(own_service, "import subprocess; subprocess.Popen(['sleep', '1000'])\n" + FOREVER)
    processes = own_service.processes()
    assert "sleep" in [process.name() for process in processes]
    own_service.terminate(signum)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []

    again = mortal.start_again()
    state = again.state(run_id)
    assert (state["life_cycle_state"], state["result_state"]) == ("INTERNAL_ERROR", "FAILED")
    told = "The Jobs service ended" if signum == signal.SIGKILL else "The Jobs service was stopped"
    assert again.output(run_id)["error"] == f"{told} while the run was under way"
    assert again.output(run_id)["logs"] == "began\n"
    assert again.submit(payload(again.script("next.py", ""))) > run_id


def test_a_restarted_service_knows_finished_runs_and_their_tokens(mortal: Mortal, own_service: Service) -> None:
    once = payload(own_service.script("once.py", "print('done')"), idempotency_token="once")
    run_id = own_service.submit(once)
    own_service.finished(run_id)
    before, output = own_service.get(run_id), own_service.output(run_id)
    own_service.terminate()

    again = mortal.start_again()
    assert (again.get(run_id), again.output(run_id)) == (before, output)
    assert again.submit(once) == run_id


def test_a_run_against_a_dead_spark_server_fails_and_names_it(tmp_path: Path) -> None:
    port = free_port()
    service = start_service(tmp_path, f"sc://127.0.0.1:{port}")
    try:
        wait_for(lambda: listens("127.0.0.1", service.port))
        answer = service.call("GET", "/health", token=None)
        assert (answer.status_code, answer.json()["spark"]) == (503, False)
        waiting = service.processes()
        run_id = service.submit(payload(service.script("a.py", "print('hello')")))
        state = service.finished(run_id)
        assert (state["life_cycle_state"], state["result_state"]) == ("INTERNAL_ERROR", "FAILED")
        assert f"Spark server at 127.0.0.1:{port} does not answer" in service.output(run_id)["error"]
        assert service.processes() == waiting  # nothing is left of it
    finally:
        service.terminate()


@dataclass
class Pair:
    """A Spark server and a service of its own. Work that goes on there takes no core from other tests."""

    spark: psutil.Process
    port: int
    service: Service


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """For the tests below, in their order: the last one kills the server."""
    folder, port = tmp_path_factory.mktemp("pair"), free_port()
    spark = start_spark(folder, port)
    service = start_service(folder, f"sc://127.0.0.1:{port}")
    try:
        wait_for(lambda: listens("127.0.0.1", port), SPARK_START_SECONDS)
        wait_for(lambda: healthy(service), START_SECONDS)
        yield Pair(psutil.Process(spark.pid), port, service)
    finally:
        service.terminate()
        spark.kill()
        spark.wait()


def test_cancel_stops_the_work_on_the_spark_server(pair: Pair) -> None:
    run_id = start_run(pair.service, ENDLESS_QUERY)
    wait_for(lambda: _load(pair.spark) > 0.5)
    pair.service.call("POST", "/api/2.2/jobs/runs/cancel", {"run_id": str(run_id)})
    assert pair.service.finished(run_id)["result_state"] == "CANCELED"
    wait_for(lambda: _load(pair.spark) < 0.2)


def test_a_spark_server_killed_during_a_query_ends_the_run(pair: Pair) -> None:
    run_id = start_run(pair.service, ENDLESS_QUERY)
    pair.spark.kill()
    wait_for(lambda: "result_state" in pair.service.state(run_id), 10)
    assert pair.service.state(run_id)["life_cycle_state"] == "INTERNAL_ERROR"
    assert f"Spark server at 127.0.0.1:{pair.port} does not answer" in pair.service.output(run_id)["error"]


def _load(process: psutil.Process) -> float:
    """The CPUs the process keeps busy, over half a second."""
    return process.cpu_percent(0.5) / 100
