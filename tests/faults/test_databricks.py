"""Every request of a task to the Jobs API meets every short fault, in its worker and in the triggerer.

The service is a script of answers here: its run is under way until a test says that it is over.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.triggers.base import BaseTrigger
from tenacity import stop_after_attempt, wait_none

from ingestion.tasks.patience import OutageError, is_outage
from ingestion.tasks.run_trigger import FAILED_LOOKS
from ingestion.tasks.submit_job import SubmitJobOperator
from tests.faults import answers
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Answer, Fault, Reset, Rule, Stall, Truncate
from tests.operators import new_context

COUNTS = {"batch_id": "b1", "rows_read": 2}
TASK = {"run_id": 8, "task_key": "stage", "attempt_number": 0}
SUBMIT, GET, OUTPUT = r"/runs/submit$", r"/runs/get(\?|$)", r"/runs/get-output(\?|$)"
FAULTS = {"503": answers.databricks(503), "429": answers.databricks(429), "reset": Reset(), "silent": Stall()}
EVERY = FAULTS | {"truncated": Truncate()}
PATIENCE_SECONDS = 0.5


def run(life_cycle: str, **state: str) -> Answer:
    of = {"life_cycle_state": life_cycle, "state_message": ""} | state
    known = {"run_id": 7, "job_id": 7, "run_name": "try 1", "run_page_url": "http://127.0.0.1/runs/7"}
    return Answer(200, json.dumps(known | {"state": of, "status": {}, "tasks": [TASK | {"state": of}]}))


@pytest.fixture
def service() -> Iterator[FaultProxy]:
    """The Jobs service: it has one run, that of the task, which is under way."""
    with FaultProxy(lambda: "http://127.0.0.1:9").running() as service:
        service.fail("POST", SUBMIT, Answer(200, '{"run_id": 7}'), times=None)
        output = {"logs": f"INGESTION_RESULT {json.dumps(COUNTS)}\n", "metadata": {}}
        service.fail("GET", OUTPUT, Answer(200, json.dumps(output)), times=None)
        yield service


@pytest.fixture
def proxy(service: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared")  # people are told of counts that cannot be had
    with FaultProxy(lambda: f"http://127.0.0.1:{service.port}").running() as proxy:
        address = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": proxy.port}
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", json.dumps(address | {"password": "token"}))
        yield proxy


def end(service: FaultProxy) -> None:
    service.fail("GET", GET, run("TERMINATED", result_state="SUCCESS"), times=None)


def task(wait_seconds: float = 60) -> SubmitJobOperator:
    """A task whose clients have little patience, and do not pause between their attempts."""
    operator = SubmitJobOperator(
        task_id="stage",
        json={"tasks": []},
        run_name="try 1",
        idempotency_token="b1-stage",
        batch_id="b1",
        wait_seconds=wait_seconds,
        polling_period_seconds=0,
        databricks_retry_args={"stop": stop_after_attempt(3), "wait": wait_none()} if wait_seconds else None,
        databricks_retry_delay=0,
    )
    operator._hook.timeout_seconds = PATIENCE_SECONDS
    return operator


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("method", "path"), [("POST", SUBMIT), ("GET", GET), ("GET", OUTPUT)])
def test_a_short_fault_changes_nothing(
    service: FaultProxy, proxy: FaultProxy, method: str, path: str, fault: Fault
) -> None:
    end(service)
    (rule,) = proxy.fail(method, path, fault)
    assert task().execute(new_context()) == COUNTS
    assert rule.left == 0


@pytest.mark.parametrize(("method", "path"), [("POST", SUBMIT), ("GET", GET)])
def test_half_an_answer_fails_the_try_as_an_outage(
    service: FaultProxy, proxy: FaultProxy, method: str, path: str
) -> None:
    """The next try asks with the same token, and so takes over what was submitted."""
    end(service)
    proxy.fail(method, path, Truncate())
    with pytest.raises(Exception, match="IncompleteRead") as told:
        task().execute(new_context())
    assert is_outage(told.value)


@pytest.mark.parametrize("fault", EVERY.values(), ids=EVERY)
def test_counts_that_cannot_be_had_change_no_outcome(service: FaultProxy, proxy: FaultProxy, fault: Fault) -> None:
    end(service)
    proxy.fail("GET", OUTPUT, fault, times=None)
    assert task().execute(new_context()) is None


@pytest.mark.parametrize("fault", EVERY.values(), ids=EVERY)
def test_the_triggerer_looks_again(service: FaultProxy, proxy: FaultProxy, fault: Fault) -> None:
    operator, trigger = deferred(service)
    (rule,) = proxy.fail("GET", GET, fault)
    assert operator.execute_complete(new_context(), event_of(trigger)) == COUNTS
    assert rule.left == 0


def test_an_outage_that_the_triggerer_meets_is_one_to_the_task(service: FaultProxy, proxy: FaultProxy) -> None:
    operator, trigger = deferred(service)
    (rule,) = proxy.fail("GET", GET, Reset(), times=None)
    with pytest.raises(OutageError, match="Databricks run 7 cannot be looked at"):
        operator.execute_complete(new_context(), event_of(trigger))
    assert rule.met >= FAILED_LOOKS  # the client asks twice itself


def deferred(service: FaultProxy) -> tuple[SubmitJobOperator, BaseTrigger]:
    """A task and what waits for its run, which is over by now."""
    operator = task(wait_seconds=0)
    (under_way,) = service.fail("GET", GET, run("RUNNING"), times=None)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(new_context())
    stop(under_way)
    end(service)
    path, arguments = deferral.value.trigger.serialize()
    assert path == "ingestion.tasks.run_trigger.RunTrigger"
    trigger = type(deferral.value.trigger)(**arguments)
    trigger.hook.timeout_seconds = PATIENCE_SECONDS
    return operator, trigger


def stop(rule: Rule) -> None:
    rule.left = 0


def event_of(trigger: BaseTrigger) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        return await anext(event.payload async for event in trigger.run())

    return asyncio.run(first())
