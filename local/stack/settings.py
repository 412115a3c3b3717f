"""Where the native stack is, and what is particular to it: its ports, and settings for one small machine."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

from local.health import listens
from local.stack.home import BIN, JARS, REPO, Home, Secrets
from local.stack.processes import free_port
from local.stack.services import Place

# What another stack's env file, or Airflow's own settings in the user's shell, would bring in.
FOREIGN = (
    "AIRFLOW",
    "DATABRICKS_",
    "SPARK_",
    "PYSPARK_",
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_",
    "LAKEHOUSE_DIR",
    "PYTHON",
)
# Short gaps between the steps of a run, for somebody who watches.
AIRFLOW_TUNING = {
    # A name lookup of this machine can take seconds where its name is in no DNS.
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # A killed stack's tasks are noticed and repeated by the next one within a minute, not five.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
}
LABELS = {"airflow": "Airflow UI", "bucket": "bucket", "databricks": "Databricks service", "spark": "Spark server"}


class SettingsError(Exception):
    """A setting that cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class Ports:
    """One loopback port per server."""

    airflow: int = 8080
    bucket: int = 4443
    databricks: int = 8765
    spark: int = 15002

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Defaults, replaced by AIRFLOW_PORT, BUCKET_PORT, DATABRICKS_PORT and SPARK_PORT; 0 takes any free one.

        Raises SettingsError for something that is no port, a port given twice, and a port that is taken.
        """
        ports: dict[str, int] = {}
        for name, label in LABELS.items():
            variable = f"{name.upper()}_PORT"
            text = environment.get(variable) or str(getattr(cls, name))
            if not text.isascii() or not text.isdigit() or int(text) > 65535:
                raise SettingsError(
                    f"{variable}={text} is not a port: give a number from 1 to 65535, or 0 for any free one"
                )
            port = int(text) or free_port()
            if port in ports.values():
                raise SettingsError(f"{variable}={port} is given twice: give every server a port of its own")
            if listens("127.0.0.1", port):
                raise SettingsError(
                    f"port {port} for the {label} is taken by another program: "
                    f"choose another with {variable}=<port>, or {variable}=0 for any free one"
                )
            ports[name] = port
        return cls(**ports)

    def url(self, name: str) -> str:
        """Base URL of one of the HTTP servers."""
        return f"http://127.0.0.1:{getattr(self, name)}"


def base_environment() -> dict[str, str]:
    """This process's environment, less what would point a component somewhere else; no proxy for loopback."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    bypass = ",".join(filter(None, [environment.get("no_proxy") or environment.get("NO_PROXY"), "127.0.0.1,localhost"]))
    first = [str(Path(sys.executable).parent), str(BIN)]
    path = os.pathsep.join(
        [*first, *(part for part in environment.get("PATH", "").split(os.pathsep) if part not in first)]
    )
    return environment | {"PATH": path, "NO_PROXY": bypass, "no_proxy": bypass, "PYTHONUNBUFFERED": "1"}


def database_url(socket: Path) -> str:
    """Airflow's database, reached over the unix socket in this folder."""
    return f"postgresql+psycopg2://postgres@/airflow?host={quote(str(socket))}"


def place_of(home: Home, ports: Ports, dags: Path, database: str) -> Place:
    """Everything on loopback and below the home."""
    return Place(
        airflow=ports.url("airflow"),
        bucket=ports.url("bucket"),
        databricks=ports.url("databricks"),
        spark=f"sc://127.0.0.1:{ports.spark}",
        database=database,
        airflow_page=ports.url("airflow"),
        databricks_page=ports.url("databricks"),
        interface="127.0.0.1",
        airflow_home=str(home.airflow),
        dags=str(dags),
        plugins=str(REPO / "plugins"),
        passwords=str(home.airflow / "passwords.json"),
        objects=str(home.bucket),
        lakehouse=str(home.lakehouse),
        jars=str(JARS),
        runs=str(home.root / "databricks"),
        workspace=str(home.workspace),
    )


def behind_proxies(place: Place, environment: Mapping[str, str]) -> Place:
    """The place as Airflow sees it: BUCKET_PROXY_PORT and DATABRICKS_PROXY_PORT put a proxy before the two services.

    Tests let it fail in every way, which the services themselves do not.
    """
    names = {"bucket": "BUCKET_PROXY_PORT", "databricks": "DATABRICKS_PROXY_PORT"}
    ports = {name: environment[variable] for name, variable in names.items() if environment.get(variable)}
    return replace(place, **{name: f"http://127.0.0.1:{port}" for name, port in ports.items()})


def chosen_environment() -> dict[str, str]:
    """The pipeline's settings as the caller's environment has them; where it is silent, for somebody who watches."""
    defaults = {
        "INGESTION_POLL_SECONDS": "1",
        "INGESTION_RUN_WAIT_SECONDS": "30",
        "INGESTION_RUN_POLL_SECONDS": "1",
        "INGESTION_RETRY_SECONDS": "5",
    }
    return defaults | {name: value for name, value in os.environ.items() if name.startswith("INGESTION_")}


def client_environment(place: Place, secrets: Secrets) -> dict[str, str]:
    """What stock clients (databricks-sdk, pyspark, any Delta reader) need to work against the stack."""
    return {
        "DATABRICKS_HOST": place.databricks,
        "DATABRICKS_TOKEN": secrets.databricks_token,
        "LAKEHOUSE_DIR": place.lakehouse,
        "SPARK_REMOTE": place.spark,
    }


def shell_lines(environment: Mapping[str, str]) -> str:
    """The env file: export lines for a POSIX shell."""
    venv = shlex.quote(str(Path(sys.executable).parent))
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    return "\n".join([f'export PATH={venv}:"$PATH"', *lines, ""])
