"""Jobs and their runs: parameters, wheels, the queue, repairs, jobs that run jobs."""

import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest
from databricks.sdk.service import jobs

from tests.local.databricks.harness import Service, wait_for

FOREVER = "import time; print('began', flush=True); time.sleep(1000)"
Create = Callable[..., int]


@pytest.fixture
def create(service: Service) -> Create:
    """Makes a job of these tasks; returns its id."""

    def make(*tasks: dict[str, Any], wheels: tuple[str, ...] = (), **fields: Any) -> int:
        spec = {"environment_version": "5", "dependencies": list(wheels)}
        environments = [{"environment_key": "default", "spec": spec}]
        body = {"name": "a job", "tasks": list(tasks), "environments": environments} | fields
        answer = service.call("POST", "/api/2.2/jobs/create", body)
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    return make


def task(service: Service, key: str, text: str, *parameters: str, after: tuple[str, ...] = ()) -> dict[str, Any]:
    """A task that runs this script."""
    script = {"python_file": service.script(f"{key}.py", text), "parameters": list(parameters)}
    depends_on = [{"task_key": other} for other in after]
    return {"task_key": key, "environment_key": "default", "spark_python_task": script, "depends_on": depends_on}


def ended(sdk: WorkspaceClient, run_id: int) -> jobs.Run:
    wait_for(lambda: sdk.jobs.get_run(run_id).state.result_state, 120)
    return sdk.jobs.get_run(run_id)


def logs(sdk: WorkspaceClient, run: jobs.Run) -> list[str]:
    return [sdk.jobs.get_run_output(task.run_id).logs for task in run.tasks]


