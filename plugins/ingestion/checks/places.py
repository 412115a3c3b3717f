"""The checks of one place that feeds are loaded from and to: its bucket, its Databricks, its schema."""

from collections.abc import Iterable
from dataclasses import dataclass

from airflow.providers.databricks.hooks.databricks import DatabricksHook
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from google.cloud.storage import Bucket

from ingestion.checks.connections import is_defined
from ingestion.checks.databricks import check_api, check_run
from ingestion.pipeline import bucket_check
from ingestion.pipeline.bucket_check import named
from ingestion.pipeline.bucket_probe import Probe
from ingestion.pipeline.environments import OF_RUNS, ConfiguredFeed
from ingestion.pipeline.findings import Check, described, fail, ok, safely, skipped
from ingestion.pipeline.settings import Settings

RUN = "Databricks run"
# The settings by which places differ.
_TELL_APART = {"bucket", "schema_name", "google_connection", *OF_RUNS}


@dataclass(frozen=True)
class Place:
    """What feeds have in common that are loaded alike. `prefixes` are those that their producers deliver to."""

    settings: Settings
    prefixes: tuple[str, ...]


def places(settings: Settings, feeds: Iterable[ConfiguredFeed]) -> list[Place]:
    """Each place once; without a feed, that of the settings."""
    found: dict[str, Place] = {}
    for item in feeds:
        key = item.settings.model_dump_json(include=_TELL_APART)
        prefixes = found[key].prefixes if key in found else ()
        found[key] = Place(item.settings, tuple(dict.fromkeys((*prefixes, item.feed.prefix))))
    return list(found.values()) or [Place(settings, ("source/",))]


def check_place(place: Place, check_id: str, run: bool) -> Check[None]:
    """All of a place. `run`: whether to start a Databricks run."""
    hook = yield from _databricks(place.settings.databricks_connection)
    bucket = yield from _bucket(place.settings)
    if bucket is None:
        yield from _run(place, hook, check_id, run, None)
        return
    name = named(bucket)
    may_delete = yield from safely(f"{name}, its rules", bucket_check.rules(bucket))
    yield from safely(f"{name}, rights", bucket_check.rights(bucket, place.prefixes, check_id))
    if not may_delete:
        yield skipped(f"{name}, {bucket_check.BATCHES}", "what is written there could not be removed again")
        yield from _run(place, hook, check_id, run, None)
        return
    with Probe(bucket, check_id) as probe:
        is_there = yield from safely(f"{name}, {bucket_check.BATCHES}", probe.tried())
        yield from _run(place, hook, check_id, run, probe.uri if is_there else None)
    yield from probe.removed()


def _databricks(conn_id: str) -> Check[DatabricksHook | None]:
    """The hook of Databricks, if it lets the connection in."""
    name = f"Databricks, {conn_id}"
    if (yield from safely(name, _is_defined(conn_id))):
        return (yield from safely(name, check_api(conn_id)))
    yield skipped(name, "it has no connection")
    return None


def _bucket(settings: Settings) -> Check[Bucket | None]:
    """The bucket, if it answers."""
    name = f"bucket {settings.bucket}"
    if (yield from safely(name, _is_defined(settings.google_connection))):
        return (yield from safely(name, _opened(settings)))
    yield skipped(name, "it has no connection")
    return None


def _is_defined(conn_id: str) -> Check[bool]:
    name = f"connection {conn_id}"
    if is_defined(conn_id):
        yield ok(name, "defined")
        return True
    yield fail(
        name, f"there is none: `airflow connections add {conn_id} ...`, or the variable AIRFLOW_CONN_{conn_id.upper()}"
    )
    return False


def _opened(settings: Settings) -> Check[Bucket | None]:
    try:
        bucket = GCSHook(gcp_conn_id=settings.google_connection).get_conn().bucket(settings.bucket)
    except Exception as error:  # no credentials, a key that is none, an account that cannot be impersonated
        yield fail(
            f"bucket {settings.bucket}",
            f"connection {settings.google_connection} gives no credentials ({described(error)}): see its key, or the "
            "account of this machine",
        )
        return None
    return bucket if (yield from bucket_check.reachable(bucket)) else None


def _run(place: Place, hook: DatabricksHook | None, check_id: str, run: bool, probe: str | None) -> Check[None]:
    """The Databricks run, if it is wanted and can be."""
    if not run:
        yield skipped(RUN, "not asked for, so compute, scripts, schema and external location are not tried")
    elif hook is None:
        yield skipped(RUN, "Databricks cannot be asked, see above")
    else:
        if probe is None:
            yield skipped("external location", "there is no object to read, see above")
        yield from safely(RUN, check_run(hook, place.settings, check_id, probe))
