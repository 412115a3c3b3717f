"""What Airflow's database says of its processes and of our DAGs: for a command alone, as a task may not read it.

It leans on Airflow's internals as they are in 3.3.
"""

from collections.abc import Iterable

from airflow.jobs.job import most_recent_job
from airflow.models import DagModel
from airflow.models.errors import ParseImportError
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ingestion.pipeline.findings import Check, described, fail, ok, skipped, warn

# By the type of their job, what stands still without one, and how it is started.
_PROCESSES = {
    "SchedulerJob": ("scheduler", "nothing is run"),
    "TriggererJob": ("triggerer", "no task waits for files or for Databricks"),
    "DagProcessorJob": ("dag-processor", "no DAG is read"),
}


def check_airflow_database(dag_ids: Iterable[str]) -> Check[None]:
    """Whether Airflow's processes are alive and these DAGs as they must be."""
    try:
        alive = {kind: _is_alive(kind) for kind in _PROCESSES}
    except (SQLAlchemyError, OSError) as error:
        yield fail("Airflow's database", f"it cannot be asked: see [database] sql_alchemy_conn ({_first_line(error)})")
        yield skipped("Airflow's processes and DAGs", "its database cannot be asked")
        return
    for kind, (name, loss) in _PROCESSES.items():
        if alive[kind]:
            yield ok(name, "alive")
        else:
            yield fail(name, f"no heartbeat, so {loss}: start one (`airflow {name}`)")
    yield from _dags(list(dag_ids))
    yield from _import_errors()


def _is_alive(kind: str) -> bool:
    with create_session() as session:
        job = most_recent_job(kind, session=session)
        return job is not None and job.is_alive()


def _dags(dag_ids: list[str]) -> Check[None]:
    with create_session() as session:
        found = {dag.dag_id: dag for dag in session.scalars(select(DagModel).where(DagModel.dag_id.in_(dag_ids)))}
        paused = [name for name, dag in found.items() if dag.is_paused]
        unread = [name for name in dag_ids if name not in found or found[name].is_stale]
    if unread:
        yield fail(
            "DAGs",
            f"Airflow has not read {', '.join(unread)}: put dags/ into its DAGs folder, see `airflow dags "
            "list-import-errors`, and wait for its DAG processor",
        )
    if paused:
        yield warn("DAGs", f"paused, so nothing of them runs: `airflow dags unpause` {', '.join(sorted(paused))}")
    if not unread and not paused:
        yield ok("DAGs", f"{len(found)} read, none paused")


def _import_errors() -> Check[None]:
    with create_session() as session:
        found = session.execute(select(ParseImportError.filename, ParseImportError.stacktrace)).all()
    for file, trace in found:
        last = (trace or "").strip().splitlines()[-1:] or ["no reason given"]
        yield warn("import errors", f"{file}: {last[0]}")


def _first_line(error: Exception) -> str:
    return described(error).splitlines()[0]
