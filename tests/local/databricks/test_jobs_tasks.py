"""Runs of several tasks: their order, their conditions, and the state of the whole."""

from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest
from databricks.sdk.service import compute, jobs

from local.databricks.states import CANCELED, EXCLUDED, FAILED, SUCCEEDED, UPSTREAM_FAILED, skipped, timed_out
from tests.local.databricks.harness import Service, wait_for

GOOD = "print('good')"
BAD = "raise ValueError('bad')"
FOREVER = "import time; print('began', flush=True); time.sleep(1000)"


def submit(sdk: WorkspaceClient, service: Service, **tasks: tuple[str, list[str], str | None]) -> int:
    """Submit a run: by task key the text of its script, what it depends on and its run_if."""
    several = [
        jobs.SubmitTask(
            key,
            spark_python_task=jobs.SparkPythonTask(service.script(f"{key}.py", text)),
            environment_key="default",
            depends_on=[jobs.TaskDependency(other) for other in others],
            run_if=jobs.RunIf(run_if) if run_if else None,
        )
        for key, (text, others, run_if) in tasks.items()
    ]
    environment = jobs.JobEnvironment("default", spec=compute.Environment(environment_version="5"))
    return sdk.jobs.submit(tasks=several, environments=[environment], run_name="several").run_id


def finished(sdk: WorkspaceClient, run_id: int) -> jobs.Run:
    wait_for(lambda: sdk.jobs.get_run(run_id).end_time, 120)
    return sdk.jobs.get_run(run_id)


def results(run: jobs.Run) -> dict[str, str]:
    return {task.task_key: task.state.result_state.value for task in run.tasks}


def test_a_task_begins_when_those_it_depends_on_are_over(service: Service, sdk: WorkspaceClient) -> None:
    run = finished(
        sdk,
        submit(sdk, service, last=(GOOD, ["left", "right"], None), left=(GOOD, [], None), right=(GOOD, ["left"], None)),
    )
    assert run.state.result_state is jobs.RunResultState.SUCCESS
    assert results(run) == {"last": "SUCCESS", "left": "SUCCESS", "right": "SUCCESS"}
    times = {task.task_key: (task.start_time + task.setup_duration, task.end_time) for task in run.tasks}
    assert times["left"][1] <= times["right"][0]
    assert times["right"][1] <= times["last"][0]
    assert [sdk.jobs.get_run_output(task.run_id).logs for task in run.tasks] == ["good\n"] * 3
    with pytest.raises(BadRequest, match="each individual task run"):
        sdk.jobs.get_run_output(run.run_id)


def test_a_failed_task_skips_what_depends_on_it_and_fails_the_run(service: Service, sdk: WorkspaceClient) -> None:
    run = finished(
        sdk,
        submit(sdk, service, first=(BAD, [], None), second=(GOOD, ["first"], None), beside=(GOOD, [], None)),
    )
    assert results(run) == {"first": "FAILED", "second": "UPSTREAM_FAILED", "beside": "SUCCESS"}
    assert run.state.result_state is jobs.RunResultState.FAILED
    assert run.state.state_message == (
        "Task first failed with message: Workload failed, see run output for details. "
        "This caused all downstream tasks to get skipped."
    )
    second = next(task for task in run.tasks if task.task_key == "second")
    assert second.status.termination_details.code is jobs.TerminationCodeCode.SKIPPED
    assert sdk.jobs.get_run_output(second.run_id).logs == ""


def test_a_run_whose_leaves_succeed_succeeds_with_failures(service: Service, sdk: WorkspaceClient) -> None:
    run = finished(
        sdk,
        submit(
            sdk,
            service,
            first=(BAD, [], None),
            clean_up=(GOOD, ["first"], "ALL_DONE"),
            only_if_failed=(GOOD, ["first"], "AT_LEAST_ONE_FAILED"),
        ),
    )
    assert results(run) == {"first": "FAILED", "clean_up": "SUCCESS", "only_if_failed": "SUCCESS"}
    assert run.state.result_state is jobs.RunResultState.SUCCESS_WITH_FAILURES


