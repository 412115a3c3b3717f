"""What differs from one environment to the next, and where a feed has its own. Connections hold the rest.

A setting `x` is the variable `INGESTION_X`, `x` in the file `settings.yaml` beside the DAG files (environments.py), or
`x` in the section `settings` of a feed's YAML.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails

from ingestion.pipeline.channels import Channel
from ingestion.pipeline.run_options import PROVIDERS, GitProvider, RunOptions

PREFIX = "INGESTION_"
# Where the job scripts come from: whoever says it anew, says all of it.
SCRIPTS = ("jobs", "git_url", "git_ref", "git_provider")
log = logging.getLogger(__name__)


class SettingsError(ValueError):
    """A setting that is missing or wrong. A line for each names it, by its variable or by its file and key."""


class FeedSettings(BaseModel):
    """The settings that a feed may have of its own."""

    # An import error is shown in the UI and kept in Airflow's database, and a value may be secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bucket: str = Field(default="orders-data", min_length=1, description="the bucket")
    schema_name: str = Field(
        default="orders", min_length=1, alias="schema", description="`schema`, on Databricks `catalog.schema`"
    )
    google_connection: str = Field(
        default="google_cloud_default", min_length=1, description="Airflow's connection to the bucket"
    )
    databricks_connection: str = Field(
        default="databricks_default", min_length=1, description="Airflow's connection to Databricks"
    )
    compute: dict[str, Any] = Field(
        default={"serverless": True},
        description="`serverless`, or JSON with one of `new_cluster` (a cluster spec) and `existing_cluster_id`",
        json_schema_extra={"type": ["string", "object"]},
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
    poll_seconds: float = Field(default=10, gt=0, description="between two looks into the bucket")
    run_wait_seconds: float = Field(
        default=0, ge=0, description="so long a task waits for its Databricks run before it leaves its worker"
    )
    run_poll_seconds: int = Field(default=5, gt=0, description="between two looks at a Databricks run after that")
    run_timeout_seconds: int = Field(default=7200, gt=0, description="after which Databricks ends a run")
    # Not in what a log or an error shows of an object: who knows an address can send to it.
    alert_email: list[str] = Field(
        default=[], repr=False, description="comma-separated; through the connection `smtp_default`"
    )
    alert_channels: list[Channel] = Field(
        default=[],
        repr=False,
        description='JSON list of notifiers: `[{"notifier": "<import path>", "<argument>": "{text}"}]`',
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


class Settings(FeedSettings):
    """All settings of an environment, or of a feed in it."""

    dag_prefix: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,49})?$")] = Field(
        default="", description="before the id of every DAG, and their tag: of several environments in one Airflow"
    )
    schedule: str | None = Field(default=None, description="cron line for Airflows that cannot install the timetable")
    retry_seconds: float = Field(default=60, gt=0, description="before the first retry of a task; doubles from there")
    max_wait_seconds: int = Field(default=86400, gt=0, description="age at which a waiting run ends")
    tell_after_seconds: int = Field(
        default=3600, gt=0, description="so long an object may lie in a feed's prefix before people are told"
    )
    keep_days: int = Field(
        default=30,
        ge=7,  # as long as Delta keeps files, and longer than tasks of a run may be tried
        description="so long `ingestion_maintenance` keeps staged rows, and what lies under `batches/`",
    )

    @property
    def provider(self) -> GitProvider | None:
        """Who keeps the repository."""
        return self.git_provider or PROVIDERS.get(urlsplit(self.git_url or "").hostname or "")

    @property
    def is_serverless(self) -> bool:
        """Whether the runs have no cluster of their own."""
        return "serverless" in self.compute

    @property
    def tags(self) -> list[str]:
        """Of each DAG, for the filter of the UI."""
        name = self.dag_prefix.rstrip("_.-")
        return ["ingestion", name] if name else ["ingestion"]

    def dag_id(self, name: str) -> str:
        """The id of the DAG of a feed, or of another one of ours."""
        return f"{self.dag_prefix}{name}"

    def tells_as(self, other: "Settings") -> bool:
        """Whether both tell the same people."""
        return (self.alert_email, self.alert_channels) == (other.alert_email, other.alert_channels)


@dataclass(frozen=True)
class Given:
    """The settings that one place gives. `place` is what an error puts before a key, empty for variables."""

    values: Mapping[str, Any]
    place: str = ""

    def called(self, name: str) -> str:
        """What people call a setting of this place; all of them without a name."""
        if not name:
            return self.place.rstrip(": .") or "settings"
        return f"{self.place}{name}" if self.place else f"{PREFIX}{name.upper()}"

    def problem(self, item: ErrorDetails) -> str:
        """What is wrong with one of them, without its value."""
        name, *within = map(str, item["loc"] or ("",))
        return f"{'.'.join([self.called(name), *within])}: {item['msg'].removeprefix('Value error, ')}"


def load_settings(variables: Mapping[str, str]) -> Settings:
    """The settings among these environment variables. Raises SettingsError."""
    return settings_of(given_by_variables(variables))


def given_by_variables(variables: Mapping[str, str]) -> Given:
    """What these environment variables give, of which an empty one is not set.

    An unknown one is warned of: it may be of a version to come, and misspelt it leaves a default in its place.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in variables.items() if name.startswith(PREFIX)}
    known = _names(Settings)
    if unknown := unknown_variables(variables):
        log.warning("No setting of the pipeline is called %s", ", ".join(unknown))
    return Given({name: value for name, value in given.items() if value and name in known})


