"""What is wrong with a request to `runs/submit`, and what of a sound one cannot be carried out here. Pure.

A field that would change what is computed is carried out or refused by name; one that only concerns cost, people or
hardware is accepted and has no effect here.
"""

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import urlsplit

from databricks.bundles.jobs import GitProvider, Job, Task

from local.databricks.models import EnvironmentSpec, GitSource, RunJobTask, SparkPythonTask, SubmitRun, SubmitTask

MAX_PARAMETER_BYTES = 10_000
GIT_PROVIDERS = {provider.value.lower() for provider in GitProvider}
# Fields of runs/submit that databricks-bundles describes as well, with all they contain.
# fmt: off
DESCRIBED_FIELDS = frozenset({
    "budget_policy_id", "email_notifications", "environment_variables", "environments", "health",
    "notification_settings", "performance_target", "queue", "run_as", "usage_policy_id", "webhook_notifications",
})
# Fields of a cluster specification without effect on results here ...
CLUSTER_FIELDS = frozenset({
    "apply_policy_default_values", "autoscale", "autotermination_minutes", "aws_attributes", "azure_attributes",
    "cluster_log_conf", "cluster_name", "custom_tags", "data_security_mode", "dependency_mode",
    "driver_instance_pool_id", "driver_node_type_flexibility", "driver_node_type_id", "enable_elastic_disk",
    "enable_local_disk_encryption", "gcp_attributes", "instance_pool_id", "is_single_node", "kind",
    "node_type_id", "num_workers", "policy_id", "remote_disk_throughput", "runtime_engine", "single_user_name",
    "spark_version", "ssh_public_keys", "total_initial_remote_disk_size", "use_ml_runtime",
    "worker_node_type_flexibility", "workload_type",
})
# fmt: on
# A wheel of the workspace, as a job's environment may name it.
WHEEL = re.compile(r"/Workspace/[^*?\[]+\.whl")
# ... and those that change what a script computes or finds.
REFUSED_CLUSTER_FIELDS = frozenset({"docker_image", "init_scripts", "spark_conf", "spark_env_vars"})


def mistakes(request: SubmitRun) -> list[str]:
    """What Databricks itself would not accept, each with the task and field it concerns."""
    found = _unknown_contents(request)
    keys = [task.task_key for task in request.tasks]
    found += [f"task_key {key!r} is used twice" for key in sorted(set(keys)) if keys.count(key) > 1]
    found += _dependency_mistakes(request.tasks)
    if request.git_source:
        found += _git_mistakes(request.git_source)
    environments = {environment.environment_key for environment in request.environments}
    for task in request.tasks:
        found += _compute_mistakes(task, environments)
        found += _parameter_mistakes(task)
        if task.spark_python_task:
            found += _script_mistakes(task.task_key, task.spark_python_task, request.git_source)
    return found


def _unknown_contents(request: SubmitRun) -> list[str]:
    """Unknown fields and values below the fields of the request itself, by the models of databricks-bundles."""
    sent = request.model_dump(mode="json", exclude_unset=True)
    whole = {name: value for name, value in sent.items() if name in DESCRIBED_FIELDS}
    found = _described("", Job, whole)
    for task in sent["tasks"]:
        cluster = task.get("new_cluster") or {}
        unknown = sorted(set(cluster) - CLUSTER_FIELDS - REFUSED_CLUSTER_FIELDS)
        found += [f"task {task['task_key']}: new_cluster.{name}: unknown field" for name in unknown]
        if not unknown:
            found += _described(f"task {task['task_key']}: ", Task, task)
    return found


def _described(where: str, model: type[Job] | type[Task], sent: Mapping[str, Any]) -> list[str]:
    try:
        model.from_dict(dict(sent))
    except (TypeError, ValueError) as error:
        return [f"{where}{error}"]
    return []


def _dependency_mistakes(tasks: list[SubmitTask]) -> list[str]:
    graph = {task.task_key: [other.task_key for other in task.depends_on] for task in tasks}
    found = [
        f"task {key} depends on {other!r}, which is no task of this run"
        for key, others in graph.items()
        for other in others
        if other not in graph
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"tasks depend on each other in a circle: {' -> '.join(reversed(error.args[1]))}")
    return found


def _git_mistakes(source: GitSource) -> list[str]:
    found = []
    if len(source.refs) != 1:
        found.append("git_source: exactly one of git_branch, git_tag and git_commit is allowed")
    if source.git_provider.lower() not in GIT_PROVIDERS:
        found.append(f"git_source.git_provider: {source.git_provider!r} is not a Git provider")
    if source.git_commit and not re.fullmatch(r"[0-9a-fA-F]{4,64}", source.git_commit):
        found.append(f"git_source.git_commit: {source.git_commit!r} is not a commit")
    return found


