"""What differs from one environment to the next: the `INGESTION_*` variables. Connections hold the rest."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

PREFIX = "INGESTION_"


class SettingsError(ValueError):
    """A variable that is missing, unknown or wrong. The message names it."""


class Channel(BaseModel):
    """A way to tell people: a notifier of Airflow or a provider, by its import path, and the arguments it takes.

    In its arguments `{subject}` and `{text}` stand for those of a message.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    notifier: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


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
    git_url: str | None = Field(default=None, description="GitHub repository of the job scripts, instead of `jobs`")
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

    @field_validator("alert_channels", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from error

    @model_validator(mode="after")
    def _one_source_of_scripts(self) -> "Settings":
        if (self.jobs is None) == (self.git_url is None):
            raise ValueError("the scripts come from one place: set INGESTION_JOBS or INGESTION_GIT_URL")
        if (self.git_url is None) != (self.git_ref is None):
            raise ValueError("INGESTION_GIT_URL and INGESTION_GIT_REF go together")
        return self


def load_settings(environment: Mapping[str, str]) -> Settings:
    """The settings among these environment variables. Raises SettingsError."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(item) for item in error.errors())) from error


def _problem(item: ErrorDetails) -> str:
    variable = PREFIX + str(item["loc"][0]).upper() if item["loc"] else "settings"
    return f"{variable}: {item['msg'].removeprefix('Value error, ')}"
