"""What is said of Airflow's own settings and of what is installed."""

import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import pytest

from ingestion.checks import airflow_settings
from ingestion.checks.airflow_settings import check_airflow_settings
from ingestion.pipeline.environments import Environment, read_environment
from ingestion.pipeline.findings import Finding
from ingestion.pipeline.settings import load_settings
from tests.conftest import REPO

CRON = load_settings({"INGESTION_JOBS": "/Workspace/Shared", "INGESTION_SCHEDULE": "*/10 * * * *"})
(FEED, *_) = read_environment(REPO / "dags", {"INGESTION_JOBS": "/Workspace/Shared"}).feeds


@pytest.fixture
def set_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "1")
    monkeypatch.setenv("AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE", "500")
    shim = ModuleType("airflow_local_settings")
    shim.__file__ = str(REPO / "plugins/airflow_local_settings.py")
    monkeypatch.setitem(sys.modules, "airflow_local_settings", shim)


def found(feeds: int = 3) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_airflow_settings(Environment(None, [FEED] * feeds))}


def wrong(feeds: int = 3) -> dict[str, tuple[str, str]]:
    return {name: (item.level, item.text) for name, item in found(feeds).items() if item.level != "ok"}


@pytest.mark.usefixtures("set_right")
def test_all_is_right_here() -> None:
    assert wrong() == {}
    assert f"apache-airflow {version('apache-airflow')}" in found()["versions"].text


@pytest.mark.usefixtures("set_right")
def test_a_heartbeat_of_airflows_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL")
    ((level, text),) = wrong().values()
    assert level == "warn"
    assert "min_heartbeat_interval is 5" in text
    assert "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1" in text


@pytest.mark.usefixtures("set_right")
@pytest.mark.parametrize(("feeds", "is_right"), [(19, True), (20, False)])
def test_runs_per_loop_not_above_the_number_of_feeds(
    monkeypatch: pytest.MonkeyPatch, feeds: int, is_right: bool
) -> None:
    monkeypatch.delenv("AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE")
    assert list(wrong(feeds)) == ([] if is_right else ["runs per loop"])


@pytest.mark.usefixtures("set_right")
def test_a_plugin_that_airflow_has_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_settings, "get_timetables_plugins", dict)
    ((level, text),) = wrong().values()
    assert level == "FAIL"
    assert "INGESTION_SCHEDULE" in text
    with_cron = {finding.name: finding.level for finding in check_airflow_settings(Environment(CRON))}
    assert with_cron["timetable"] == "ok"


@pytest.mark.usefixtures("set_right")
@pytest.mark.parametrize("other", [None, "tests/conftest.py"])
def test_airflow_dags_backfill_without_its_shim(monkeypatch: pytest.MonkeyPatch, other: str | None) -> None:
    if other:
        sys.modules["airflow_local_settings"].__file__ = str(REPO / other)
    else:
        monkeypatch.delitem(sys.modules, "airflow_local_settings")
    ((level, text),) = wrong().values()
    assert level == "warn"
    assert ("ingestion.cli.add_dags_backfill" if other else "`airflow ingestion backfill`") in text


def test_versions_out_of_range_and_missing_ones_are_named() -> None:
    def installed(name: str) -> str:
        if name.endswith("smtp"):
            raise PackageNotFoundError(name)
        return "3.4.0" if name == "apache-airflow" else version(name)

    (finding,) = airflow_settings._versions(installed)
    assert finding.level == "FAIL"
    assert "apache-airflow 3.4.0 is not <3.4,>=3.3.1" in finding.text
    assert "apache-airflow-providers-smtp is not installed" in finding.text
    assert "google-cloud-storage" not in finding.text
