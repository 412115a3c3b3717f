"""Airflow's own DatabricksSubmitRunOperator against the service, waiting and deferred."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

from tests.local.databricks.harness import Service, payload
from tests.operators import execute_to_end, new_context


@pytest.fixture
def context(hook: DatabricksHook) -> dict[str, Any]:
    """A context, and through `hook` the connection."""
    return new_context()


def wait(operator: DatabricksSubmitRunOperator, context: dict[str, Any]) -> None:
    operator.execute(context)


def defer(operator: DatabricksSubmitRunOperator, context: dict[str, Any]) -> None:
    operator.deferrable = True
    execute_to_end(operator, context)


def operator(body: dict[str, Any]) -> DatabricksSubmitRunOperator:
    # Not durable: for that it would keep the run's id in a store that only a running Airflow has.
    body |= {"timeout_seconds": 600}  # the operator sends numbers as strings
    return DatabricksSubmitRunOperator(task_id="t", json=body, polling_period_seconds=1, durable=False)


@pytest.mark.parametrize("way", [wait, defer])
def test_the_operator_runs_a_script(
    service: Service, context: dict[str, Any], way: Callable[[DatabricksSubmitRunOperator, dict[str, Any]], None]
) -> None:
    way(operator(payload(service.script("good.py", "import time; time.sleep(2); print('done')"))), context)
    xcom = context["ti"].xcom
    assert service.output(xcom["run_id"])["logs"] == "done\n"
    assert xcom["run_page_url"] == f"{service.url}/runs/{xcom['run_id']}"


@pytest.mark.parametrize("way", [wait, defer])
def test_the_operator_fails_with_the_words_of_the_script(
    service: Service, context: dict[str, Any], way: Callable[[DatabricksSubmitRunOperator, dict[str, Any]], None]
) -> None:
    script = service.script("bad.py", "import time; time.sleep(2); raise ValueError('record 7: no tracking_num')")
    with pytest.raises(AirflowException, match="record 7: no tracking_num"):
        way(operator(payload(script)), context)


def test_the_operator_cancels_its_run_when_it_is_killed(service: Service, context: dict[str, Any]) -> None:
    killed = operator(payload(service.script("forever.py", "import time; time.sleep(1000)")))
    killed.wait_for_termination = False
    killed.execute(context)
    killed.on_kill()
    assert service.finished(context["ti"].xcom["run_id"])["result_state"] == "CANCELED"
