"""The processes of the native stack: its services as `services` has them, run below one folder on loopback."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local.health import is_ready
from local.stack import database, settings
from local.stack.home import REPO, Home, Secrets, write_private
from local.stack.services import Place, Service, airflow_environment, pipeline_environment, services
from local.stack.settings import Ports

# `ready(started)` is asked again and again until it is true; `started` is when the process began (epoch seconds).
Ready = Callable[[float], bool]
# What Airflow's tasks talk to is stopped after Airflow.
AIRFLOW_USES = ("bucket", "databricks")


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
    place = settings.place_of(home, ports, dags, settings.database_url(database.socket_folder(home.postgres)))
    seen = settings.behind_proxies(place, os.environ)
    tuning = settings.AIRFLOW_TUNING | pipeline_environment(seen, secrets) | settings.chosen_environment()
    clients = pipeline_environment(place, secrets) | airflow_environment(place, secrets)
    clients |= tuning | settings.client_environment(place, secrets)
    write_private(home.env_file, settings.shell_lines(clients))
    write_private(Path(place.passwords), json.dumps({"admin": secrets.password}))
    _link_workspace(home)
    base = settings.base_environment()
    return [
        *_database_components(home, base),
        *(_component(service, home, place, base, tuning) for service in services(place, secrets)),
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


def _component(
    service: Service, home: Home, place: Place, base: Mapping[str, str], tuning: Mapping[str, str]
) -> Component:
    is_airflow = service.command[0] == "airflow"
    particular = dict(tuning) if is_airflow else {}
    if service.name == "spark":
        particular["SPARK_LOCAL_DIRS"] = str(home.root / "spark")
    addresses = {"bucket": place.bucket, "spark": place.spark, "databricks": place.databricks}
    return Component(
        service.name,
        service.command,
        {**base, **service.environment, **particular},
        ready=partial(is_ready, service.health) if service.health else None,
        after=service.after,
        uses=AIRFLOW_USES if is_airflow else (),
        address=(addresses | {"api-server": place.airflow}).get(service.name, ""),
        cwd=home.root if is_airflow else REPO,  # `python -m local...` is found from there
    )
