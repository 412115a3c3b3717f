"""What differs from one environment to the next: the `INGESTION_*` variables. Connections hold the rest."""

import json
import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

PREFIX = "INGESTION_"
log = logging.getLogger(__name__)


class SettingsError(ValueError):
    """A variable that is missing or wrong. The message names it."""


class Channel(BaseModel):
    """A way to tell people: a notifier of Airflow or a provider, by its import path, and the arguments it takes.

    In its arguments `{subject}` and `{text}` stand for those of a message.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    notifier: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class _Known(BaseModel):
    """Databricks drops a misspelt field of a request in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Access(_Known):
    """Somebody who may see or manage the runs."""

    permission_level: Literal["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"]
    group_name: str | None = None
    user_name: str | None = None
    service_principal_name: str | None = None

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if sum(name is not None for name in (self.group_name, self.user_name, self.service_principal_name)) != 1:
            raise ValueError("exactly one of group_name, user_name and service_principal_name")
        return self


class RunOptions(_Known):
    """Fields of `runs/submit` about people and money, by the names of the Jobs API 2.2."""

    access_control_list: list[Access] | None = None
    budget_policy_id: str | None = None
    usage_policy_id: str | None = None
    performance_target: Literal["PERFORMANCE_OPTIMIZED", "STANDARD"] | None = None


GitProvider = Literal[
    "gitHub", "gitHubEnterprise", "gitLab", "gitLabEnterpriseEdition", "azureDevOpsServices", "bitbucketCloud",
    "bitbucketServer", "awsCodeCommit",
]  # fmt: skip
_PROVIDERS: dict[str, GitProvider] = {
    "github.com": "gitHub",
    "gitlab.com": "gitLab",
    "dev.azure.com": "azureDevOpsServices",
    "bitbucket.org": "bitbucketCloud",
}


class Settings(BaseModel):
    """The `INGESTION_*` variables; a field `x` is the variable `INGESTION_X`."""

    # An import error is shown in the UI and kept in Airflow's database, and a value may be secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bucket: str = "orders-data"
    schema_name: str = Field(default="orders", alias="schema", description="`schema`, on Databricks `catalog.schema`")
    compute: dict[str, Any] = Field(
        default={"serverless": True},
        description="`serverless`, or JSON with one of `new_cluster` (a cluster spec) and `existing_cluster_id`",
    )
    jobs: str | None = Field(default=None, description="workspace folder of the job scripts, `/Workspace/…/spark_jobs`")
    run_options: RunOptions = Field(
        default=RunOptions(), description="JSON: who may see the runs, budget policy, performance target"
    )
    git_url: str | None = Field(default=None, description="Git repository of the job scripts, instead of `jobs`")
    git_provider: GitProvider | None = Field(default=None, description="of `git_url`, where its host does not say it")
    git_ref: str | None = Field(
        default=None, description="`tag:v1`, `commit:<sha>` or `branch:main` of that repository"
    )
    schedule: str | None = Field(default=None, description="cron line for Airflows that cannot install the timetable")
    poll_seconds: float = Field(default=10, gt=0, description="between two looks into the bucket")
    run_wait_seconds: float = Field(
        default=0, ge=0, description="so long a task waits for its Databricks run before it leaves its worker"
    )
    run_poll_seconds: int = Field(default=5, gt=0, description="between two looks at a Databricks run after that")
    run_timeout_seconds: int = Field(default=7200, gt=0, description="after which Databricks ends a run")
    retry_seconds: float = Field(default=60, gt=0, description="before the first retry of a task; doubles from there")
    max_wait_seconds: int = Field(default=86400, gt=0, description="age at which a waiting run ends")
    tell_after_seconds: int = Field(
        default=3600, gt=0, description="so long an object may lie in a feed's prefix before people are told"
    )
    alert_email: list[str] = Field(default=[], description="comma-separated; through the connection `smtp_default`")

    alert_channels: list[Channel] = Field(
        default=[], description='JSON list of notifiers: `[{"notifier": "<import path>", "<argument>": "{text}"}]`'
    )

    @field_validator("compute", mode="before")
    @classmethod
    def _one_compute(cls, value: object) -> object:
        if value == "serverless":
            return {"serverless": True}
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                raise ValueError(f"neither `serverless` nor JSON: {error}") from error
        if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"new_cluster", "existing_cluster_id"}:
            raise ValueError("exactly one of `serverless`, a `new_cluster` and an `existing_cluster_id`")
        return value

    @field_validator("git_url")
    @classmethod
    def _without_login(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if "@" in parts.netloc or parts.query:
            # It is shown as a rendered field of each task, and in the run at Databricks.
            raise ValueError("holds a login: leave it out, and give Databricks a Git credential for the repository")
        return value

    @field_validator("git_ref")
    @classmethod
    def _kind_of_ref(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("tag:", "commit:", "branch:")):
            raise ValueError("starts with `tag:`, `commit:` or `branch:`")
        return value

    @field_validator("alert_email", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("alert_channels", "run_options", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from error

    @model_validator(mode="after")
    def _one_source_of_scripts(self) -> Self:
        if (self.jobs is None) == (self.git_url is None):
            raise ValueError("the scripts come from one place: set INGESTION_JOBS or INGESTION_GIT_URL")
        if (self.git_url is None) != (self.git_ref is None):
            raise ValueError("INGESTION_GIT_URL and INGESTION_GIT_REF go together")
        if self.git_url and self.provider is None:
            raise ValueError("set INGESTION_GIT_PROVIDER, gitHubEnterprise say: INGESTION_GIT_URL does not tell it")
        return self

    @property
    def provider(self) -> GitProvider | None:
        """Who keeps the repository."""
        return self.git_provider or _PROVIDERS.get(urlsplit(self.git_url or "").hostname or "")

    @property
    def is_serverless(self) -> bool:
        """Whether the runs have no cluster of their own."""
        return "serverless" in self.compute


def load_settings(environment: Mapping[str, str]) -> Settings:
    """The settings among these environment variables, of which an empty one is not set. Raises SettingsError.

    An unknown one is warned of: it may be of a version to come, and misspelt it leaves a default in its place.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    known = {field.alias or name for name, field in Settings.model_fields.items()}
    if unknown := sorted(PREFIX + name.upper() for name in given.keys() - known):
        log.warning("No setting of the pipeline is called %s", ", ".join(unknown))
    try:
        return Settings.model_validate({name: value for name, value in given.items() if value and name in known})
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(item) for item in error.errors())) from error


def _problem(item: ErrorDetails) -> str:
    name, *within = map(str, item["loc"] or ("",))
    variable = ".".join([PREFIX + name.upper(), *within]) if name else "settings"
    return f"{variable}: {item['msg'].removeprefix('Value error, ')}"
