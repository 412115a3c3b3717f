"""Ports of the stack and the environment of its components, as pure functions of a home."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from local.stack.home import REPO, Home, Secrets
from local.stack.processes import free_port, listens

BUCKET = "orders-data"
SCHEMA = "orders"
PROJECT = "local"
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
            if listens(port):
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
    venv = str(Path(sys.executable).parent)
    path = os.pathsep.join([venv, *(part for part in environment.get("PATH", "").split(os.pathsep) if part != venv)])
    return environment | {"PATH": path, "NO_PROXY": bypass, "no_proxy": bypass, "PYTHONUNBUFFERED": "1"}


def database_url(socket: Path) -> str:
    """Airflow's database, reached over the unix socket in this folder."""
    return f"postgresql+psycopg2://postgres@/airflow?host={quote(str(socket))}"


def pipeline_environment(home: Home, ports: Ports, secrets: Secrets) -> dict[str, str]:
    """What the pipeline is told about its surroundings: connections and INGESTION_* variables."""
    google = {"conn_type": "google_cloud_platform", "extra": {"project": PROJECT, "is_anonymous": True}}
    databricks = {
        "conn_type": "databricks",
        "host": "127.0.0.1",
        "schema": "http",
        "port": ports.databricks,
        "password": secrets.databricks_token,
    }
    defaults = {
        "INGESTION_BUCKET": BUCKET,
        "INGESTION_SCHEMA": SCHEMA,
        "INGESTION_POLL_SECONDS": "1",
        "INGESTION_RUN_POLL_SECONDS": "1",
        "INGESTION_RETRY_SECONDS": "5",
        "INGESTION_COMPUTE": "serverless",
        "INGESTION_JOBS": "/Workspace/Shared/ingestion/spark_jobs",
    }
    chosen = {name: value for name, value in os.environ.items() if name.startswith("INGESTION_")}
    return {
        **defaults,
        **chosen,
        # With the scheme: the async client takes it as it is. Read by every Google client, at import.
        "STORAGE_EMULATOR_HOST": ports.url("bucket"),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
        "AIRFLOW_CONN_DATABRICKS_DEFAULT": json.dumps(databricks),
    }


def airflow_environment(home: Home, ports: Ports, secrets: Secrets, database: str, dags: Path) -> dict[str, str]:
    """Airflow's own settings: everything on loopback and below the home, tuned for short gaps on a small machine."""
    settings = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "8",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__FERNET_KEY": secrets.fernet_key,
        "CORE__EXECUTION_API_SERVER_URL": f"{ports.url('airflow')}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.airflow / "passwords.json"),
        # A name lookup of this machine can take seconds where its name is in no DNS.
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "API__HOST": "127.0.0.1",
        "API__PORT": str(ports.airflow),
        "API__BASE_URL": ports.url("airflow"),
        "API__WORKERS": "1",
        "API__SECRET_KEY": secrets.api_secret,
        "API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A killed stack's tasks are noticed and repeated by the next one within a minute, not five.
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # A worker may notice only after this long that its task's process is gone (5 s is the default). A task that
        # deferred and was resumed by its trigger before that counts as failed (apache/airflow#71580).
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "LOGGING__BASE_LOG_FOLDER": str(home.airflow / "logs"),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    return {"AIRFLOW_HOME": str(home.airflow)} | {f"AIRFLOW__{name}": value for name, value in settings.items()}


def client_environment(home: Home, ports: Ports, secrets: Secrets) -> dict[str, str]:
    """What stock clients (databricks-sdk, pyspark, any Delta reader) need to work against the stack."""
    return {
        "DATABRICKS_HOST": ports.url("databricks"),
        "DATABRICKS_TOKEN": secrets.databricks_token,
        "LAKEHOUSE_DIR": str(home.lakehouse),
        "SPARK_REMOTE": f"sc://127.0.0.1:{ports.spark}",
    }


def shell_lines(environment: Mapping[str, str]) -> str:
    """The env file: export lines for a POSIX shell."""
    venv = shlex.quote(str(Path(sys.executable).parent))
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    return "\n".join([f'export PATH={venv}:"$PATH"', *lines, ""])
