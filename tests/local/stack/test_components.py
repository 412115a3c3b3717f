from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.stack.components import has_beaten, stack_components
from local.stack.home import Home
from local.stack.settings import Ports

NINE = datetime(2026, 9, 1, 9, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("beat", "expected"),
    [("2026-09-01T08:59:55+00:00", False), ("2026-09-01T09:00:01+00:00", True), (None, False)],
    ids=["of the run before", "of this run", "none yet"],
)
def test_only_a_heartbeat_of_this_run_counts(beat: str | None, expected: bool) -> None:
    health = {"scheduler": {"status": "healthy", "latest_scheduler_heartbeat": beat}}
    assert has_beaten(health, "scheduler", NINE) is expected


def test_without_an_answer_nothing_beats() -> None:
    assert has_beaten(None, "triggerer", NINE) is False


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_no_secret_is_in_a_command_line(home: Home) -> None:
    components = {component.name: component for component in stack_components(home, Ports(), home.root)}
    token = components["databricks"].env["DATABRICKS_TOKEN"]
    assert token.startswith("dapi")
    assert not any(token in part for component in components.values() for part in component.command)


def test_every_component_starts_after_ones_that_are_there(home: Home) -> None:
    components = stack_components(home, Ports(), home.root)
    names = {component.name for component in components}
    assert len(names) == len(components)
    assert {need for component in components for need in (*component.after, *component.uses)} <= names


def test_jobs_are_found_where_databricks_looks_for_them(home: Home) -> None:
    stack_components(home, Ports(), home.root)
    assert (home.workspace / "Shared" / "ingestion" / "spark_jobs" / "stage.py").is_file()


def test_what_clients_need_is_in_a_file_only_its_owner_reads(home: Home) -> None:
    stack_components(home, Ports(), home.root)
    assert home.env_file.stat().st_mode & 0o077 == 0
    text = home.env_file.read_text()
    for name in ("STORAGE_EMULATOR_HOST", "DATABRICKS_TOKEN", "AIRFLOW_CONN_DATABRICKS_DEFAULT", "LAKEHOUSE_DIR"):
        assert f"export {name}=" in text
