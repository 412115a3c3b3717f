"""The requests about jobs: the fields of Jobs API 2.2, held against databricks-sdk by test_job_models.py."""

from typing import Any

from pydantic import Field

from local.databricks.models import Strict, SubmitRun, SubmitTask


class JobTask(SubmitTask):
    """One task of a job."""

    job_cluster_key: str | None = None


class JobParameter(Strict):
    """A parameter of a job, which tasks refer to as {{job.parameters.<name>}}."""

    name: str = Field(pattern=r"^[\w\-.]{1,100}$")
    default: str


class JobSettings(Strict):
    """The body of `jobs/create`. Untyped fields are legal at Databricks and either without effect here or refused."""

    name: str = "Untitled"
    tasks: list[JobTask] = Field(min_length=1, max_length=100)
    parameters: list[JobParameter] = Field(default=[])
    max_concurrent_runs: int = Field(default=1, ge=0, le=1000)
    queue: dict[str, bool] | None = None
    timeout_seconds: int = Field(default=0, ge=0)
    environments: list[dict[str, Any]] = Field(default=[])
    environment_variables: list[Any] = Field(default=[])
    git_source: dict[str, Any] | None = None
    performance_target: str | None = None
    schedule: dict[str, Any] | None = None
    trigger: dict[str, Any] | None = None
    # without effect
    access_control_list: Any = None
    budget_policy_id: Any = None
    deployment: Any = None
    description: Any = None
    duration_target: Any = None
    edit_mode: Any = None
    email_notifications: Any = None
    format: Any = None
    health: Any = None
    notification_settings: Any = None
    parent_path: Any = None
    run_as: Any = None
    tags: Any = None
    usage_policy_id: Any = None
    webhook_notifications: Any = None
    # refused
    continuous: Any = None
    job_clusters: Any = None
    triggers: Any = None

    @property
    def is_queued(self) -> bool:
        """Whether a run that may not begin yet waits. Without it is skipped."""
        return bool(self.queue and self.queue.get("enabled"))

    def as_run(self, idempotency_token: str | None = None) -> SubmitRun:
        """What one run of the job carries out. Raises pydantic.ValidationError for a field that is wrong."""
        sent = self.model_dump(exclude_unset=True)
        fields = {name: value for name, value in sent.items() if name in SubmitRun.model_fields}
        for task in fields["tasks"]:
            task.pop("job_cluster_key", None)
        return SubmitRun.model_validate(fields | {"run_name": self.name, "idempotency_token": idempotency_token})


class JobRef(Strict):
    """Names a job, in `jobs/get` and `jobs/delete`."""

    job_id: int
    include_trigger_state: bool = False
    page_token: str | None = None


class RunNow(Strict):
    """The body of `jobs/run-now`."""

    job_id: int
    idempotency_token: str | None = Field(default=None, max_length=64)
    job_parameters: dict[str, str] = Field(default={})
    # without effect
    duration_target: Any = None
    performance_target: Any = None
    # refused
    dbt_commands: Any = None
    jar_params: Any = None
    notebook_params: Any = None
    only: Any = None
    pipeline_params: Any = None
    python_named_params: Any = None
    python_params: Any = None
    queue: Any = None
    spark_submit_params: Any = None
    sql_params: Any = None


class RepairRun(Strict):
    """The body of `jobs/runs/repair`."""

    run_id: int
    latest_repair_id: int | None = None
    rerun_all_failed_tasks: bool = False
    rerun_dependent_tasks: bool = False
    rerun_tasks: list[str] = Field(default=[])
    # without effect
    duration_target: Any = None
    performance_target: Any = None
    # refused
    dbt_commands: Any = None
    jar_params: Any = None
    job_parameters: Any = None
    notebook_params: Any = None
    pipeline_params: Any = None
    python_named_params: Any = None
    python_params: Any = None
    spark_submit_params: Any = None
    sql_params: Any = None


# Of run-now and repair: what would change what is computed, and is not carried out.
REFUSED = (
    "dbt_commands",
    "jar_params",
    "notebook_params",
    "only",
    "pipeline_params",
    "python_named_params",
    "python_params",
    "queue",
    "spark_submit_params",
    "sql_params",
)
