"""What the operators of stage and merge share, against the Databricks service: counts, failures and resubmissions."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from ingestion.tasks.patience import OutageError, is_outage
from ingestion.tasks.submit_job import SubmitJobOperator
from tests.ingestion.tasks.conftest import printing
from tests.local.databricks.harness import Service, payload, wait_for
from tests.operators import execute_to_end, new_context

IN_THE_WORKER = 60  # seconds to wait there; no run of these tests takes half of that
COUNTS = {"batch_id": "b1", "rows_read": 200, "rows_quarantined": 2, "reasons": {"status: missing": 2}}


def job(
    service: Service,
    text: str,
    token: str,
    name: str = "try 1",
    wait_seconds: float = 0,
) -> SubmitJobOperator:
    return SubmitJobOperator(
        task_id="stage",
        json=payload(service.script(f"{token}.py", f"import time; time.sleep(1)\n{text}")),
        run_name=name,
        idempotency_token=token,
        batch_id="b1",
        wait_seconds=wait_seconds,
        polling_period_seconds=1,
    )


def execute(operator: SubmitJobOperator, context: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever it returns
    """Its result from where it must end: from the worker, or by the trigger."""
    ends_in_the_worker = operator.wait_seconds == IN_THE_WORKER
    return operator.execute(context) if ends_in_the_worker else execute_to_end(operator, context)


def run(operator: SubmitJobOperator) -> tuple[Any, dict[str, Any]]:
    """Execute it; returns its result and what it left for other tasks."""
    context = new_context()
    return execute(operator, context), context["ti"].xcom


@pytest.mark.parametrize("wait_seconds", [0, 0.1, IN_THE_WORKER])
def test_the_last_counts_of_its_batch_are_its_result(service: Service, wait_seconds: float) -> None:
    first, other = COUNTS | {"rows_read": 1}, COUNTS | {"batch_id": "b2", "rows_read": 3}
    text = printing(first, COUNTS, other)
    result, _ = run(job(service, text, f"counts-{wait_seconds}", wait_seconds=wait_seconds))
    assert result == COUNTS


@pytest.mark.parametrize("output", ["", 'print(\'INGESTION_RESULT {"batch_id": "b1\')', printing({"batch_id": "b2"})])
def test_a_run_without_readable_counts_is_still_a_success(
    service: Service, output: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    result, _ = run(job(service, output, f"none-{len(output)}"))
    assert result is None
    assert "so there are no counts" in capsys.readouterr().out  # of Airflow's logger, which is not Python's
    assert "the counts of a stage cannot be read" in caplog.text, "people are told"


@pytest.mark.parametrize("wait_seconds", [0, IN_THE_WORKER])
def test_a_failed_run_fails_the_task_in_the_words_of_the_job(service: Service, wait_seconds: float) -> None:
    text = "raise ValueError('file 3: the header is not its own')"
    operator = job(service, text, f"failing-{wait_seconds}", wait_seconds=wait_seconds)
    with pytest.raises(
        AirflowException, match=r"stage failed on Databricks \(FAILED\): .*file 3.* Log: http://127"
    ) as told:
        execute(operator, new_context())
    assert told.value.__context__ is None  # no story of a deferral around it
    assert not is_outage(told.value)


def test_a_run_that_was_lost_with_its_process_is_an_outage_and_a_script_that_is_not_there_is_none(
    service: Service,
) -> None:
    lost = job(service, "import os; os.kill(os.getpid(), 9)", "lost")
    with pytest.raises(OutageError, match="stage failed on Databricks"):
        execute(lost, new_context())
    gone = job(service, "", "gone")
    gone.json["tasks"][0]["spark_python_task"]["python_file"] += ".not"
    with pytest.raises(AirflowException, match="Cannot read the python file") as told:
        execute(gone, new_context())
    assert not is_outage(told.value)


@pytest.mark.parametrize("wait_seconds", [0, 0.1])
def test_a_run_that_goes_on_after_the_wait_is_deferred(service: Service, wait_seconds: float) -> None:
    operator = job(service, "time.sleep(600)", f"going-on-{wait_seconds}", wait_seconds=wait_seconds)
    with pytest.raises(TaskDeferred):
        operator.execute(new_context())
    assert service.state(operator.run_id)["life_cycle_state"] in ("PENDING", "RUNNING")
    operator.on_kill()


@pytest.fixture
def stop_signal_kills_task() -> Iterator[list[SubmitJobOperator]]:
    """Airflow's way to end a task in its worker: on SIGTERM its process calls `on_kill` in the midst of `execute`."""
    running: list[SubmitJobOperator] = []
    before = signal.signal(signal.SIGTERM, lambda *_: running[0].on_kill())
    yield running
    signal.signal(signal.SIGTERM, before)


def test_a_task_killed_while_it_waits_cancels_its_run(
    service: Service, stop_signal_kills_task: list[SubmitJobOperator]
) -> None:
    operator = job(service, "time.sleep(600)", "killed", wait_seconds=IN_THE_WORKER)
    stop_signal_kills_task.append(operator)

    def kill_when_it_runs() -> None:
        wait_for(lambda: operator.run_id and service.state(operator.run_id)["life_cycle_state"] == "RUNNING")
        os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor() as pool:  # waits for its end: the signal would end the tests if it came after this one
        killed = pool.submit(kill_when_it_runs)
        with pytest.raises(AirflowException, match=r"stage failed on Databricks \(CANCELED\)"):
            operator.execute(new_context())
        killed.result()


def test_a_short_outage_costs_a_waiting_task_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = job(service, printing(COUNTS), "outage", wait_seconds=IN_THE_WORKER)
    wait, get = operator._wait, requests.get
    looks: list[int] = []

    def fail_at_first(*args: Any, **kwargs: Any) -> requests.Response:
        looks.append(1)
        if len(looks) == 1:
            raise requests.ConnectionError
        return get(*args, **kwargs)

    def wait_through_an_outage() -> dict[str, Any] | None:
        monkeypatch.setattr(requests, "get", fail_at_first)
        return wait()

    monkeypatch.setattr(operator, "_wait", wait_through_an_outage)
    result, _ = run(operator)
    assert result == COUNTS
    assert len(looks) > 1


def test_a_run_that_is_still_active_is_taken_over_and_a_finished_one_is_not(service: Service) -> None:
    slow = job(service, "time.sleep(3)", "slow")
    _, first = run(slow)
    lost = service.submit(
        payload(service.script("lost.py", "import time; time.sleep(5)"), idempotency_token="slow-1", run_name="try 2")
    )
    _, third = run(job(service, "", "slow", name="try 3"))
    assert third["run_id"] == lost  # "slow-0" is over and not its own, "slow-1" is active
    _, fourth = run(job(service, "", "slow", name="try 4"))
    assert fourth["run_id"] not in (first["run_id"], lost)
