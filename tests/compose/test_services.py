"""Each service of docker-compose.yml, run without Docker: one load, on a PostgreSQL server, from upload to archive."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import demo
from tests import tables
from tests.compose.conftest import Model, values
from tests.compose.containers import Containers, room_for, what_is_missing

pytestmark = [pytest.mark.soak, pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())]


@pytest.fixture
def variables(variables: str) -> str:
    """.env for local work, but a waiting run ends soon, and jobs are deferred, as they are on a real workspace."""
    without_wait = variables.replace("INGESTION_RUN_WAIT_SECONDS=30", "INGESTION_RUN_WAIT_SECONDS=0")
    assert without_wait != variables
    return f"{without_wait}\nINGESTION_MAX_WAIT_SECONDS=10\n"


@pytest.fixture
def containers(model: Model, variables: str, tmp_path: Path) -> Iterator[Containers]:
    with room_for(model(variables), tmp_path) as containers:
        yield containers


def test_files_are_loaded_by_the_services_as_they_stand_in_the_file(containers: Containers, variables: str) -> None:
    containers.up()
    seen = json.loads(
        containers.run(
            ["python", "-m", "tests.compose.visitor"],
            {
                "STORAGE_EMULATOR_HOST": "http://bucket:4443",
                "AIRFLOW_PASSWORD": values(variables)["AIRFLOW_PASSWORD"],
            },
        )
    )
    assert {state for tasks in seen["runs"] for state in tasks.values()} <= {"success", "skipped"}
    assert "success" in {tasks["merge"] for tasks in seen["runs"]}
    for task in ("stage", "merge"):
        assert list(containers.volume("airflow-logs").rglob(f"task_id={task}/*.trigger.*")), "deferred"
    kinds = [name.split("/")[0] for name in seen["objects"] if name.endswith(".csv")]
    assert sorted(kinds) == ["archive", "archive", "rejected"]
    lakehouse = containers.volume("lakehouse") / "orders.db"
    target = tables.rows(lakehouse / "order_tracking", order_by="tracking_num")
    demo.compare("target", demo.expected(demo.DAG), target)
    quarantine = tables.rows(lakehouse / "order_tracking_quarantine", order_by="_source_file, _record")
    demo.compare("quarantine", demo.expected(f"{demo.DAG}_quarantine"), quarantine)
    # Airflow's own tables are in the PostgreSQL server, not in some SQLite file of its home.
    count = containers.run(
        ["psql", "-h", "postgres", "-U", "airflow", "-Atc", "SELECT count(*) > 0 FROM task_instance", "airflow"],
        {"PGPASSWORD": values(variables)["POSTGRES_PASSWORD"]},
    )
    assert count.strip() == "t"
    assert containers.ill() == []
