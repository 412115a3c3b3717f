"""docker-compose.yml: valid, as `make up` where it says so, and closed where an operator expects it."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ingestion.pipeline.settings import PREFIX, Settings
from local.stack.home import Secrets
from local.stack.services import Place, services
from local.stack.settings import Ports
from tests.compose.conftest import ComposeError, Model, values

REPO = Path(__file__).resolve().parents[2]
AIRFLOW = {"api-server", "scheduler", "triggerer", "dag-processor"}
STAND_INS = {"bucket", "create-bucket", "spark", "create-schema", "databricks"}
# What .env.example sets besides: how often the pipeline looks.
PACE = {
    "INGESTION_POLL_SECONDS": "1",
    "INGESTION_RUN_WAIT_SECONDS": "30",
    "INGESTION_RUN_POLL_SECONDS": "1",
    "INGESTION_RETRY_SECONDS": "5",
}


@pytest.fixture
def project(model: Model, variables: str) -> dict[str, Any]:
    return model(variables)


def real_variables(variables: str) -> str:
    """.env for the real bucket and workspace, by the instructions in .env.example."""
    own, _, rest = variables.partition("# --- Either")
    _, _, real = rest.partition("# --- Or")
    return own + "\n".join(re.findall(r"^# (\w+=.*)$", real, re.MULTILINE))


def test_the_real_bucket_and_workspace_need_no_stand_in(model: Model, variables: str) -> None:
    project = model(real_variables(variables))
    assert set(project["services"]) == AIRFLOW | {"postgres", "init"}
    environment = project["services"]["scheduler"]["environment"]
    assert environment["STORAGE_EMULATOR_HOST"] is None
    assert environment["INGESTION_GIT_REF"] == "tag:<release>"
    for connection in ("DATABRICKS", "SMTP"):
        assert json.loads(environment[f"AIRFLOW_CONN_{connection}_DEFAULT"])["conn_type"] == connection.lower()


def test_local_work_has_every_service(project: Mapping[str, Any]) -> None:
    assert set(project["services"]) == AIRFLOW | {"postgres", "init"} | STAND_INS


@pytest.mark.parametrize("secret", ["POSTGRES_PASSWORD", "FERNET_KEY", "API_SECRET", "JWT_SECRET", "AIRFLOW_PASSWORD"])
def test_no_secret_has_a_default(model: Model, variables: str, secret: str) -> None:
    without = re.sub(rf"^{secret}=.*$", f"{secret}=", variables, flags=re.MULTILINE)
    with pytest.raises(ComposeError, match=f"{secret} is missing a value: run make env"):
        model(without)
    uses = re.findall(rf"\$\{{{secret}([^}}]*)", (REPO / "docker-compose.yml").read_text())
    assert uses
    assert set(uses) == {":?run make env"}


def test_a_key_that_the_specification_does_not_know_is_refused(model: Model, variables: str) -> None:
    text = (REPO / "docker-compose.yml").read_text()
    assert text.count("internal:") == 1
    with pytest.raises(ComposeError, match="intern"):
        model(variables, text.replace("internal:", "intern:"))


def place(variables: str) -> Place:
    """Where compose has what `make up` has elsewhere."""
    secret = values(variables)
    return Place(
        airflow="http://api-server:8080",
        bucket="http://bucket:4443",
        databricks="http://databricks:8765",
        spark="sc://spark:15002",
        database=f"postgresql+psycopg2://airflow:{secret['POSTGRES_PASSWORD']}@postgres/airflow",
        airflow_page="http://127.0.0.1:8080",
        databricks_page="http://127.0.0.1:8765",
        interface="0.0.0.0",  # noqa: S104 - within its container
        airflow_home="/opt/airflow",
        dags="/opt/airflow/dags",
        plugins="/opt/airflow/plugins",
        passwords="/opt/airflow/login/passwords.json",
        objects="/data/objects",
        lakehouse="/data/lakehouse",
        jars="/opt/ingestion/jars",
        runs="/data/runs",
        workspace="/data/workspace",
    )


def test_commands_variables_checks_and_order_are_those_of_make_up(project: Mapping[str, Any], variables: str) -> None:
    secret = values(variables)
    secrets = Secrets(
        password=secret["AIRFLOW_PASSWORD"],
        databricks_token=secret["DATABRICKS_TOKEN"],
        fernet_key=secret["FERNET_KEY"],
        jwt_secret=secret["JWT_SECRET"],
        api_secret=secret["API_SECRET"],
    )
    expected = services(place(variables), secrets)
    assert {service.name for service in expected} == AIRFLOW | STAND_INS
    for service in expected:
        found = project["services"][service.name]
        assert found["command"] == service.command, service.name
        environment = {name: value for name, value in found.get("environment", {}).items() if value is not None}
        assert environment == {**service.environment, **(PACE if service.name in AIRFLOW else {})}, service.name
        check = found.get("healthcheck", {}).get("test")
        wanted = ["CMD", "python", "/opt/ingestion/local/health.py", *service.health] if service.health else None
        assert check == wanted, service.name
        # Airflow's database is ready here when `init` is done, which waits for it.
        after = {"init" if name == "postgres" else name for name in service.after}
        assert after <= set(found.get("depends_on", {})), service.name


def test_steps_are_waited_for_to_their_end_and_servers_until_they_are_healthy(project: Mapping[str, Any]) -> None:
    for name, service in project["services"].items():
        for needed, how in service.get("depends_on", {}).items():
            is_step = "healthcheck" not in project["services"][needed]
            assert how["condition"] == ("service_completed_successfully" if is_step else "service_healthy"), name
            # A stand-in that is not there must not keep Airflow from starting.
            assert how["required"] == (name in STAND_INS or needed not in STAND_INS), name


def test_every_step_is_waited_for_by_somebody(project: Mapping[str, Any]) -> None:
    # `docker compose up --wait` takes the end of any other for a failure.
    steps = {name for name, service in project["services"].items() if "healthcheck" not in service}
    waited_for = {needed for service in project["services"].values() for needed in service.get("depends_on", {})}
    assert steps == {"init", "create-bucket", "create-schema"}
    assert steps <= waited_for


def test_ports_are_those_of_make_up_and_on_loopback(project: Mapping[str, Any]) -> None:
    published = {
        name: [(port["host_ip"], int(port["published"]), port["target"]) for port in service["ports"]]
        for name, service in project["services"].items()
        if "ports" in service
    }
    ports = Ports()
    assert published == {
        "api-server": [("127.0.0.1", ports.airflow, 8080)],
        "bucket": [("127.0.0.1", ports.bucket, 4443)],
        "databricks": [("127.0.0.1", ports.databricks, 8765)],
        "spark": [("127.0.0.1", ports.spark, 15002)],
    }


def test_a_port_can_be_chosen(model: Model, variables: str) -> None:
    project = model(variables.replace("AIRFLOW_PORT=8080", "AIRFLOW_PORT=8081"))
    server = project["services"]["api-server"]
    assert [(port["published"], port["target"]) for port in server["ports"]] == [("8081", 8080)]
    assert server["environment"]["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"


def test_every_setting_of_the_pipeline_reaches_airflow(project: Mapping[str, Any]) -> None:
    fields = {PREFIX + (field.alias or name).upper() for name, field in Settings.model_fields.items()}
    environment = project["services"]["scheduler"]["environment"]
    assert {name for name in environment if name.startswith(PREFIX)} == fields


def test_no_service_can_do_more_than_it_must(project: Mapping[str, Any]) -> None:
    for name, service in project["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] not in ("", "0", "root", "0:0"), name
        assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"}, name
        binds = [volume for volume in service.get("volumes", []) if volume["type"] == "bind"]
        assert all(volume["read_only"] for volume in binds), name


def test_what_runs_the_code_of_jobs_does_not_reach_the_database(project: Mapping[str, Any]) -> None:
    networks = {name: set(service["networks"]) for name, service in project["services"].items()}
    assert networks == {
        "postgres": {"database"},
        **{name: {"default", "database"} for name in AIRFLOW | {"init"}},
        **{name: {"default"} for name in STAND_INS},
    }


def test_what_must_outlive_a_container_is_in_a_volume(project: Mapping[str, Any]) -> None:
    dags, logs = "/opt/airflow/dags", "/opt/airflow/logs"
    login = "/opt/airflow/login"
    found = {
        name: {volume["target"]: volume["source"].removeprefix(f"{REPO}/") for volume in service.get("volumes", [])}
        for name, service in project["services"].items()
    }
    assert {name: volumes for name, volumes in found.items() if volumes} == {
        "postgres": {"/var/lib/postgresql/data": "postgres-data"},
        "init": {login: "airflow-login"},
        **{name: {dags: "dags", logs: "airflow-logs"} for name in AIRFLOW - {"api-server"}},
        "api-server": {dags: "dags", logs: "airflow-logs", login: "airflow-login"},
        "bucket": {"/data/objects": "objects"},
        "spark": {"/data/lakehouse": "lakehouse"},
        "databricks": {"/data/runs": "runs", "/data/workspace/Shared/ingestion/spark_jobs": "spark_jobs"},
    }


def test_the_images_have_the_folders_of_their_volumes(project: Mapping[str, Any]) -> None:
    # Else Docker makes them, and they are root's.
    dockerfile = (REPO / "Dockerfile").read_text()
    made = set(re.findall(r"/\S+", " ".join(re.findall(r"(?:mkdir|install) --(?:.*\\\n)*.*", dockerfile))))
    ours = [service for service in project["services"].values() if service["image"].startswith("ingestion-")]
    named = {
        volume["target"] for service in ours for volume in service.get("volumes", []) if volume["type"] == "volume"
    }
    assert len(named) == 5
    assert named <= made


def test_servers_have_the_time_to_end_what_they_do(project: Mapping[str, Any]) -> None:
    graces = {name: service.get("stop_grace_period") for name, service in project["services"].items()}
    assert {name: grace for name, grace in graces.items() if grace} == {
        "postgres": "1m0s",
        "scheduler": "2m0s",
        "triggerer": "30s",
    }


def test_services_come_back_after_a_crash_and_their_output_stays_small(project: Mapping[str, Any]) -> None:
    for name, service in project["services"].items():
        is_step = "healthcheck" not in service
        assert service["restart"] == ("on-failure:3" if is_step else "unless-stopped"), name
        assert service["init"] is True, name
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}, name


def test_images_are_pinned(project: Mapping[str, Any]) -> None:
    images = {service["image"] for service in project["services"].values()}
    dockerfile = (REPO / "Dockerfile").read_text()
    stages = set(re.findall(r" AS ([\w-]+)$", dockerfile, re.MULTILINE))
    images |= set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) - stages
    images |= set(re.findall(r"--from=(\S+/\S+)", dockerfile))
    assert len(images) == 5
    assert all(re.search(r":\d+\.\d+", image) for image in images), images


def test_each_image_is_built_by_one_service_and_pulled_by_none(project: Mapping[str, Any]) -> None:
    # Several builds of one image run side by side, and the later ones fail: its name is taken.
    ours = {name: service for name, service in project["services"].items() if service["image"].startswith("ingestion-")}
    builders = {name: service["build"]["target"] for name, service in ours.items() if "build" in service}
    assert builders == {"init": "airflow", "bucket": "stand-ins"}
    policies = {name: service["pull_policy"] for name, service in ours.items()}
    assert policies == {name: "build" if name in builders else "never" for name in ours}


def test_images_have_the_versions_that_are_locked_and_built(project: Mapping[str, Any]) -> None:
    dockerfile = (REPO / "Dockerfile").read_text()
    requirements = (REPO / "requirements.txt").read_text()
    airflow = re.search(r"^apache-airflow==(\S+)$", requirements, re.MULTILINE)
    assert airflow is not None
    assert f"FROM apache/airflow:{airflow[1]}-python3.11 AS" in dockerfile
    go = re.search(r"^go (\d+\.\d+)", (REPO / "local" / "bucket_server" / "go.mod").read_text(), re.MULTILINE)
    assert go is not None
    assert f"FROM golang:{go[1]}-" in dockerfile
    package = re.search(r'^version = "(\S+)"$', (REPO / "pyproject.toml").read_text(), re.MULTILINE)
    assert package is not None
    images = {service["image"] for service in project["services"].values()}
    assert {image.partition(":")[2] for image in images if image.startswith("ingestion-")} == {package[1]}


def test_everything_the_images_copy_is_there_and_sent_to_the_builder() -> None:
    copied = re.findall(r"^COPY (?:--chown=\S+ )?([^-\s]\S*) ", (REPO / "Dockerfile").read_text(), re.MULTILINE)
    sent = [line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert len(copied) == 7
    for path in copied:
        assert (REPO / path).exists(), path
        assert path.split("/")[0] in sent, path


def test_make_env_fills_every_secret_and_no_two_alike(variables: str) -> None:
    names = ["AIRFLOW_PASSWORD", "POSTGRES_PASSWORD", "FERNET_KEY", "API_SECRET", "JWT_SECRET", "DATABRICKS_TOKEN"]
    secrets = [values(variables)[name] for name in names]
    assert all(len(secret) >= 32 for secret in secrets)
    assert len(set(secrets)) == len(secrets)
    example = values((REPO / ".env.example").read_text())
    assert {name for name, value in example.items() if not value} == set(names)


def test_the_package_that_the_image_installs_is_whole(tmp_path: Path) -> None:
    line = re.search(
        r"^RUN (python -m hatchling build .*) --directory ", (REPO / "Dockerfile").read_text(), re.MULTILINE
    )
    assert line is not None
    _, *build = line[1].split()
    subprocess.run([sys.executable, *build, "--directory", tmp_path], cwd=REPO, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = (REPO / "plugins" / "ingestion").rglob("*.py")
    assert found == {str(path.relative_to(REPO / "plugins")) for path in sources}
