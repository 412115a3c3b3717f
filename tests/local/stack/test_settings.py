import os
import socket
import subprocess
from pathlib import Path

import pytest

from local.stack.database import socket_folder
from local.stack.processes import free_port
from local.stack.settings import (
    Ports,
    SettingsError,
    base_environment,
    shell_lines,
)

FREE = dict.fromkeys(("AIRFLOW_PORT", "BUCKET_PORT", "DATABRICKS_PORT", "SPARK_PORT"), "0")


def test_ports_are_defaults_unless_given() -> None:
    chosen = free_port()
    ports = Ports.from_environment(FREE | {"AIRFLOW_PORT": str(chosen)})
    assert ports.airflow == chosen
    assert ports.url("airflow") == f"http://127.0.0.1:{chosen}"
    assert len({ports.airflow, ports.bucket, ports.databricks, ports.spark}) == 4
    assert (Ports().airflow, Ports().bucket, Ports().spark) == (8080, 4443, 15002)


def test_an_empty_variable_is_not_given() -> None:
    # make exports its port variables even when nobody set them
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", Ports.databricks)) == 0:
            pytest.skip("the default port is in use on this machine")
    assert Ports.from_environment(FREE | {"DATABRICKS_PORT": ""}).databricks == Ports.databricks


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80 80", "٣"])
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="BUCKET_PORT="):
        Ports.from_environment(FREE | {"BUCKET_PORT": text})


def test_a_port_given_twice_is_refused() -> None:
    port = str(free_port())
    with pytest.raises(SettingsError, match=f"SPARK_PORT={port} is given twice"):
        Ports.from_environment(FREE | {"AIRFLOW_PORT": port, "SPARK_PORT": port})


def test_another_stacks_settings_do_not_get_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "SPARK_REMOTE", "DATABRICKS_HOST", "PYTHONPATH"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)
    environment = base_environment()
    assert "elsewhere" not in environment.values()
    assert environment["NO_PROXY"] == environment["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_a_shell_that_sources_the_env_file_has_the_values_unchanged(tmp_path: Path) -> None:
    tricky = {"AIRFLOW_CONN_X": '{"a": "it\'s $HOME `x`"}', "PLAIN": "1"}
    file = tmp_path / "env"
    file.write_text(shell_lines(tricky))
    for name, value in tricky.items():
        shown = subprocess.run(
            ["/bin/sh", "-c", f'. {file}; printf %s "${name}"'], capture_output=True, text=True, check=True
        )
        assert shown.stdout == value


def test_a_socket_path_too_long_for_the_system_moves_to_a_short_folder() -> None:
    short, long = Path("/srv/data"), Path("/srv") / ("x" * 100)
    assert socket_folder(short) == short
    assert len(os.fsencode(socket_folder(long) / ".s.PGSQL.5432")) <= 107
    assert socket_folder(long) != socket_folder(long.with_name("y" * 100))
