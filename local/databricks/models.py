"""The requests of the API: the fields of Jobs API 2.2, held against databricks-sdk by test_submit_models.py."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

RunIf = Literal["ALL_SUCCESS", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED", "ALL_DONE", "AT_LEAST_ONE_FAILED", "ALL_FAILED"]


class Strict(BaseModel):
    """A request object: an unknown field is an error, a number may be a string."""

    model_config = ConfigDict(extra="forbid")


class SparkPythonTask(Strict):
    """A script and its command line."""

    python_file: str
    parameters: list[str] = []
    source: Literal["WORKSPACE", "GIT"] = "WORKSPACE"


class PythonWheelTask(Strict):
    """An entry point of a package, and its command line."""

    package_name: str
    entry_point: str
    parameters: list[str] = []
    named_parameters: dict[str, str] = {}


class RunJobTask(Strict):
    """Another job, a run of which is started and waited for."""

    job_id: int
    job_parameters: dict[str, str] = {}
    # refused
    dbt_commands: Any = None
    jar_params: Any = None
    notebook_params: Any = None
    pipeline_params: Any = None
    python_named_params: Any = None
    python_params: Any = None
    spark_submit_params: Any = None
    sql_params: Any = None


class EnvironmentSpec(Strict):
    """A serverless environment: its version and, for jobs, wheels of the workspace."""

    environment_version: str | None = None
    client: str | None = None
    base_environment: Any = None
    dependencies: list[str] = []
    java_dependencies: Any = None
    project_environment: Any = None


class JobEnvironment(Strict):
    """A named serverless environment."""

    environment_key: str
    spec: EnvironmentSpec | None = None


class TaskDependency(Strict):
    """A task that must be over before another begins."""

    task_key: str
    outcome: str | None = None


class GitSource(Strict):
    """The repository a run's scripts come from, at exactly one branch, tag or commit."""

    git_url: str
    git_provider: str
    git_branch: str | None = None
    git_commit: str | None = None
    git_tag: str | None = None
    git_snapshot: Any = None
    job_source: Any = None
    sparse_checkout: Any = None

    @property
    def refs(self) -> list[str]:
        """What shall be checked out, in the words of `git fetch`; a sound request has one."""
        given = {"refs/heads/": self.git_branch, "refs/tags/": self.git_tag, "": self.git_commit}
        return [prefix + name for prefix, name in given.items() if name]


class SubmitTask(Strict):
    """One task. Untyped fields are legal at Databricks and either without effect here or refused."""

    task_key: str = Field(pattern=r"^[\w\-]{1,100}$")
    spark_python_task: SparkPythonTask | None = None
    # of jobs alone
    python_wheel_task: PythonWheelTask | None = None
    run_job_task: RunJobTask | None = None
    environment_key: str | None = None
    existing_cluster_id: str | None = None
    new_cluster: dict[str, Any] | None = None
    timeout_seconds: int = Field(default=0, ge=0)
    max_retries: int = 0
    description: str | None = None
    disabled: bool = False
    depends_on: list[TaskDependency] = []
    run_if: RunIf = "ALL_SUCCESS"
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
    spark_jar_task: Any = None
    spark_submit_task: Any = None
    sql_task: Any = None

    @property
    def texts(self) -> list[str]:
        """Where dynamic value references may stand."""
        if self.run_job_task:
            return list(self.run_job_task.job_parameters.values())
        command = self.python_wheel_task or self.spark_python_task
        return command.parameters if command else []


class SubmitRun(Strict):
    """The body of `runs/submit`."""

    tasks: list[SubmitTask] = Field(min_length=1, max_length=100)
    run_name: str = "Untitled"
    timeout_seconds: int = Field(default=0, ge=0)
    idempotency_token: str | None = Field(default=None, max_length=64)
    environments: list[JobEnvironment] = []
    environment_variables: list[Any] = []
    git_source: GitSource | None = None
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

    def wheels(self, task: SubmitTask) -> list[str]:
        """The wheels of a task's environment."""
        return [
            wheel
            for environment in self.environments
            if environment.environment_key == task.environment_key and environment.spec
            for wheel in environment.spec.dependencies
        ]


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
    def _not_both(self) -> Self:
        if self.active_only and self.completed_only:
            raise ValueError("only one of active_only and completed_only may be set")
        return self
