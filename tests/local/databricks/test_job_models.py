"""What the routes about jobs accept and refuse, held against databricks-sdk, and what references stand for."""

import dataclasses
import inspect
from typing import Any

import pytest
from databricks.sdk.service import jobs
from pydantic import BaseModel, ValidationError

from local.databricks.job_models import JobParameter, JobRef, JobSettings, JobTask, RepairRun, RunNow
from local.databricks.job_validation import (
    job_mistakes,
    job_refusals,
    repair_mistakes,
    request_refusals,
    run_now_mistakes,
)
from local.databricks.models import PythonWheelTask, RunJobTask
from local.databricks.references import resolved
from local.databricks.run import OfJob, Repair, Run, TaskRun
from local.databricks.states import FAILED, PENDING, SUCCEEDED, UPSTREAM_FAILED

WHEEL = "/Workspace/Shared/a-1.whl"
ENVIRONMENT = {"environment_key": "default", "spec": {"environment_version": "5", "dependencies": [WHEEL]}}


def settings(task: dict[str, Any] | None = None, **fields: Any) -> JobSettings:
    """A job of the kinds of tasks that the bundle has; `task` changes the first."""
    tasks = [
        {
            "task_key": "plan",
            "environment_key": "default",
            "python_wheel_task": {"package_name": "a", "entry_point": "b", "parameters": ["--run={{job.run_id}}"]},
        }
        | (task or {}),
        {
            "task_key": "stage",
            "environment_key": "default",
            "depends_on": [{"task_key": "plan"}],
            "spark_python_task": {"python_file": "/a.py", "parameters": ["{{job.parameters.day}}"]},
        },
        {"task_key": "other", "depends_on": [{"task_key": "stage"}], "run_job_task": {"job_id": 1}},
    ]
    body = {"name": "a job", "tasks": tasks, "environments": [ENVIRONMENT]}
    return JobSettings.model_validate(body | {"parameters": [{"name": "day", "default": ""}]} | fields)


@pytest.mark.parametrize(
    ("model", "reference"),
    [
        (JobTask, jobs.Task),
        (PythonWheelTask, jobs.PythonWheelTask),
        (RunJobTask, jobs.RunJobTask),
        (JobParameter, jobs.JobParameterDefinition),
    ],
)
def test_objects_have_the_fields_of_the_sdk(model: type[BaseModel], reference: type) -> None:
    assert set(model.model_fields) == {field.name for field in dataclasses.fields(reference)}


@pytest.mark.parametrize(
    ("model", "method"), [(JobSettings, "create"), (JobRef, "get"), (RunNow, "run_now"), (RepairRun, "repair_run")]
)
def test_requests_have_the_parameters_of_the_sdk(model: type[BaseModel], method: str) -> None:
    assert set(model.model_fields) == set(inspect.signature(getattr(jobs.JobsAPI, method)).parameters) - {"self"}


def test_what_the_bundle_uses_is_accepted() -> None:
    job = settings(
        max_concurrent_runs=1,
        queue={"enabled": True},
        trigger={"file_arrival": {"url": "gs://b/source/"}, "pause_status": "PAUSED"},
        email_notifications={"on_failure": ["ann@example.com"]},
        tags={"pipeline": "ingestion"},
    )
    assert (job_mistakes(job), job_refusals(job)) == ([], [])
    assert job.as_run().run_name == "a job"


