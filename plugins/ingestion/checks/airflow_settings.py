"""What Airflow is set to and what is installed, as this process sees it: every component should have the same."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from airflow.configuration import conf
from airflow.plugins_manager import get_timetables_plugins
from packaging.requirements import Requirement

from ingestion.pipeline.environments import Environment
from ingestion.pipeline.findings import Check, Finding, fail, ok, skipped, warn
from ingestion.pipeline.settings import Settings
from ingestion.runs.timetable import FileArrivalTimetable

_PACKAGE = "gcs-delta-ingestion"
_EXTRA = {"extra": "airflow"}
_SHIM = "airflow_local_settings"


def check_airflow_settings(environment: Environment) -> Check[None]:
    """All of them, for the feeds of an environment."""
    yield from _versions()
    yield _timetable(environment.settings)
    yield _heartbeat()
    yield _runs_per_loop(len(environment.feeds))
    yield _backfill_command()


def _versions(installed: Callable[[str], str] = version) -> Check[None]:
    """What is installed, against what the package asks for."""
    try:
        wanted = [Requirement(text) for text in requires(_PACKAGE) or ()]
    except PackageNotFoundError:
        yield skipped("versions", f"{_PACKAGE} is not installed as a package, so what it needs is not known here")
        return
    found = {item: _installed(item, installed) for item in wanted if not item.marker or item.marker.evaluate(_EXTRA)}
    wrong = [
        f"{item.name} {f'{has} is not {item.specifier}' if has else 'is not installed'}"
        for item, has in found.items()
        if has is None or not item.specifier.contains(has, prereleases=True)
    ]
    if wrong:
        yield fail("versions", f"{', '.join(wrong)}: install '{_PACKAGE}[airflow]', which brings what it works with")
    else:
        yield ok("versions", ", ".join(f"{item.name} {has}" for item, has in found.items()))


def _installed(requirement: Requirement, installed: Callable[[str], str]) -> str | None:
    try:
        return installed(requirement.name)
    except PackageNotFoundError:
        return None


def _timetable(settings: Settings | None) -> Finding:
    if settings and settings.schedule:
        return ok("timetable", f"not needed: INGESTION_SCHEDULE is {settings.schedule}")
    if FileArrivalTimetable in get_timetables_plugins().values():
        return ok("timetable", "Airflow knows the plugin's")
    return fail(
        "timetable",
        f"Airflow does not know that of the plugin: install {_PACKAGE} on every component and start them again, or "
        "set INGESTION_SCHEDULE to a cron line",
    )


def _heartbeat() -> Finding:
    """https://github.com/apache/airflow/issues/71580."""
    found = conf.getint("workers", "min_heartbeat_interval")
    if found <= 1:
        return ok("heartbeat", f"[workers] min_heartbeat_interval is {found}")
    return warn(
        "heartbeat",
        f"[workers] min_heartbeat_interval is {found}: a task that waits for a quick Databricks run can count as "
        "failed. Set AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1 on every component",
    )


def _runs_per_loop(feeds: int) -> Finding:
    """https://github.com/apache/airflow/issues/58554."""
    found = conf.getint("scheduler", "max_dagruns_per_loop_to_schedule")
    if found > feeds:
        return ok("runs per loop", f"[scheduler] max_dagruns_per_loop_to_schedule is {found}, of {feeds} feeds")
    return warn(
        "runs per loop",
        f"[scheduler] max_dagruns_per_loop_to_schedule is {found} and {feeds} feeds have a run that waits each: no "
        "backfill would get on. Set AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE=500",
    )


def _backfill_command() -> Finding:
    """Airflow has imported the module, if there is one, when it began."""
    module = sys.modules.get(_SHIM)
    if module is None:
        return warn(
            "backfill command",
            f"`airflow dags backfill` is missing: put plugins/{_SHIM}.py into Airflow's plugins folder, or use "
            "`airflow ingestion backfill`, which is the same",
        )
    if "add_dags_backfill" not in Path(str(module.__file__)).read_text(encoding="utf-8"):
        return warn(
            "backfill command",
            f"`airflow dags backfill` is missing, as {module.__file__} is another: call "
            "ingestion.cli.add_dags_backfill there as plugins/airflow_local_settings.py does",
        )
    return ok("backfill command", "`airflow dags backfill` is there")
