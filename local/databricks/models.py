"""What `runs/submit` accepts: the fields of Jobs API 2.2, and which of them nothing here can carry out.

A field that would change what is computed is refused by name; one that only concerns cost, people or hardware is
accepted and has no effect here. Field names are held against databricks-sdk by test_submit_models.py.
"""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_PARAMETER_BYTES = 10_000

# Fields of a cluster specification without effect on results here ...
# fmt: off
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
# ... and those that change what a script computes or finds.
REFUSED_CLUSTER_FIELDS = frozenset({"docker_image", "init_scripts", "spark_conf", "spark_env_vars"})


class Strict(BaseModel):
    """A request object: an unknown field is an error, a number may be a string."""

    model_config = ConfigDict(extra="forbid")


class SparkPythonTask(Strict):
    """A script and its command line."""

    python_file: str
    parameters: list[str] = []
    source: Literal["WORKSPACE", "GIT"] = "WORKSPACE"


class EnvironmentSpec(Strict):
    """A serverless environment; only its version is accepted."""

    environment_version: str | None = None
    client: str | None = None
    base_environment: Any = None
    dependencies: Any = None
    java_dependencies: Any = None
    project_environment: Any = None


class JobEnvironment(Strict):
    """A named serverless environment."""

    environment_key: str
    spec: EnvironmentSpec | None = None


class SubmitTask(Strict):
    """One task. Untyped fields are legal at Databricks and either without effect here or refused by `refusals`."""

    task_key: str = Field(pattern=r"^[\w\-]{1,100}$")
    spark_python_task: SparkPythonTask | None = None
    environment_key: str | None = None
    existing_cluster_id: str | None = None
    new_cluster: dict[str, Any] | None = None
    timeout_seconds: int = Field(default=0, ge=0)
    max_retries: int = 0
    description: str | None = None
    disabled: bool = False
    depends_on: list[Any] = []
    libraries: list[Any] = []
    environment_variables_key: str | None = None
    # without effect
    compute: Any = None
    disable_auto_optimization: Any = None
    email_notifications: Any = None
    health: Any = None
    min_retry_interval_millis: Any = None
    notification_settings: Any = None
    retry_on_timeout: Any = None
    run_if: Any = None
    webhook_notifications: Any = None
    # tasks of other types
    ai_runtime_task: Any = None
    alert_task: Any = None
    clean_rooms_notebook_task: Any = None
    condition_task: Any = None
    dashboard_task: Any = None
    dbt_cloud_task: Any = None
    dbt_platform_task: Any = None
    dbt_task: Any = None
    for_each_task: Any = None
    gen_ai_compute_task: Any = None
    notebook_task: Any = None
    pipeline_task: Any = None
    power_bi_task: Any = None
    python_operator_task: Any = None
    python_wheel_task: Any = None
    run_job_task: Any = None
    spark_jar_task: Any = None
    spark_submit_task: Any = None
    sql_task: Any = None


class SubmitRun(Strict):
    """The body of `runs/submit`."""

    tasks: list[SubmitTask] = Field(min_length=1, max_length=100)
    run_name: str = "Untitled"
    timeout_seconds: int = Field(default=0, ge=0)
    idempotency_token: str | None = Field(default=None, max_length=64)
    environments: list[JobEnvironment] = []
    environment_variables: list[Any] = []
    git_source: Any = None
    performance_target: Literal["STANDARD", "PERFORMANCE_OPTIMIZED"] | None = None
    # without effect
    access_control_list: Any = None
    budget_policy_id: Any = None
    duration_target: Any = None
    email_notifications: Any = None
    health: Any = None
    notification_settings: Any = None
    queue: Any = None
    run_as: Any = None
    usage_policy_id: Any = None
    webhook_notifications: Any = None


class RunRef(Strict):
    """Names a run, or the run of one task, in `runs/get`, `runs/get-output` and `runs/cancel`."""

    run_id: int
    include_history: bool = False
    include_resolved_values: bool = False
    page_token: str | None = None


