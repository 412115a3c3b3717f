"""The processes of the stack: how each is started, what it needs first, and how it shows that it is ready."""

import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from local.spark_server import spark_server_command, spark_server_env
from local.stack import database, settings
from local.stack.home import BIN, JARS, REPO, Home, Secrets, write_private
from local.stack.processes import listens
from local.stack.settings import Ports

_http = httpx.Client(timeout=2, trust_env=False)  # loopback only: no proxy of the environment applies

# `ready(started)` is asked again and again until it is true; `started` is when the process began (epoch seconds).
Ready = Callable[[float], bool]


@dataclass(frozen=True)
class Component:
    """One process. A component without `ready` is a step: it is done when it ends well."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    ready: Ready | None = None
    after: tuple[str, ...] = ()  # ready before this one starts
    uses: tuple[str, ...] = ()  # besides `after`: stopped only after this one
    address: str = ""
    cwd: Path | None = None  # the home if not given
    stop_signal: int = signal.SIGTERM
    user: str | None = None
    start_seconds: float = 90


def stack_components(home: Home, ports: Ports, dags: Path) -> list[Component]:
    """Everything, each after what it needs. Also writes the files the components read at start."""
    secrets = Secrets.of(home)
    base = settings.base_environment()
    url = settings.database_url(database.socket_folder(home.postgres))
    pipeline = settings.pipeline_environment(home, ports, secrets)
    airflow = pipeline | settings.airflow_environment(home, ports, secrets, url, dags)
    clients = settings.client_environment(home, ports, secrets)
    write_private(home.env_file, settings.shell_lines(airflow | clients))
    write_private(home.airflow / "passwords.json", json.dumps({"admin": secrets.password}))
    _link_workspace(home)
    return [
        *_database_components(home, base),
        _bucket_component(home, ports, base),
        *_compute_components(home, ports, base, secrets),
        *_airflow_components(ports, base | airflow),
    ]


def _link_workspace(home: Home) -> None:
    link = home.workspace / "Shared" / "ingestion"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(REPO)


def _database_components(home: Home, base: Mapping[str, str]) -> list[Component]:
    prepare = Component("database", [sys.executable, "-m", "local.stack.database", str(home.root)], base, cwd=REPO)
    server = Component(
        "postgres",
        database.server_command(home.postgres),
        base,
        ready=lambda _: database.is_ready(home.postgres),
        after=("database",),
        address=str(database.socket_folder(home.postgres)),
        stop_signal=signal.SIGINT,  # PostgreSQL's "fast shutdown": does not wait for its clients
        user=database.database_user(),
    )
    return [prepare, server]


def _bucket_component(home: Home, ports: Ports, base: Mapping[str, str]) -> Component:
    binary = BIN / "fake-gcs-server"
    options = {
        "scheme": "http",
        "host": "127.0.0.1",
        "port": str(ports.bucket),
        "external-url": ports.url("bucket"),
        "public-host": f"127.0.0.1:{ports.bucket}",
        "backend": "filesystem",
        "filesystem-root": str(home.bucket),
        "log-level": "warn",
    }
    return Component(
        "bucket",
        [
            str(binary if binary.exists() else "fake-gcs-server"),
            *(f"-{name}={value}" for name, value in options.items()),
        ],
        base,
        ready=lambda _: _bucket_exists(ports),
        address=ports.url("bucket"),
    )


def _compute_components(home: Home, ports: Ports, base: Mapping[str, str], secrets: Secrets) -> list[Component]:
    remote = f"sc://127.0.0.1:{ports.spark}"
    service = {
        "port": str(ports.databricks),
        "home": str(home.root / "databricks"),
        "workspace": str(home.workspace),
        "spark-remote": remote,
    }
    return [
        Component(
            "spark",
            spark_server_command(home.lakehouse, JARS, ports.spark, ports.url("bucket")),
            base | spark_server_env(base) | {"SPARK_LOCAL_DIRS": str(home.root / "spark")},
            ready=lambda _: listens(ports.spark),
            address=remote,
        ),
        Component(
            "schema",
            [sys.executable, "-m", "local.stack.schema", settings.SCHEMA],
            base | {"SPARK_REMOTE": remote},
            after=("spark",),
            cwd=REPO,
        ),
        Component(
            "databricks",
            [sys.executable, "-m", "local.databricks", *(f"--{name}={value}" for name, value in service.items())],
            base | {"DATABRICKS_TOKEN": secrets.databricks_token},
            ready=lambda _: _get(f"{ports.url('databricks')}/health") is not None,
            after=("spark",),
            cwd=REPO,
            address=ports.url("databricks"),
        ),
    ]


def _airflow_components(ports: Ports, env: Mapping[str, str]) -> list[Component]:
    def airflow(name: str, *options: str, ready: Ready, after: str = "postgres", address: str = "") -> Component:
        uses = ("bucket", "databricks")
        return Component(
            name, ["airflow", name, *options], env, ready=ready, after=(after,), uses=uses, address=address
        )

    def heartbeat(job: str) -> Ready:
        return lambda started: has_beaten(_get(f"{ports.url('airflow')}/api/v2/monitor/health"), job, started)

    # Open browser tabs keep connections alive: without a short timeout they hold up a stop.
    server = airflow(
        "api-server",
        "--worker-timeout=5",
        ready=lambda _: _get(f"{ports.url('airflow')}/api/v2/monitor/health") is not None,
        address=ports.url("airflow"),
    )
    return [
        server,
        # A task that starts before there is an API server to report to counts as failed.
        # The log servers of both would listen on all interfaces; the API server reads the files itself.
        airflow("scheduler", "--skip-serve-logs", ready=heartbeat("scheduler"), after="api-server"),
        airflow("triggerer", "--skip-serve-logs", ready=heartbeat("triggerer")),
        airflow("dag-processor", ready=heartbeat("dag_processor")),
    ]


def _get(url: str) -> dict[str, Any] | None:
    """The JSON answer of a server, None while there is none."""
    try:
        answer = _http.get(url)
        return answer.json() if answer.is_success else None
    except (httpx.TransportError, ValueError):
        return None


def has_beaten(health: dict[str, Any] | None, job: str, started: float) -> bool:
    """Whether the job has sent a heartbeat since it `started`: Airflow calls a dead one healthy for half a minute."""
    beat = (health or {}).get(job, {}).get(f"latest_{job}_heartbeat")
    return bool(beat) and datetime.fromisoformat(beat).timestamp() >= started


def _bucket_exists(ports: Ports) -> bool:
    """Whether the bucket is there; makes it, as an administrator would in the cloud."""
    try:
        answer = _http.post(
            f"{ports.url('bucket')}/storage/v1/b", params={"project": settings.PROJECT}, json={"name": settings.BUCKET}
        )
    except httpx.TransportError:
        return False
    return answer.is_success or answer.status_code == httpx.codes.CONFLICT
