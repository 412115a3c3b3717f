"""All checks, one after the other, each once what it depends on is known."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk.log import redact

from ingestion.checks.configuration import check_configuration
from ingestion.checks.places import check_place, places
from ingestion.checks.telling import check_channels
from ingestion.pipeline.environments import Environment
from ingestion.pipeline.findings import Check, Finding, safely, skipped

# What is asked of Airflow itself differs between a command and a task.
OfAirflow = Callable[[Environment], Check[None]]


def everything(folder: Path, variables: Mapping[str, str], of_airflow: OfAirflow, run: bool) -> Check[None]:
    """What there is to say, without a secret in it.

    :param folder: of the DAG files, with `feeds/` and perhaps `settings.yaml`
    :param variables: of this process
    :param run: whether to start Databricks runs
    """
    for finding in _all(folder, variables, of_airflow, run):
        # Errors of others quote what they were given: a token with a line break in it, say.
        yield Finding(finding.level, finding.name, str(redact(finding.text)))


def _all(folder: Path, variables: Mapping[str, str], of_airflow: OfAirflow, run: bool) -> Check[None]:
    environment = (yield from safely("settings", check_configuration(folder, variables))) or Environment(None)
    yield from safely("Airflow", of_airflow(environment))
    if environment.settings is None:
        for name in ("alerts", "bucket", "Databricks"):
            yield skipped(name, "the settings are wrong, see above")
        return
    yield from safely("alerts", check_channels([environment.settings, *(item.settings for item in environment.feeds)]))
    for place in places(environment.settings, environment.feeds):
        yield from check_place(place, _new_id(), run)


def _new_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