class ListRuns(Strict):
    """Which runs `runs/list` returns: newest first, `limit` at a time, from `page_token` on."""

    active_only: bool = False
    completed_only: bool = False
    expand_tasks: bool = False
    job_id: int | None = None
    limit: int = Field(default=20, ge=0, le=25)
    offset: int = Field(default=0, ge=0)
    page_token: int | None = None
    run_type: Literal["JOB_RUN", "WORKFLOW_RUN", "SUBMIT_RUN"] | None = None
    start_time_from: int = 0
    start_time_to: int | None = None

    @model_validator(mode="after")
    def _not_both(self) -> "ListRuns":
        if self.active_only and self.completed_only:
            raise ValueError("only one of active_only and completed_only may be set")
        return self


def mistakes(request: SubmitRun) -> list[str]:
    """What Databricks itself would not accept, each with the task and field it concerns."""
    keys = [task.task_key for task in request.tasks]
    found = [f"task_key {key!r} is used twice" for key in sorted(set(keys)) if keys.count(key) > 1]
    environments = {environment.environment_key for environment in request.environments}
    for task in request.tasks:
        compute = [name for name in ("environment_key", "existing_cluster_id", "new_cluster") if getattr(task, name)]
        if not compute:
            found.append(
                f"An environment is required for serverless task {task.task_key}. Please provide an environment_key, "
                "or a new_cluster or existing_cluster_id"
            )
        if len(compute) > 1:
            found.append(f"task {task.task_key} has {' and '.join(compute)}: exactly one of them is allowed")
        if task.environment_key and task.environment_key not in environments:
            found.append(f"task {task.task_key}: environment_key {task.environment_key!r} is not in environments")
        unknown = sorted(set(task.new_cluster or {}) - CLUSTER_FIELDS - REFUSED_CLUSTER_FIELDS)
        found += [f"task {task.task_key}: new_cluster.{name}: unknown field" for name in unknown]
        if task.spark_python_task:
            found += _script_mistakes(task.task_key, task.spark_python_task)
    return found


def _script_mistakes(key: str, script: SparkPythonTask) -> list[str]:
    found = []
    size = sum(len(parameter.encode()) for parameter in script.parameters)
    if size > MAX_PARAMETER_BYTES:
        found.append(f"task {key}: parameters have {size} bytes, the limit is {MAX_PARAMETER_BYTES}")
    if script.source == "WORKSPACE" and not re.match(r"/|[a-z0-9]+:/", script.python_file):
        found.append(
            f"task {key}: python_file {script.python_file!r} must be an absolute path (relative needs source GIT)"
        )
    if ".." in script.python_file.split("/"):
        found.append(f"task {key}: python_file {script.python_file!r} must not contain '..'")
    return found


def refusals(request: SubmitRun) -> list[str]:
    """What Databricks would carry out and this service cannot, by name of the field."""
    found = []
    if request.git_source:
        found.append("git_source")
    if request.environment_variables:
        found.append("environment_variables")
    if len(request.tasks) > 1:
        found.append(f"tasks: {len(request.tasks)} tasks in one run, only one is carried out here")
    for environment in request.environments:
        spec = environment.spec or EnvironmentSpec()
        names = ("base_environment", "dependencies", "java_dependencies", "project_environment")
        found += [f"environments.{environment.environment_key}.spec.{name}" for name in names if getattr(spec, name)]
    for task in request.tasks:
        found += [f"tasks.{task.task_key}.{name}" for name in _task_refusals(task)]
    return found


def _task_refusals(task: SubmitTask) -> list[str]:
    found = [name for name in SubmitTask.model_fields if name.endswith("_task") and name != "spark_python_task"]
    found += ["depends_on", "disabled", "environment_variables_key", "libraries"]
    refused = [name for name in found if getattr(task, name)]
    if task.max_retries:
        refused.append("max_retries (send 0: Airflow retries)")
    refused += [f"new_cluster.{name}" for name in sorted(REFUSED_CLUSTER_FIELDS) if (task.new_cluster or {}).get(name)]
    script = task.spark_python_task
    if script is None:
        return refused or ["spark_python_task (missing: it is the only type of task carried out here)"]
    if script.source == "GIT":
        refused.append("spark_python_task.source GIT")
    if re.match(r"[a-z0-9]+:/|/Volumes/", script.python_file):
        refused.append(f"spark_python_task.python_file {script.python_file} (only workspace files are read here)")
    if any("{{" in parameter for parameter in script.parameters):
        refused.append("spark_python_task.parameters with {{dynamic value references}}")
    return refused
