"""The services of the system: command, variables, health check and order of each, wherever they run.

`make up` and docker-compose.yml run the same services and differ in their `Place`, and in how soon they look again
(`settings` for the one, .env for the other); tests/compose holds the file against this module.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.stack.home import Secrets

BUCKET = "orders-data"
SCHEMA = "orders"
PROJECT = "local"

Environment = dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where the services of one system are."""

    # As they reach each other: base URLs, sc://host:port, and an SQLAlchemy URL.
    airflow: str
    bucket: str
    databricks: str
    spark: str
    database: str
    # As a browser reaches them.
    airflow_page: str
    databricks_page: str
    # The interface that servers bind to.
    interface: str
    # Folders and files, as the service that uses them sees them.
    airflow_home: str
    dags: str
    plugins: str
    passwords: str
    objects: str
    lakehouse: str
    jars: str
    runs: str
    workspace: str


@dataclass(frozen=True)
class Service:
    """One service. Without `health` it is a step: it is done when it ends well."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    health: list[str] | None  # arguments of local/health.py
    after: tuple[str, ...] = ()  # ready, or done, before this one starts


def services(place: Place, secrets: Secrets) -> list[Service]:
    """All but Airflow's database, which each place makes in its own way and calls `postgres`."""
    airflow = pipeline_environment(place, secrets) | airflow_environment(place, secrets)
    return [*_bucket(place), *_compute(place, secrets), *_airflow(place, airflow)]


def _bucket(place: Place) -> list[Service]:
    address = urlsplit(place.bucket)
    options = {
        "host": place.interface,
        "port": str(address.port),
        "external-url": place.bucket,
        "filesystem-root": place.objects,
    }
    command = ["bucket-server", *(f"-{name}={value}" for name, value in options.items())]
    return [
        Service("bucket", command, {}, ["answers", f"{place.bucket}/storage/v1/b?project={PROJECT}"]),
        Service(
            "create-bucket",
            ["python", "-m", "local.stack.create_bucket", place.bucket, PROJECT, BUCKET],
            {},
            health=None,
            after=("bucket",),
        ),
    ]


def _compute(place: Place, secrets: Secrets) -> list[Service]:
    spark, databricks = urlsplit(place.spark), urlsplit(place.databricks)
    server = {
        "interface": place.interface,
        "port": str(spark.port),
        "lakehouse": place.lakehouse,
        "jars": place.jars,
        "bucket-endpoint": place.bucket,
    }
    service = {
        "interface": place.interface,
        "port": str(databricks.port),
        "host": str(databricks.hostname),
        "url": place.databricks_page,
        "home": place.runs,
        "workspace": place.workspace,
        "spark-remote": place.spark,
    }
    return [
        Service("spark", ["python", "-m", "local.spark_server", *_options(server)], {}, ["listens", spark.netloc]),
        Service(
            "create-schema",
            ["python", "-m", "local.stack.create_schema", SCHEMA],
            {"SPARK_REMOTE": place.spark},
            health=None,
            after=("spark",),
        ),
        Service(
            "databricks",
            ["python", "-m", "local.databricks", *_options(service)],
            # What it runs reaches the bucket by the second.
            {"DATABRICKS_TOKEN": secrets.databricks_token, "STORAGE_EMULATOR_HOST": place.bucket},
            ["answers", f"{place.databricks}/health"],
            after=("spark",),
        ),
    ]


def _airflow(place: Place, environment: Environment) -> list[Service]:
    health = f"{place.airflow}/api/v2/monitor/health"
    before = ("postgres", "create-bucket")
    return [
        # Open browser tabs keep connections alive: without a short timeout they hold up a stop.
        Service(
            "api-server",
            ["airflow", "api-server", "--worker-timeout=5"],
            environment,
            ["answers", health],
            before,
        ),
        # A task that starts before there is an API server to report to counts as failed.
        # The log servers of both would listen on all interfaces; the API server reads the files itself.
        Service(
            "scheduler",
            ["airflow", "scheduler", "--skip-serve-logs"],
            environment,
            ["beats", health, "scheduler"],
            after=(*before, "api-server"),
        ),
        Service(
            "triggerer",
            ["airflow", "triggerer", "--skip-serve-logs"],
            environment,
            ["beats", health, "triggerer"],
            before,
        ),
        Service("dag-processor", ["airflow", "dag-processor"], environment, ["beats", health, "dag_processor"], before),
    ]


def _options(values: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def pipeline_environment(place: Place, secrets: Secrets) -> Environment:
    """What the pipeline is told about its surroundings: connections and INGESTION_* variables."""
    google = {"conn_type": "google_cloud_platform", "extra": {"project": PROJECT, "is_anonymous": True}}
    address = urlsplit(place.databricks)
    databricks = {
        "conn_type": "databricks",
        "host": address.hostname,
        "schema": address.scheme,
        "port": address.port,
        "password": secrets.databricks_token,
    }
    return {
        "INGESTION_BUCKET": BUCKET,
        "INGESTION_SCHEMA": SCHEMA,
        "INGESTION_COMPUTE": "serverless",
        "INGESTION_JOBS": "/Workspace/Shared/ingestion/spark_jobs",
        # With the scheme: the async client takes it as it is. Read by every Google client, at import.
        "STORAGE_EMULATOR_HOST": place.bucket,
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
        "AIRFLOW_CONN_DATABRICKS_DEFAULT": json.dumps(databricks),
    }


def airflow_environment(place: Place, secrets: Secrets) -> Environment:
    """Airflow's own settings: where everything is, and what the pipeline needs of it."""
    settings = {
        "CORE__DAGS_FOLDER": place.dags,
        "CORE__PLUGINS_FOLDER": place.plugins,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "8",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__FERNET_KEY": secrets.fernet_key,
        "CORE__EXECUTION_API_SERVER_URL": f"{place.airflow}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": place.passwords,
        "DATABASE__SQL_ALCHEMY_CONN": place.database,
        "API__HOST": place.interface,
        "API__PORT": str(urlsplit(place.airflow).port),
        "API__BASE_URL": place.airflow_page,
        "API__WORKERS": "1",
        "API__SECRET_KEY": secrets.api_secret,
        "API_AUTH__JWT_SECRET": secrets.jwt_secret,
        # A worker may notice only after this long that its task's process is gone (5 s is the default). A task that
        # deferred and was resumed by its trigger before that counts as failed (apache/airflow#71580).
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # The scheduler's pause when it has nothing to do (1 s is the default): part of each gap between two tasks.
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # Runs looked at in a round (20 is the default), those of backfills last (apache/airflow#58554): each feed has a
        # run that waits, and with so many no day of a backfill would ever be scheduled.
        "SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "500",
        "LOGGING__BASE_LOG_FOLDER": f"{place.airflow_home}/logs",
        "LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    return {"AIRFLOW_HOME": place.airflow_home} | {f"AIRFLOW__{name}": value for name, value in settings.items()}
