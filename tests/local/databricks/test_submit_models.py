"""What runs/submit accepts and refuses, held against the models of databricks-sdk."""

import dataclasses
import inspect
from typing import Any

import pytest
from databricks.sdk.service import compute, jobs
from pydantic import BaseModel, ValidationError

from local.databricks.models import (
    EnvironmentSpec,
    GitSource,
    JobEnvironment,
    ListRuns,
    SparkPythonTask,
    SubmitRun,
    SubmitTask,
    TaskDependency,
)
from local.databricks.validation import CLUSTER_FIELDS, REFUSED_CLUSTER_FIELDS, mistakes, refusals
from tests.local.databricks.harness import payload

FILE = "/Workspace/Shared/a.py"
GIT = {"git_url": "https://example.com/a/b", "git_provider": "gitHub", "git_tag": "v1"}


def request(task: dict[str, Any] | None = None, script: dict[str, Any] | None = None, **fields: object) -> SubmitRun:
    body = payload(FILE, **fields)
    body["tasks"][0] |= task or {}
    body["tasks"][0]["spark_python_task"] |= script or {}
    return SubmitRun.model_validate(body)


@pytest.mark.parametrize(
    ("model", "reference"),
    [
        (SubmitTask, jobs.SubmitTask),
        (SparkPythonTask, jobs.SparkPythonTask),
        (TaskDependency, jobs.TaskDependency),
        (GitSource, jobs.GitSource),
        (JobEnvironment, jobs.JobEnvironment),
        (EnvironmentSpec, compute.Environment),
    ],
)
def test_objects_have_the_fields_of_the_sdk(model: type[BaseModel], reference: type) -> None:
    assert set(model.model_fields) == {field.name for field in dataclasses.fields(reference)}


@pytest.mark.parametrize(("model", "method"), [(SubmitRun, "submit"), (ListRuns, "list_runs")])
def test_requests_have_the_parameters_of_the_sdk(model: type[BaseModel], method: str) -> None:
    assert set(model.model_fields) == set(inspect.signature(getattr(jobs.JobsAPI, method)).parameters) - {"self"}


def test_every_cluster_field_of_the_sdk_is_decided_on() -> None:
    known = {field.name for field in dataclasses.fields(compute.ClusterSpec)}
    assert known == CLUSTER_FIELDS | REFUSED_CLUSTER_FIELDS


def test_what_the_pipeline_sends_is_accepted() -> None:
    body = request(
        {"timeout_seconds": "3600", "max_retries": "0", "disable_auto_optimization": True},
        queue={"enabled": True},
        performance_target="STANDARD",
        timeout_seconds="3600",
        idempotency_token="x" * 64,
    )
    assert body.timeout_seconds == 3600
    assert (mistakes(body), refusals(body)) == ([], [])