@pytest.mark.parametrize(
    ("task", "fields", "names"),
    [
        ({}, {"queue": {"enable": True}}, "Unexpected field 'enable'"),
        ({}, {"performance_target": "FAST"}, "FAST"),
        ({}, {"trigger": {"file_arival": {}}}, "file_arival"),
        ({"environment_key": None}, {}, "environment is required for serverless task plan"),
        ({"depends_on": [{"task_key": "other"}]}, {}, "in a circle"),
        ({}, {"parameters": [{"name": "day", "default": ""}] * 2}, "parameter 'day' is used twice"),
        ({}, {"schedule": {"quartz_cron_expression": "0 0 * * * ?", "timezone_id": "UTC"}, "trigger": {
            "periodic": {"interval": 1, "unit": "DAYS"}}}, "only one of schedule, trigger and continuous"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(task: dict[str, Any], fields: dict[str, Any], names: str) -> None:
    (found,) = job_mistakes(settings(task, **fields))
    assert names in found


def wheel_task(*parameters: str, **fields: Any) -> dict[str, Any]:
    return {"python_wheel_task": {"package_name": "a", "entry_point": "b", "parameters": list(parameters)} | fields}


@pytest.mark.parametrize(
    ("task", "fields", "name"),
    [
        (wheel_task("{{job.start_time.iso_date}}"), {}, "tasks.plan: {{job.start_time.iso_date}}"),
        (wheel_task("{{job.parameters.days}}"), {}, "tasks.plan: {{job.parameters.days}}"),
        (wheel_task("{{tasks.merge.result_state}}"), {}, "tasks.plan: {{tasks.merge.result_state}}"),
        (wheel_task(named_parameters={"a": "b"}), {}, "python_wheel_task.named_parameters"),
        ({"job_cluster_key": "a", "environment_key": None, "new_cluster": {}}, {}, "tasks.plan.job_cluster_key"),
        ({"spark_python_task": {"python_file": "/a.py"}}, {}, "spark_python_task beside python_wheel_task"),
        ({"python_wheel_task": None, "run_job_task": {"job_id": 1, "jar_params": ["a"]}}, {}, "task.jar_params"),
        ({}, {"trigger": {"file_arrival": {"url": "gs://b/source/"}}}, "trigger that is not PAUSED"),
        ({}, {"triggers": [{"file_arrival": {"url": "gs://b/source/"}}]}, "triggers"),
        ({}, {"continuous": {"pause_status": "PAUSED"}}, "continuous"),
        ({}, {"environments": [{"environment_key": "default", "spec": {"dependencies": ["requests"]}}]},
         "environments.default.spec.dependencies requests"),
        ({}, {"environments": [{"environment_key": "default", "spec": {"dependencies": ["/Workspace/dist/*.whl"]}}]},
         "environments.default.spec.dependencies /Workspace/dist/*.whl"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_refused_by_name(task: dict[str, Any], fields: dict[str, Any], name: str) -> None:
    (found,) = job_refusals(settings(task, **fields))
    assert name in found


def test_a_run_takes_the_parameters_of_its_job_alone() -> None:
    assert run_now_mistakes(settings(), RunNow(job_id=1, job_parameters={"day": "x"})) == []
    (found,) = run_now_mistakes(settings(), RunNow(job_id=1, job_parameters={"days": "x"}))
    assert "no parameter 'days'" in found
    assert request_refusals(RunNow(job_id=1, job_parameters={"day": "x"}, only=["plan"])) == ["only"]
    assert request_refusals(RepairRun(run_id=1, job_parameters={"day": "x"})) == ["job_parameters"]
    with pytest.raises(ValidationError):
        RunNow.model_validate({"job_id": 1, "job_params": {}})


@pytest.fixture
def failed() -> Run:
    """A run whose second of three tasks has failed."""
    states = {"plan": SUCCEEDED, "stage": FAILED, "other": UPSTREAM_FAILED}
    tasks = [TaskRun(run_id=7 + n, key=key, state=state, started_at=1, ended_at=2)
             for n, (key, state) in enumerate(states.items(), start=1)]  # fmt: skip
    of_job = OfJob(job_id=3, parameters={"day": "2026-11-20"}, defaults={"day": ""}, trigger="RUN_JOB_TASK")
    return Run(run_id=7, request=settings().as_run(), started_at=1, tasks=tasks, job=of_job)


def test_references_stand_for_what_is_so_when_a_task_begins(failed: Run) -> None:
    text = "{{job.id}} {{ job.run_id }} {{job.name}} {{job.trigger.type}} {{job.repair_count}} {{job.parameters.day}}"
    assert resolved(text, failed) == "3 7 a job run_job_task 0 2026-11-20"
    states = "{{tasks.plan.result_state}} {{tasks.stage.result_state}}"
    assert resolved(states, failed) == "success failed"
    failed.tasks[1].state = PENDING
    assert resolved(states, failed) == "success "
    failed.job.parameters["day"] = "{{job.id}}"
    assert resolved("{{job.parameters.day}}", failed) == "{{job.id}}", "what was put in is not read again"


# From the documentation of jobs/runs/repair.
@pytest.mark.parametrize(
    ("rerun", "with_dependents", "expected"),
    [
        ([], False, ["stage", "other"]),
        (["other"], False, ["other"]),
        (["plan"], True, ["plan", "stage", "other"]),
        (["stage"], True, ["stage", "other"]),
    ],
)
def test_a_repair_repeats_what_it_is_asked_to(
    failed: Run, rerun: list[str], with_dependents: bool, expected: list[str]
) -> None:
    assert failed.to_repair(rerun, with_dependents) == expected


def test_a_repair_that_cannot_be_is_a_mistake(failed: Run) -> None:
    assert repair_mistakes(failed, RepairRun(run_id=7, rerun_all_failed_tasks=True)) == []
    assert "exactly one of" in repair_mistakes(failed, RepairRun(run_id=7))[0]
    assert "no task 'merge'" in repair_mistakes(failed, RepairRun(run_id=7, rerun_tasks=["merge"]))[0]
    failed.repairs.append(Repair(repair_id=9, started_at=3, task_run_ids=[]))
    (again,) = repair_mistakes(failed, RepairRun(run_id=7, rerun_all_failed_tasks=True))
    assert "latest_repair_id must be 9" in again
    assert repair_mistakes(failed, RepairRun(run_id=7, rerun_all_failed_tasks=True, latest_repair_id=9)) == []
    failed.tasks[1].state = PENDING
    assert "is in progress" in repair_mistakes(failed, RepairRun(run_id=7, rerun_all_failed_tasks=True))[0]
