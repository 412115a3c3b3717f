"""The service as the stock clients see it: Airflow's Databricks hook, sync and async, and databricks-sdk."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.databricks.exceptions import DatabricksApiError
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, PermissionDenied, ResourceDoesNotExist
from databricks.sdk.service import compute, jobs

from tests.local.databricks.harness import TOKEN, Service, payload, wait_for

FOREVER = "import time; print('began', flush=True); time.sleep(1000)"


def began(service: Service, run_id: int) -> bool:
    return service.output(run_id)["logs"] == "began\n"


def test_airflow_hook_runs_a_script(service: Service, hook: DatabricksHook) -> None:
    run_id = hook.submit_run(payload(service.script("hook.py", "print('hello')")))
    wait_for(lambda: hook.get_run_state(run_id).is_terminal)
    assert hook.get_run_state(run_id).is_successful
    run = hook.get_run(run_id)
    assert (run["run_id"], run["run_name"], run["run_type"]) == (run_id, "a test", "SUBMIT_RUN")
    assert hook.get_run_page_url(run_id) == f"{service.url}/runs/{run_id}"
    (task,) = run["tasks"]
    assert (task["task_key"], task["attempt_number"]) == ("step", 0)
    assert hook.get_run_output(task["run_id"])["logs"] == "hello\n"
    assert run["start_time"] <= run["end_time"] <= time.time() * 1000


def test_airflow_hook_async_reads_a_run(service: Service, hook: DatabricksHook) -> None:
    run_id = hook.submit_run(payload(service.script("fails.py", "raise ValueError('row 3')")))
    service.finished(run_id)

    async def read() -> tuple[Any, dict[str, Any], dict[str, Any]]:
        async with hook:
            run = await hook.a_get_run(run_id)
            output = await hook.a_get_run_output(run["tasks"][0]["run_id"])
            return await hook.a_get_run_state(run_id), run, output

    state, run, output = asyncio.run(read())
    assert (state.is_terminal, state.result_state) == (True, "FAILED")
    assert run["tasks"][0]["state"]["result_state"] == "FAILED"
    assert output["error"] == "ValueError: row 3"


def test_airflow_hook_cancels(service: Service, hook: DatabricksHook) -> None:
    run_id = hook.submit_run(payload(service.script("forever.py", FOREVER)))
    wait_for(lambda: began(service, run_id))
    hook.cancel_run(run_id)
    wait_for(lambda: hook.get_run_state(run_id).is_terminal)
    state = hook.get_run_state(run_id)
    assert (state.life_cycle_state, state.result_state, state.state_message) == (
        "TERMINATED",
        "CANCELED",
        "Run cancelled.",
    )
    assert service.state(run_id)["user_cancelled_or_timedout"] is True
    hook.cancel_run(run_id)
    assert hook.get_run_state(run_id).result_state == "CANCELED"


def test_a_wrong_token_is_forbidden(make_hook: Callable[[str], DatabricksHook], service: Service) -> None:
    with pytest.raises(DatabricksApiError, match=r"Invalid access token.*Status Code: 403"):
        make_hook("wrong").submit_run(payload(service.script("a.py", "")))


def test_no_token_is_unauthorized(service: Service) -> None:
    answer = service.call("GET", "/api/2.2/jobs/runs/list", token=None)
    assert (answer.status_code, answer.json()["error_code"]) == (401, 401)
    assert "Credential was not sent" in answer.json()["message"]


def test_airflow_hook_is_told_what_is_wrong_with_a_request(service: Service, hook: DatabricksHook) -> None:
    with pytest.raises(DatabricksApiError, match=r"no_such_field.*Status Code: 400"):
        hook.submit_run(payload(service.script("a.py", ""), no_such_field=1))


def sdk_task(file: str) -> dict[str, Any]:
    task = jobs.SubmitTask("step", spark_python_task=jobs.SparkPythonTask(file), environment_key="default")
    environment = jobs.JobEnvironment("default", spec=compute.Environment(environment_version="5"))
    return {"tasks": [task], "environments": [environment], "run_name": "with the sdk"}


def test_sdk_runs_a_script(service: Service, sdk: WorkspaceClient) -> None:
    run = sdk.jobs.submit_and_wait(**sdk_task(service.script("sdk.py", "print('hello')")))
    assert run.state.result_state is jobs.RunResultState.SUCCESS
    assert run.status.termination_details.code is jobs.TerminationCodeCode.SUCCESS
    output = sdk.jobs.get_run_output(run.tasks[0].run_id)
    assert (output.logs, output.logs_truncated, output.metadata.job_run_id) == ("hello\n", False, run.run_id)
    with pytest.raises(BadRequest, match="each individual task run"):
        sdk.jobs.get_run_output(run.run_id)


def test_sdk_tells_a_failure_a_timeout_and_a_known_token(service: Service, sdk: WorkspaceClient) -> None:
    failing = sdk_task(service.script("fails.py", "raise ValueError('row 3')"))
    run = sdk.jobs.submit(**failing, idempotency_token="sdk-once").result()
    assert run.state.result_state is jobs.RunResultState.FAILED
    assert run.status.termination_details.type is jobs.TerminationTypeType.CLIENT_ERROR
    assert sdk.jobs.get_run_output(run.tasks[0].run_id).error == "ValueError: row 3"
    assert sdk.jobs.submit(**failing, idempotency_token="sdk-once").run_id == run.run_id

    slow = sdk.jobs.submit_and_wait(**sdk_task(service.script("forever.py", FOREVER)), timeout_seconds=1)
    assert slow.state.result_state is jobs.RunResultState.TIMEDOUT
    assert slow.state.user_cancelled_or_timedout is True


def test_sdk_cancels_and_lists(service: Service, sdk: WorkspaceClient) -> None:
    waiting = sdk.jobs.submit(**sdk_task(service.script("forever.py", FOREVER)))
    wait_for(lambda: began(service, waiting.run_id))
    assert waiting.run_id in [run.run_id for run in sdk.jobs.list_runs(active_only=True)]
    sdk.jobs.cancel_run(waiting.run_id)
    run = waiting.result()
    assert run.status.termination_details.code is jobs.TerminationCodeCode.USER_CANCELED
    assert waiting.run_id not in [run.run_id for run in sdk.jobs.list_runs(active_only=True)]
    every = [run.run_id for run in sdk.jobs.list_runs(limit=1, completed_only=True)]
    assert every == sorted(every, reverse=True)
    assert waiting.run_id in every


def test_sdk_errors(service: Service, sdk: WorkspaceClient) -> None:
    with pytest.raises(ResourceDoesNotExist, match="Run 1 does not exist"):
        sdk.jobs.get_run(1)
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        WorkspaceClient(host=service.url, token="wrong").jobs.get_run(1)


def test_an_idempotency_token_returns_the_run_whatever_its_state(service: Service, hook: DatabricksHook) -> None:
    once = payload(service.script("once.py", "raise ValueError"), idempotency_token="batch-stage-0")
    run_id = hook.submit_run(once)
    assert hook.submit_run(once) == run_id
    assert service.finished(run_id)["result_state"] == "FAILED"
    assert hook.submit_run(once) == run_id
    assert hook.submit_run(once | {"idempotency_token": "batch-stage-1"}) != run_id


@pytest.mark.parametrize("where", ["run", "task"])
def test_a_run_that_takes_too_long_is_timed_out(service: Service, where: str) -> None:
    body = payload(service.script("forever.py", FOREVER))
    (body if where == "run" else body["tasks"][0])["timeout_seconds"] = "1"
    run_id = service.submit(body)
    state = service.finished(run_id)
    assert (state["life_cycle_state"], state["result_state"]) == ("TERMINATED", "TIMEDOUT")
    assert state["user_cancelled_or_timedout"] is True
    assert "1 second" in state["state_message"]


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "/api/2.2/jobs/reset"),
        ("POST", "/api/2.2/jobs/runs/delete"),
        ("GET", "/api/2.1/jobs/runs/get"),
        ("DELETE", "/api/2.2/jobs/runs/get"),
        ("GET", "/api/2.0/workspace/get-status"),
        ("GET", "/elsewhere"),
    ],
)
def test_every_other_route_is_not_implemented_and_says_so(service: Service, method: str, route: str) -> None:
    answer = service.call(method, route)
    assert answer.status_code == 501
    assert answer.json()["error_code"] == "NOT_IMPLEMENTED"
    assert f"{method} {route}" in answer.json()["message"]
    assert service.call(method, route, token="wrong").status_code == 403


def test_what_cannot_be_carried_out_is_refused_and_no_run_begins(service: Service) -> None:
    def count() -> int:
        return len(service.call("GET", "/api/2.2/jobs/runs/list?limit=25").json()["runs"])

    before = count()
    git = {"git_url": "ssh://example.com/a", "git_provider": "gitHub", "git_tag": "v1"}
    answer = service.call("POST", "/api/2.2/jobs/runs/submit", payload("/Workspace/a.py", git_source=git))
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "FEATURE_DISABLED"
    assert "cannot carry out: git_source.git_url ssh://example.com/a" in answer.json()["message"]
    assert count() == before


def test_a_body_that_is_not_json_is_refused(service: Service) -> None:
    answer = service.call("GET", "/api/2.2/jobs/runs/get", body="run_id")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MALFORMED_REQUEST")


def test_the_run_page_is_for_people_and_escapes_what_it_shows(service: Service) -> None:
    script = service.script("page.py", "print('<b>out</b>'); raise ValueError('<i>')")
    run_id = service.submit(payload(script, "<script>", run_name="<u>name</u>"))
    service.finished(run_id)
    text = service.call("GET", f"/runs/{run_id}", token=None).text
    for shown in (
        "&lt;b&gt;out&lt;/b&gt;",
        "ValueError: &lt;i&gt;",
        "&lt;script&gt;",
        "&lt;u&gt;name&lt;/u&gt;",
        "FAILED",
    ):
        assert shown in text
    for raw in ("<b>out", "<i>", "<script>", "<u>", "onerror"):
        assert raw not in text
    assert f"/runs/{run_id}" in service.call("GET", "/", token=None).text
    assert TOKEN not in text


def test_the_log_of_a_run_can_be_followed(service: Service) -> None:
    run_id = service.submit(payload(service.script("log.py", "print('one'); print('two')")))
    service.finished(run_id)
    rest = service.call("GET", f"/runs/{run_id}/log?since=4", token=None).json()
    assert rest == {"text": "two\n", "end": 8, "state": "SUCCESS"}
    assert service.call("GET", f"/runs/{run_id}/log?since=8", token=None).json()["text"] == ""
    assert service.call("GET", f"/runs/{run_id}/log?since=-1", token=None).status_code == 400