def test_cluster_details_are_accepted() -> None:
    cluster = {"spark_version": "17.3.x-scala2.13", "num_workers": 1, "custom_tags": {"a": "b"}}
    body = request({"environment_key": None, "new_cluster": cluster})
    assert (mistakes(body), refusals(body)) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        {"no_such_field": 1},
        {"tasks": []},
        {"idempotency_token": "x" * 65},
        {"performance_target": "STANDART"},
        {"timeout_seconds": -1},
        {"tasks": [{"task_key": "step", "environment_key": "default", "no_such_field": 1}]},
        {"tasks": [{"task_key": "a key", "environment_key": "default"}]},
        {"tasks": [{"task_key": "step", "spark_python_task": {"python_file": FILE, "source": "git"}}]},
        {"tasks": [{"task_key": "step", "spark_python_task": {"python_file": FILE, "parameters": [1]}}]},
        {"tasks": [{"task_key": "step", "environment_key": "default", "run_if": "ALWAYS"}]},
        {"tasks": [{"task_key": "step", "environment_key": "default", "depends_on": ["a"]}]},
        {"git_source": {"git_url": "https://example.com/a"}},
    ],
)
def test_a_malformed_request_is_not_accepted(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SubmitRun.model_validate(payload(FILE) | body)


@pytest.mark.parametrize(
    ("task", "script", "names"),
    [
        ({"environment_key": None}, {}, "environment is required for serverless task step"),
        ({"environment_key": "other"}, {}, "environment_key 'other' is not in environments"),
        ({"existing_cluster_id": "1"}, {}, "environment_key and existing_cluster_id"),
        ({"environment_key": None, "new_cluster": {"nodes": 1}}, {}, "new_cluster.nodes"),
        ({}, {"python_file": "jobs/a.py"}, "'jobs/a.py' must be an absolute path"),
        ({}, {"python_file": "/Workspace/../a.py"}, "must not contain '..'"),
        ({}, {"python_file": "/Workspace/a/b/../../../c.py"}, "must not contain '..'"),
        ({}, {"python_file": "/.."}, "must not contain '..'"),
        ({}, {"parameters": ["x" * 5000, "y" * 5001]}, "10001 bytes, the limit is 10000"),
        ({}, {"python_file": "jobs/a.py", "source": "GIT"}, "source GIT needs a git_source"),
    ],
)
def test_a_mistake_is_named(task: dict[str, Any], script: dict[str, Any], names: str) -> None:
    (found,) = mistakes(request(task, script))
    assert names in found


def test_a_task_of_another_type_is_no_mistake_but_refused_by_name() -> None:
    condition = {"op": "EQUAL_TO", "left": "a", "right": "b"}
    body = payload(FILE) | {"tasks": [{"task_key": "step", "condition_task": condition}]}
    request = SubmitRun.model_validate(body)
    assert (mistakes(request), refusals(request)) == ([], ["tasks.step.condition_task"])


def test_parameters_may_have_exactly_the_limit() -> None:
    assert mistakes(request({}, {"parameters": ["x" * 10_000]})) == []


def test_two_tasks_with_one_key_are_a_mistake() -> None:
    body = request()
    body.tasks.append(body.tasks[0])
    assert "task_key 'step' is used twice" in mistakes(body)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ({"notebook_task": {"notebook_path": "/a"}}, "tasks.step.notebook_task"),
        ({"sql_task": {}, "notebook_task": {"notebook_path": "/a"}}, "tasks.step.notebook_task"),
        ({"libraries": [{"pypi": {"package": "x"}}]}, "tasks.step.libraries"),
        ({"disabled": True}, "tasks.step.disabled"),
        ({"environment_variables_key": "a"}, "tasks.step.environment_variables_key"),
        ({"max_retries": 1}, "tasks.step.max_retries"),
        ({"new_cluster": {"spark_conf": {"a": "b"}}}, "tasks.step.new_cluster.spark_conf"),
        ({"new_cluster": {"spark_env_vars": {"a": "b"}}}, "tasks.step.new_cluster.spark_env_vars"),
        ({"spark_python_task": {"python_file": "dbfs:/a.py"}}, "python_file dbfs:/a.py"),
        ({"spark_python_task": {"python_file": "/Volumes/a/b/c/a.py"}}, "python_file /Volumes/a/b/c/a.py"),
        ({"spark_python_task": {"python_file": FILE, "parameters": ["{{job.run_id}}"]}}, "dynamic value"),
        ({"spark_python_task": None}, "spark_python_task (missing"),
    ],
)
def test_what_cannot_be_carried_out_in_a_task_is_refused_by_name(task: dict[str, Any], name: str) -> None:
    body = payload(FILE)
    body["tasks"][0] |= task
    (found,) = refusals(SubmitRun.model_validate(body))
    assert name in found


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"git_source": GIT | {"git_url": "git@example.com:a"}}, "git_source.git_url git@example.com:a"),
        ({"git_source": GIT | {"git_url": "https://u:S3CRET@example.com/a"}}, "git_source.git_url with a login in it"),
        ({"git_source": GIT | {"sparse_checkout": {"patterns": ["a"]}}}, "git_source.sparse_checkout"),
        ({"git_source": GIT | {"git_tag": None, "git_commit": "abcdef0"}}, "git_source.git_commit abcdef0"),
        ({"environment_variables": [{"a": "b"}]}, "environment_variables"),
        (
            {"environments": [{"environment_key": "default", "spec": {"dependencies": ["x"]}}]},
            "environments.default.spec.dependencies",
        ),
    ],
)
def test_what_cannot_be_carried_out_in_a_run_is_refused_by_name(fields: dict[str, Any], name: str) -> None:
    (found,) = refusals(request(**fields))
    assert found.startswith(name)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ({}, []),
        ({"git_provider": "GITHUB"}, []),
        ({"git_tag": None, "git_commit": "0123456789abcdef0123456789abcdef01234567"}, []),
        ({"git_tag": None}, ["exactly one of git_branch, git_tag and git_commit"]),
        ({"git_branch": "main"}, ["exactly one of git_branch, git_tag and git_commit"]),
        ({"git_provider": "gitlabb"}, ["'gitlabb' is not a Git provider"]),
        ({"git_tag": None, "git_commit": "--upload-pack"}, ["'--upload-pack' is not a commit"]),
    ],
)
def test_a_git_source_is_one_commit_tag_or_branch(source: dict[str, Any], names: list[str]) -> None:
    found = mistakes(request({}, {"source": "GIT", "python_file": "jobs/a.py"}, git_source=GIT | source))
    assert len(found) == len(names)
    assert all(name in text for name, text in zip(names, found, strict=True))


def test_tasks_may_depend_on_tasks_submitted_after_them() -> None:
    body = tasks({"last": ["first"], "first": []})
    assert (mistakes(body), refusals(body)) == ([], [])


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ({"a": ["b"]}, "task a depends on 'b', which is no task of this run"),
        ({"a": ["a"]}, "depend on each other in a circle: a -> a"),
        ({"a": ["c"], "b": ["a"], "c": ["b"]}, "in a circle"),
    ],
)
def test_dependencies_that_cannot_be_kept_are_a_mistake(edges: dict[str, list[str]], names: str) -> None:
    (found,) = mistakes(tasks(edges))
    assert names in found


def tasks(edges: dict[str, list[str]]) -> SubmitRun:
    task = payload(FILE)["tasks"][0]
    several = [
        task | {"task_key": key, "depends_on": [{"task_key": other} for other in others]}
        for key, others in edges.items()
    ]
    return SubmitRun.model_validate(payload(FILE) | {"tasks": several})


@pytest.mark.parametrize(
    ("fields", "task", "names"),
    [
        ({"queue": {"enable": True}}, {}, "Unexpected field 'enable' for class QueueSettings"),
        ({"run_as": {"user": "a"}}, {}, "Unexpected field 'user' for class JobRunAs"),
        ({}, {"email_notifications": {"on_fail": ["a"]}}, "task step: Unexpected field 'on_fail'"),
        (
            {},
            {"health": {"rules": [{"metric": "X", "op": "GREATER_THAN", "value": 1}]}},
            "task step: 'X' is not a valid",
        ),
        (
            {},
            {"environment_key": None, "new_cluster": {"gcp_attributes": {"availability": "X"}}},
            "task step: 'X' is not a valid",
        ),
    ],
)
def test_unknown_contents_of_a_field_without_effect_are_a_mistake(
    fields: dict[str, Any], task: dict[str, Any], names: str
) -> None:
    (found,) = mistakes(request(task, **fields))
    assert names in found