def _compute_mistakes(task: SubmitTask, environments: set[str]) -> list[str]:
    compute = [name for name in ("environment_key", "existing_cluster_id", "new_cluster") if getattr(task, name)]
    if not compute and task.spark_python_task is None and task.python_wheel_task is None:
        return []  # tasks of other types may need none; they are refused by name
    if not compute:
        return [
            f"An environment is required for serverless task {task.task_key}. Please provide an environment_key, "
            "or a new_cluster or existing_cluster_id"
        ]
    if len(compute) > 1:
        return [f"task {task.task_key} has {' and '.join(compute)}: exactly one of them is allowed"]
    if task.environment_key and task.environment_key not in environments:
        return [f"task {task.task_key}: environment_key {task.environment_key!r} is not in environments"]
    return []


def _parameter_mistakes(task: SubmitTask) -> list[str]:
    size = sum(len(parameter.encode()) for parameter in task.texts)
    found = [f"task {task.task_key}: parameters have {size} bytes, the limit is {MAX_PARAMETER_BYTES}"]
    return found if size > MAX_PARAMETER_BYTES else []


def _script_mistakes(key: str, script: SparkPythonTask, git: GitSource | None) -> list[str]:
    found = []
    absolute = re.match(r"/|[a-z0-9]+:/", script.python_file)
    if script.source == "WORKSPACE" and not absolute:
        found.append(
            f"task {key}: python_file {script.python_file!r} must be an absolute path (relative needs source GIT)"
        )
    if script.source == "GIT" and absolute:
        found.append(f"task {key}: python_file {script.python_file!r} must be relative to the root of the repository")
    if script.source == "GIT" and not git:
        found.append(f"task {key}: source GIT needs a git_source")
    if ".." in script.python_file.split("/"):
        found.append(f"task {key}: python_file {script.python_file!r} must not contain '..'")
    return found


def refusals(request: SubmitRun, *, of_job: bool = False) -> list[str]:
    """What Databricks would carry out and this service cannot, by name of the field.

    Wheels, references and tasks that run another job are carried out for the runs of a job alone.
    """
    found = _git_refusals(request.git_source) if request.git_source else []
    if request.environment_variables:
        found.append("environment_variables")
    for environment in request.environments:
        spec = environment.spec or EnvironmentSpec()
        names = ["base_environment", "java_dependencies", "project_environment"]
        refused = [name for name in names if getattr(spec, name)]
        refused += [f"dependencies {one}" for one in spec.dependencies if not (of_job and WHEEL.fullmatch(one))]
        found += [f"environments.{environment.environment_key}.spec.{name}" for name in refused]
    for task in request.tasks:
        found += [f"tasks.{task.task_key}.{name}" for name in _task_refusals(task, of_job)]
    return found


def _git_refusals(source: GitSource) -> list[str]:
    found = [
        f"git_source.{name}" for name in ("git_snapshot", "job_source", "sparse_checkout") if getattr(source, name)
    ]
    if "@" in urlsplit(source.git_url).netloc:
        # Not even told: it would stand in logs, on the run's page, and in the arguments of Git's processes.
        found.append("git_source.git_url with a login in it")
    elif not source.git_url.startswith(("https://", "file:///")):
        found.append(f"git_source.git_url {source.git_url} (https:// or, for a repository on this machine, file:///)")
    if source.git_commit and len(source.git_commit) < 40:
        found.append(f"git_source.git_commit {source.git_commit} (the whole hash is needed here)")
    return found


def _task_refusals(task: SubmitTask, of_job: bool) -> list[str]:
    carried_out = ("spark_python_task", *(("python_wheel_task", "run_job_task") if of_job else ()))
    found = [name for name in SubmitTask.model_fields if name.endswith("_task") and name not in carried_out]
    found += ["disabled", "environment_variables_key", "libraries"]
    refused = [name for name in found if getattr(task, name)]
    if task.max_retries:
        refused.append("max_retries (send 0: Airflow retries)")
    refused += [f"depends_on.{other.task_key}.outcome" for other in task.depends_on if other.outcome]
    refused += [f"new_cluster.{name}" for name in sorted(REFUSED_CLUSTER_FIELDS) if (task.new_cluster or {}).get(name)]
    refused += [f"run_job_task.{name}" for name in _run_job_refusals(task.run_job_task)]
    if task.python_wheel_task and task.python_wheel_task.named_parameters:
        refused.append("python_wheel_task.named_parameters (send parameters)")
    given = [name for name in carried_out if getattr(task, name)]
    if len(given) > 1:
        refused.append(f"{' beside '.join(given)}")
    script = task.spark_python_task
    if script is None:
        return refused or ([] if given else ["spark_python_task (missing: no other type of task is carried out here)"])
    if re.match(r"[a-z0-9]+:/|/Volumes/", script.python_file):
        refused.append(f"spark_python_task.python_file {script.python_file} (only workspace files are read here)")
    if not of_job and any("{{" in parameter for parameter in script.parameters):
        refused.append("spark_python_task.parameters with {{dynamic value references}}")
    return refused


def _run_job_refusals(task: RunJobTask | None) -> list[str]:
    return [name for name in RunJobTask.model_fields if not name.startswith("job_") and getattr(task, name, None)]