def test_cancel_ends_what_runs_and_what_waits(service: Service, sdk: WorkspaceClient) -> None:
    run_id = submit(sdk, service, first=(FOREVER, [], None), second=(GOOD, ["first"], "ALL_DONE"))
    first, second = (task.run_id for task in sdk.jobs.get_run(run_id).tasks)
    wait_for(lambda: sdk.jobs.get_run_output(first).logs == "began\n")
    assert sdk.jobs.get_run(second).state.life_cycle_state is jobs.RunLifeCycleState.BLOCKED
    sdk.jobs.cancel_run(run_id)
    run = finished(sdk, run_id)
    assert results(run) == {"first": "CANCELED", "second": "CANCELED"}
    assert run.state.result_state is jobs.RunResultState.CANCELED


def test_a_task_that_takes_too_long_ends_alone(service: Service, sdk: WorkspaceClient) -> None:
    body: dict[str, Any] = {
        "tasks": [
            {"task_key": key, "environment_key": "default", "spark_python_task": {"python_file": file}} | more
            for key, file, more in (
                ("slow", service.script("slow.py", FOREVER), {"timeout_seconds": 1}),
                (
                    "after",
                    service.script("after.py", GOOD),
                    {"depends_on": [{"task_key": "slow"}], "run_if": "ALL_DONE"},
                ),
            )
        ],
        "environments": [{"environment_key": "default"}],
    }
    run = finished(sdk, service.submit(body))
    assert results(run) == {"slow": "TIMEDOUT", "after": "SUCCESS"}


def test_a_run_of_several_tasks_has_a_page_that_leads_to_each(service: Service, sdk: WorkspaceClient) -> None:
    run = finished(sdk, submit(sdk, service, first=(BAD, [], None), second=(GOOD, ["first"], None)))
    page = service.call("GET", f"/runs/{run.run_id}", token=None).text
    for task in run.tasks:
        assert f"<a href='/runs/{task.run_id}'>{task.task_key}</a>" in page
    assert "ValueError: bad" in service.call("GET", f"/runs/{run.tasks[0].run_id}", token=None).text


TIMED_OUT = timed_out(1)


# By hand from the documentation of "Run if": excluded tasks count as successful; after excluded ones only, so is this.
@pytest.mark.parametrize(
    ("run_if", "upstream", "expected"),
    [
        ("ALL_SUCCESS", [], None),
        ("ALL_SUCCESS", [SUCCEEDED, SUCCEEDED], None),
        ("ALL_SUCCESS", [SUCCEEDED, EXCLUDED], None),
        ("ALL_SUCCESS", [SUCCEEDED, FAILED], UPSTREAM_FAILED),
        ("ALL_SUCCESS", [TIMED_OUT], UPSTREAM_FAILED),
        ("ALL_SUCCESS", [CANCELED], UPSTREAM_FAILED),
        ("ALL_SUCCESS", [UPSTREAM_FAILED], UPSTREAM_FAILED),
        ("ALL_SUCCESS", [EXCLUDED, EXCLUDED], EXCLUDED),
        ("AT_LEAST_ONE_SUCCESS", [FAILED, SUCCEEDED], None),
        ("AT_LEAST_ONE_SUCCESS", [FAILED, UPSTREAM_FAILED], UPSTREAM_FAILED),
        ("NONE_FAILED", [SUCCEEDED, EXCLUDED], None),
        ("NONE_FAILED", [SUCCEEDED, FAILED], UPSTREAM_FAILED),
        ("ALL_DONE", [FAILED, UPSTREAM_FAILED], None),
        ("ALL_DONE", [EXCLUDED], EXCLUDED),
        ("AT_LEAST_ONE_FAILED", [SUCCEEDED, FAILED], None),
        ("AT_LEAST_ONE_FAILED", [SUCCEEDED, SUCCEEDED], EXCLUDED),
        ("ALL_FAILED", [FAILED, UPSTREAM_FAILED], None),
        ("ALL_FAILED", [SUCCEEDED, FAILED], EXCLUDED),
    ],
)
def test_run_if_decides_whether_a_task_begins(run_if: Any, upstream: list[Any], expected: Any) -> None:  # noqa: ANN401
    assert skipped(run_if, upstream) == expected
