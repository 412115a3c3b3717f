"""What is said of Airflow's processes and DAGs, by the tables as Airflow has them, in a database of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.jobs.job import Job
from airflow.models import DagModel
from airflow.models.errors import ParseImportError
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from ingestion.checks import airflow_database
from ingestion.checks.airflow_database import check_airflow_database
from tests.ingestion.checks.conftest import lines

FEEDS = ["order_tracking", "user_activity"]
PROCESSES = {"SchedulerJob": "scheduler", "TriggererJob": "triggerer", "DagProcessorJob": "dag-processor"}


def session_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Session:
    @contextmanager
    def create_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    monkeypatch.setattr(airflow_database, "create_session", create_session)
    return Session(engine)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Where everything is alive and every DAG is read."""
    engine = create_engine("sqlite://")
    Job.metadata.create_all(engine, [Job.__table__, DagModel.__table__, ParseImportError.__table__])
    with session_on(engine, monkeypatch) as session:
        for kind in PROCESSES:
            session.add(job(kind))
        session.add_all(dag(name) for name in FEEDS)
        session.commit()
        yield session


def job(kind: str, age: timedelta = timedelta()) -> Job:
    found = Job(heartrate=5, state="running")
    found.job_type = kind
    found.latest_heartbeat = datetime.now(UTC) - age
    return found


def dag(name: str, **changes: object) -> DagModel:
    return DagModel(dag_id=name, bundle_name="dags", **{"is_paused": False, "is_stale": False} | changes)


def found(*levels: str) -> dict[str, str]:
    return lines(check_airflow_database(FEEDS), *levels)


def test_all_is_right(session: Session) -> None:
    assert list(found("ok")) == ["scheduler", "triggerer", "dag-processor", "DAGs"]
    assert found("warn", "FAIL", "skipped") == {}


@pytest.mark.parametrize(("kind", "name"), PROCESSES.items())
@pytest.mark.parametrize("ever", [True, False], ids=["no heartbeat", "never"])
def test_a_process_that_is_dead(session: Session, kind: str, name: str, ever: bool) -> None:
    session.query(Job).filter_by(job_type=kind).delete()
    if ever:
        session.add(job(kind, timedelta(minutes=10)))
    session.commit()
    ((dead, text),) = found("FAIL").items()
    assert dead == name
    assert f"`airflow {name}`" in text


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"is_paused": True}, "warn", "`airflow dags unpause` user_activity"),
        ({"is_stale": True}, "FAIL", "Airflow has not read user_activity"),
        (None, "FAIL", "Airflow has not read user_activity"),
    ],
    ids=["paused", "stale", "unknown"],
)
def test_a_dag_that_is_not_as_it_must_be(
    session: Session, changes: dict[str, object] | None, level: str, words: str
) -> None:
    session.query(DagModel).filter_by(dag_id="user_activity").delete()
    if changes is not None:
        session.add(dag("user_activity", **changes))
    session.commit()
    assert words in found(level)["DAGs"]


def test_an_import_error_is_told_by_its_last_line(session: Session) -> None:
    trace = 'Traceback (most recent call last):\n  File "x"\nFeedError: returns.yaml: columns: Field required\n'
    session.add(ParseImportError(filename="feeds_check.py", bundle_name="dags", stacktrace=trace))
    session.commit()
    assert found("warn") == {"import errors": "feeds_check.py: FeedError: returns.yaml: columns: Field required"}


def test_a_database_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    session_on(create_engine("postgresql+psycopg2://etl:S3CRET-of-airflow@127.0.0.1:1/airflow"), monkeypatch)
    assert "sql_alchemy_conn" in found("FAIL")["Airflow's database"]
    assert list(found("skipped")) == ["Airflow's processes and DAGs"]
    assert "S3CRET" not in str(found())
