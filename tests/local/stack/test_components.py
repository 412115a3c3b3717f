from pathlib import Path

import pytest

from local.stack.components import stack_components
from local.stack.home import Home
from local.stack.settings import Ports


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


def test_airflow_binds_to_loopback_and_keeps_everything_in_its_home(home: Home) -> None:
    components = {component.name: component for component in stack_components(home, Ports(), home.root)}
    environment = components["scheduler"].env
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW_HOME"].startswith(str(home.root))
    assert environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"].startswith(str(home.root))


def test_ingestion_variables_of_the_caller_win(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setenv("INGESTION_POLL_SECONDS", "7")
    components = {component.name: component for component in stack_components(home, Ports(), home.root)}
    environment = components["scheduler"].env
    assert environment["INGESTION_POLL_SECONDS"] == "7"
    assert environment["INGESTION_BUCKET"] == "orders-data"


def test_a_proxy_is_before_what_airflow_asks_and_before_nothing_else(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    monkeypatch.setenv("BUCKET_PROXY_PORT", "11")
    monkeypatch.setenv("DATABRICKS_PROXY_PORT", "12")
    ports = Ports()
    components = {component.name: component for component in stack_components(home, ports, home.root)}
    for name in ("scheduler", "triggerer"):
        assert components[name].env["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:11"
        assert '"port": 12,' in components[name].env["AIRFLOW_CONN_DATABRICKS_DEFAULT"]
    assert f"--bucket-endpoint={ports.url('bucket')}" in components["spark"].command
    assert f"-port={ports.bucket}" in components["bucket"].command