def unknown_variables(variables: Mapping[str, str]) -> list[str]:
    """The variables that are called like settings and are none."""
    named = (name for name in variables if name.startswith(PREFIX))
    return sorted(name for name in named if name.removeprefix(PREFIX).lower() not in _names(Settings))


def given_in_yaml(content: object, place: str, *, of_one_feed: bool = False) -> Given:
    """What a mapping in a YAML file gives. Raises SettingsError for a key that is unknown or wrong by itself."""
    if not isinstance(content, dict):
        raise SettingsError(f"{place.rstrip(': .')}: expected a mapping of settings, found {type(content).__name__}")
    given = Given(content, place)
    kind = FeedSettings if of_one_feed else Settings
    of_all = sorted((_names(Settings) - _names(kind)) & content.keys())
    problems = [f"{given.called(name)}: is for all feeds alike, not for one" for name in of_all]
    try:
        found = kind.model_validate({name: value for name, value in content.items() if name not in of_all})
    except ValidationError as error:
        problems += [given.problem(item) for item in error.errors()]
    else:
        problems += [
            f"{given.called('alert_channels')}.{number}.{name}: no address and no secret in a file: name a connection"
            for number, channel in enumerate(found.alert_channels)
            for name in channel.secret_arguments()
        ]
    if problems:
        raise SettingsError("\n".join(problems))
    return given


def settings_of(*places: Given) -> Settings:
    """What these places give together; of two that give the same setting, the later wins. Raises SettingsError."""
    values: dict[str, Any] = {}
    given_by: dict[str, Given] = {}
    for place in places:
        if place.values.keys() & {"jobs", "git_url"}:
            values = {name: value for name, value in values.items() if name not in SCRIPTS}
        values |= place.values
        given_by |= dict.fromkeys(place.values, place)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems = (given_by[str(item["loc"][0])].problem(item) for item in error.errors())
        raise SettingsError("\n".join(problems)) from error
    if problem := _problem_of_scripts(settings):
        said_by = [place for place in places if place.values.keys() & set(SCRIPTS)] or places
        raise SettingsError(f"{said_by[-1].called('')}: {problem}")
    return settings


def _problem_of_scripts(settings: Settings) -> str | None:
    if (settings.jobs is None) == (settings.git_url is None):
        return "the scripts come from one place: set INGESTION_JOBS or INGESTION_GIT_URL"
    if (settings.git_url is None) != (settings.git_ref is None):
        return "INGESTION_GIT_URL and INGESTION_GIT_REF go together"
    if settings.git_url and settings.provider is None:
        return "set INGESTION_GIT_PROVIDER, gitHubEnterprise say: INGESTION_GIT_URL does not tell it"
    return None


def _names(kind: type[FeedSettings]) -> set[str]:
    return {field.alias or name for name, field in kind.model_fields.items()}