def test_an_entry_point_of_a_wheel_gets_the_parameters_of_the_run(
    service: Service, sdk: WorkspaceClient, create: Create
) -> None:
    wheel = service.folder / "workspace/Shared/toy-1-py3-none-any.whl"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(
            "toy.py", "import sys\ndef main():\n    print(*sys.argv)\n    return 'what it returns is nothing'\n"
        )
        file.writestr("toy-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
        file.writestr("toy-1.dist-info/entry_points.txt", "[any group]\nrun = toy:main\n")
    references = ["{{job.parameters.day}}", "{{job.run_id}}", "{{job.trigger.type}}"]
    calls = {"package_name": "toy", "entry_point": "run", "parameters": references}
    first = {"task_key": "first", "environment_key": "default", "python_wheel_task": calls}
    second = first | {"task_key": "second", "python_wheel_task": calls | {"entry_point": "none"}, "depends_on": [
        {"task_key": "first"}]}  # fmt: skip
    given = [{"name": "day", "default": "today"}]
    job_id = create(first, second, parameters=given, wheels=("/Workspace/Shared/toy-1-py3-none-any.whl",))
    run = ended(sdk, sdk.jobs.run_now(job_id, job_parameters={"day": "2026-11-20"}).run_id)
    (said, _) = logs(sdk, run)
    assert said == f"toy 2026-11-20 {run.run_id} one_time\n"
    output = sdk.jobs.get_run_output(run.tasks[1].run_id)
    assert output.error == "LookupError: the package toy has no entry point none"
    assert (run.job_id, run.run_type) == (job_id, jobs.RunType.JOB_RUN)
    assert run.job_parameters == [jobs.JobParameter(name="day", default="today", value="2026-11-20")]
    page = service.call("GET", f"/runs/{run.run_id}", token=None).text
    assert "day=2026-11-20" in page
    assert "toy: run" in service.call("GET", f"/runs/{run.tasks[0].run_id}", token=None).text


def test_a_run_beyond_its_jobs_limit_waits_or_is_skipped(
    service: Service, sdk: WorkspaceClient, create: Create
) -> None:
    queued = create(task(service, "forever", FOREVER), queue={"enabled": True})
    first = sdk.jobs.run_now(queued).run_id
    second, third = sdk.jobs.run_now(queued).run_id, sdk.jobs.run_now(queued).run_id
    wait_for(lambda: logs(sdk, sdk.jobs.get_run(first)) == ["began\n"])
    for waiting in (second, third):
        assert sdk.jobs.get_run(waiting).state.life_cycle_state is jobs.RunLifeCycleState.QUEUED
    sdk.jobs.cancel_run(second)
    assert ended(sdk, second).state.result_state is jobs.RunResultState.CANCELED
    sdk.jobs.cancel_run(first)
    wait_for(lambda: logs(sdk, sdk.jobs.get_run(third)) == ["began\n"])
    sdk.jobs.cancel_run(third)
    ended(sdk, third)

    skipping = create(task(service, "forever", FOREVER))
    first = sdk.jobs.run_now(skipping).run_id
    skipped = ended(sdk, sdk.jobs.run_now(skipping).run_id)
    assert skipped.state.life_cycle_state is jobs.RunLifeCycleState.SKIPPED
    assert skipped.state.result_state is jobs.RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED
    sdk.jobs.cancel_run(first)
    ended(sdk, first)


def test_a_repair_repeats_failed_tasks_of_the_same_run(service: Service, sdk: WorkspaceClient, create: Create) -> None:
    say = "import sys; print(*sys.argv[1:])"
    job_id = create(
        task(service, "good", say, "{{job.run_id}}"),
        task(service, "bad", "raise ValueError('once')", after=("good",)),
        task(service, "last", say, "{{job.repair_count}}", "{{tasks.bad.result_state}}", after=("bad",)),
    )
    first = ended(sdk, sdk.jobs.run_now(job_id).run_id)
    assert first.state.result_state is jobs.RunResultState.FAILED
    service.script("bad.py", say)
    sdk.jobs.repair_run(first.run_id, rerun_all_failed_tasks=True)
    repaired = ended(sdk, first.run_id)
    assert repaired.state.result_state is jobs.RunResultState.SUCCESS
    assert [item.attempt_number for item in repaired.tasks] == [0, 1, 1]
    assert repaired.tasks[0].run_id == first.tasks[0].run_id
    assert logs(sdk, repaired) == [f"{first.run_id}\n", "\n", "1 success\n"]
    assert sdk.jobs.get_run_output(first.tasks[1].run_id).error == "ValueError: once", "the first attempt is kept"
    page = service.call("GET", f"/runs/{first.run_id}", token=None).text
    assert f"<a href='/runs/{first.tasks[1].run_id}'>bad</a>" in page
    with pytest.raises(BadRequest, match="latest_repair_id must be"):
        sdk.jobs.repair_run(first.run_id, rerun_tasks=["last"])


def test_a_job_that_runs_another_waits_for_it(service: Service, sdk: WorkspaceClient, create: Create) -> None:
    parameters = [{"name": "day", "default": "today"}]
    other = create(task(service, "other", "raise ValueError('no file')"), parameters=parameters)
    started = {"task_key": "start", "run_job_task": {"job_id": other, "job_parameters": {"day": "{{job.run_id}}"}}}
    run = ended(sdk, sdk.jobs.run_now(create(started)).run_id)
    output = sdk.jobs.get_run_output(run.tasks[0].run_id)
    child = sdk.jobs.get_run(output.run_job_output.run_id)
    assert (child.trigger, child.job_id) == (jobs.TriggerType.RUN_JOB_TASK, other)
    assert child.job_parameters[0].value == str(run.run_id)
    assert run.state.result_state is jobs.RunResultState.FAILED
    assert f"Run {child.run_id} of job a job ended as FAILED" in output.error


def test_a_job_is_kept_until_it_is_deleted(service: Service, sdk: WorkspaceClient, create: Create) -> None:
    job_id = create(task(service, "good", "print(1)"), tags={"a": "b"})
    assert sdk.jobs.get(job_id).settings.tags == {"a": "b"}
    assert (service.folder / "home/jobs" / f"{job_id}.json").exists()
    sdk.jobs.delete(job_id)
    with pytest.raises(BadRequest, match="does not exist"):
        sdk.jobs.run_now(job_id)
