"""`airflow ingestion check` and the DAG `ingestion_check` on the running stack, as it is and with things broken.

Shares the stack with the other end-to-end tests and leaves it as it was: no object, no table, no paused DAG.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import clients
from local.stack.home import Secrets
from tests.conftest import Stack
from tests.e2e.airflow_cli import Answer, CommandLine
from tests.e2e.clients import Airflow, wait_for
from tests.e2e.jobs import Jobs
from tests.faults import answers

pytestmark = pytest.mark.usefixtures("healed")
RUN = "Databricks run, databricks_default"
TOKEN = "S3CRET-of-nobody"
Ask = Callable[..., Answer]


@pytest.fixture
def ask(stack: Stack, tmp_path: Path) -> Ask:
    """Run the command with these variables changed; it leaves nothing behind and shows no traceback."""

    def check(*options: str, **variables: str) -> Answer:
        with CommandLine(stack, tmp_path / "errors", **variables) as command_line:
            (answer,) = command_line.answers(" ".join(["ingestion check", *options]))
        assert "Traceback" not in answer.out + answer.err
        assert TOKEN not in answer.out + answer.err
        assert [blob.name for blob in clients.bucket(stack.home).list_blobs(prefix="batches/ingestion_check")] == []
        assert [name for name in clients.tables(stack.home) if name.startswith("ingestion_check")] == []
        return answer

    return check


def lines(answer: Answer, level: str) -> dict[str, str]:
    """The texts of a level by what they are about."""
    found = [line.removeprefix(level).strip() for line in answer.lines if line.startswith(f"{level} ")]
    return dict(line.split(": ", 1) for line in found)


def test_everything_works(stack: Stack, ask: Ask) -> None:
    answer = ask()
    assert (answer.code, lines(answer, "FAIL"), lines(answer, "skipped")) == (0, {}, {}), answer.out
    assert list(lines(answer, "warn")) == ["alerts"]
    found = lines(answer, "ok")
    assert {"versions", "timetable", "heartbeat", "runs per loop", "backfill command"} <= found.keys()
    assert {"scheduler", "triggerer", "dag-processor", "DAGs", "Databricks, databricks_default"} <= found.keys()
    assert {"Spark", "schema orders", "external location", "scripts", RUN} <= found.keys()
    assert found["external location"] == "gs://orders-data/batches/ can be read"
    assert answer.lines[-1] == f"{len(found)} ok, 1 warn, 0 FAIL, 0 skipped"
    (run,) = Jobs(stack).runs("ingestion", "check")[:1]
    assert run["state"]["result_state"] == "SUCCESS"


@pytest.fixture
def stored_connection(stack: Stack) -> Iterator[str]:
    """The id of a connection in Airflow's database, to a mail server that is not there."""
    client = clients.log_in(f"http://127.0.0.1:{stack.state.ports['airflow']}", Secrets.of(stack.home).password)
    address = {"connection_id": "mail_of_a_test", "conn_type": "smtp", "host": "127.0.0.1", "port": 1}
    client.post("/connections", json=address | {"password": TOKEN}).raise_for_status()
    yield address["connection_id"]
    client.delete("/connections/mail_of_a_test").raise_for_status()


def test_a_wrong_schema_and_bucket_and_settings_of_airflow(ask: Ask, stored_connection: str) -> None:
    mail = {"notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier", "to": "team@example.com"}
    answer = ask(
        INGESTION_SCHEMA="no_such_schema",
        INGESTION_BUCKET="no-such-bucket",
        INGESTION_BUKET="misspelt",
        INGESTION_ALERT_CHANNELS=json.dumps([mail | {"smtp_conn_id": stored_connection}]),
        AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL="5",
        AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE="3",
    )
    assert answer.code == 1
    failed = lines(answer, "FAIL")
    assert list(failed) == [f"alerts, {mail['notifier']}", "bucket no-such-bucket", "schema no_such_schema"]
    assert "connection mail_of_a_test cannot be used (ConnectionRefusedError" in failed[f"alerts, {mail['notifier']}"]
    assert "set INGESTION_BUCKET" in failed["bucket no-such-bucket"]
    assert "run CREATE SCHEMA no_such_schema" in failed["schema no_such_schema"]
    assert list(lines(answer, "warn")) == ["settings", "heartbeat", "runs per loop"]
    assert list(lines(answer, "skipped")) == ["external location"]


def test_a_wrong_token_a_refused_delete_and_a_paused_feed(stack: Stack, ask: Ask, activity: Airflow) -> None:
    stack.bucket.fail("DELETE", "/o/source/", answers.gcs(403, "no storage.objects.delete access"))
    databricks = json.loads(stack.env["AIRFLOW_CONN_DATABRICKS_DEFAULT"]) | {"password": TOKEN}
    proxy = f"http://127.0.0.1:{stack.bucket.port}"
    activity.pause(True)
    try:
        answer = ask(AIRFLOW_CONN_DATABRICKS_DEFAULT=json.dumps(databricks), STORAGE_EMULATOR_HOST=proxy)
    finally:
        activity.unpause()
    assert answer.code == 1
    failed = lines(answer, "FAIL")
    assert list(failed) == ["Databricks, databricks_default", "bucket orders-data, source/"]
    assert "refuses the login (403: Invalid access token): renew the token" in failed["Databricks, databricks_default"]
    assert "storage.objects.delete is refused" in failed["bucket orders-data, source/"]
    assert "`airflow dags unpause` user_activity" in lines(answer, "warn")["DAGs"]
    assert list(lines(answer, "skipped")) == ["Databricks run"]


def test_scripts_that_are_not_there_and_a_database_that_is_down(ask: Ask) -> None:
    answer = ask(
        INGESTION_JOBS="/Workspace/Shared/nowhere",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"postgresql+psycopg2://airflow:{TOKEN}@127.0.0.1:1/airflow",
    )
    assert answer.code == 1
    failed = lines(answer, "FAIL")
    assert list(failed) == ["Airflow's database", RUN]
    assert "/Workspace/Shared/nowhere/check.py" in failed[RUN]
    assert list(lines(answer, "skipped")) == ["Airflow's processes and DAGs"]


def test_the_dag_says_it_to_people_without_a_shell(stack: Stack) -> None:
    airflow = Airflow(stack.home, "ingestion_check")
    run = airflow.trigger(run=True)
    wait_for("the check has ended", lambda: airflow.states(run)["check"] in ("success", "failed"))
    said = airflow.returned(run, "check")
    levels = [line.split()[0] for line in said]
    assert (levels.count("FAIL"), levels.count("skipped"), airflow.states(run)["check"]) == (0, 1, "success"), said
    assert any(line.startswith("ok       schema orders: a Delta table") for line in said)
    assert any(line.startswith("ok       DAGs: none of a feed is paused") for line in said)
    log = airflow.log("ingestion_check", run, airflow.tasks("ingestion_check", run)["check"], lines=60)
    assert "skipped  Airflow's processes" in log
