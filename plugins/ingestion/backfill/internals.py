"""Airflow's own part of a backfill: the only module here that leans on its internals, as they are in 3.3.

A test names each of them, so that an upgrade says which it has moved. Each function opens a session of its own and
closes it before it returns: nobody waits while holding one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from airflow.api_fastapi.common.dagbag import resolve_run_on_latest_version
from airflow.exceptions import AirflowConfigException, AirflowException
from airflow.jobs.job import most_recent_job
from airflow.models import DagModel, DagRun, TaskInstance
from airflow.models.backfill import Backfill, BackfillDagRun, ReprocessBehavior, _create_backfill, _do_dry_run
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.platform import getuser
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import exists, select, tuple_, update

from ingestion.backfill.days import XCOMS, Day, PlannedDay, loaded, name_of
from ingestion.backfill.options import Options, RefusedError


@dataclass(frozen=True)
class Dag:
    """What must be known of a DAG."""

    zone: tzinfo
    paused: bool


@dataclass(frozen=True)
class Progress:
    """How far a backfill is, and what could keep it from going on. `asked` is what `asked_for` gives of its options."""

    id: int
    asked: tuple[object, ...]
    days: list[Day]
    paused: bool
    dag_paused: bool
    scheduler_alive: bool


def airflow_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function as a command of Airflow: in its log of actions, without its own log lines, with all providers."""
    return action_cli(suppress_logs_and_warning(providers_configuration_loaded(function)))


def dag_of(dag_id: str) -> Dag:
    """Raises RefusedError for a DAG that Airflow does not know or cannot read."""
    with create_session() as session:
        model = session.get(DagModel, dag_id)
        found = session.scalar(SerializedDagModel.latest_item_select_object(dag_id))
        if model is None or found is None or model.is_stale or model.has_import_errors:
            raise RefusedError(
                f"Airflow has no DAG {dag_id} that it can read: see `airflow dags list` and "
                "`airflow dags list-import-errors`"
            )
        return Dag(found.dag.timezone, model.is_paused)


def scheduler_alive() -> bool:
    """Whether a scheduler has sent a heartbeat lately."""
    with create_session() as session:
        job = most_recent_job("SchedulerJob", session=session)
        return job is not None and job.is_alive()


def planned_days(options: Options, zone: tzinfo) -> list[PlannedDay]:
    """Every day of the range, in the order of the backfill, with what Airflow would do. Raises RefusedError."""
    first, last = options.bounds(zone)
    with create_session() as session:
        try:
            attempted = _do_dry_run(
                dag_id=options.dag_id,
                from_date=first,
                to_date=last,
                reverse=options.run_backwards,
                reprocess_behavior=ReprocessBehavior(options.reprocess),
                session=session,
                dag_run_conf=options.conf,
            )
            runs_for = {info.logical_date for info in attempted}
        except AirflowException as error:
            raise RefusedError(_one_line(error)) from error
        dag = session.scalar(SerializedDagModel.latest_item_select_object(options.dag_id)).dag
        infos = [info for info in dag.iter_dagrun_infos_between(first, last) if info.data_interval]
        in_range = (DagRun.dag_id == options.dag_id, DagRun.logical_date.between(first, last))
        states = dict(session.execute(select(DagRun.logical_date, DagRun.state).where(*in_range)).tuples().all())
    days = [
        PlannedDay(
            name_of(info.logical_date, zone),
            is_over=info.data_interval.end < datetime.now(UTC),
            state=states.get(info.logical_date),
            attempted=info.logical_date in runs_for,
        )
        for info in infos
    ]
    return days[::-1] if options.run_backwards else days


def create(options: Options, zone: tzinfo) -> int:
    """Create the backfill and its runs; returns its id. Raises RefusedError."""
    first, last = options.bounds(zone)
    with create_session() as session:
        latest = resolve_run_on_latest_version(None, options.dag_id, session, fallback=True)
    try:
        user = getuser()
    except AirflowConfigException:  # a container's user may have no name
        user = None
    try:
        return _create_backfill(
            dag_id=options.dag_id,
            from_date=first,
            to_date=last,
            max_active_runs=options.max_active_runs,
            reverse=options.run_backwards,
            dag_run_conf=options.conf,
            triggering_user_name=user,
            reprocess_behavior=ReprocessBehavior(options.reprocess),
            run_on_latest_version=latest,
        ).id
    except (AirflowException, ValueError) as error:
        raise RefusedError(_one_line(error)) from error


def asked_for(options: Options, zone: tzinfo) -> tuple[object, ...]:
    """What makes a backfill the one that these options ask for. The order of its days does not."""
    return (*options.bounds(zone), options.reprocess, options.conf or None, options.max_active_runs)


def active_backfill(dag_id: str, zone: tzinfo) -> Progress | None:
    """The backfill of this DAG that is not over. One whose days have all ended is closed here: Airflow's scheduler
    would do so only within half a minute, and until then refuses another."""
    close_finished(dag_id)
    with create_session() as session:
        found = session.scalar(select(Backfill.id).where(Backfill.dag_id == dag_id, Backfill.completed_at.is_(None)))
    return progress(found, zone) if found else None


def progress(backfill_id: int, zone: tzinfo) -> Progress:
    """The state of a backfill now."""
    alive = scheduler_alive()
    with create_session() as session:
        found = session.get_one(Backfill, backfill_id)
        model = session.get(DagModel, found.dag_id)
        reprocess = ReprocessBehavior(found.reprocess_behavior).value
        rows = session.execute(
            select(BackfillDagRun.logical_date, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)
            .join(DagRun, DagRun.id == BackfillDagRun.dag_run_id, isouter=True)
            .where(BackfillDagRun.backfill_id == backfill_id, BackfillDagRun.exception_reason.is_(None))
            .order_by(BackfillDagRun.sort_ordinal)
        )
        return Progress(
            id=found.id,
            asked=(found.from_date, found.to_date, reprocess, found.dag_run_conf or None, found.max_active_runs),
            days=[Day(name_of(date, zone), run, state and str(state), *times) for date, run, state, *times in rows],
            paused=bool(found.is_paused),
            dag_paused=model is None or model.is_stale or model.is_paused,
            scheduler_alive=alive,
        )


def close_finished(dag_id: str) -> None:
    """Mark backfills as completed whose days have all ended, by the scheduler's own rule."""
    has_days = exists().where(BackfillDagRun.backfill_id == Backfill.id)  # one without is being set up at this moment
    unfinished = exists().where(
        DagRun.backfill_id == Backfill.id, DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING))
    )
    _update(
        update(Backfill)
        .where(Backfill.dag_id == dag_id, Backfill.completed_at.is_(None), has_days, ~unfinished)
        .values(completed_at=datetime.now(UTC))
    )


def set_paused(backfill_id: int, paused: bool) -> None:
    """Let no new day start, or let them start again. A running one goes on either way."""
    _update(
        update(Backfill).where(Backfill.id == backfill_id, Backfill.completed_at.is_(None)).values(is_paused=paused)
    )


def cancel(backfill_id: int) -> None:
    """Give up what is queued, as Airflow's API does: pause, mark the queued runs as failed, mark as completed."""
    set_paused(backfill_id, True)
    runs = select(BackfillDagRun.dag_run_id).where(BackfillDagRun.backfill_id == backfill_id)
    _update(
        update(DagRun)
        .where(DagRun.id.in_(runs), DagRun.backfill_id == backfill_id, DagRun.state == DagRunState.QUEUED)
        .values(state=DagRunState.FAILED)
    )
    # No longer paused, unlike after Airflow's own cancel: a run of it that is cleared later would queue for ever.
    _update(update(Backfill).where(Backfill.id == backfill_id).values(completed_at=datetime.now(UTC), is_paused=False))


def outcome(dag_id: str, run_id: str, *, failed: bool) -> str:
    """The task that failed first and the address of its log, or what a run of this package's pipeline has loaded."""
    with create_session() as session:
        of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        tasks = session.scalars(select(TaskInstance).where(*of_run).order_by(TaskInstance.end_date)).all()
        for task in tasks:
            if task.state == TaskInstanceState.FAILED:
                return f"task {task.task_id} failed, its log: {task.log_url}"
        if failed:
            return "no task failed: it ran too long or was set so; see its page in the UI"
        rows = session.execute(
            select(XComModel.task_id, XComModel.key, XComModel.value).where(
                XComModel.dag_id == dag_id,
                XComModel.run_id == run_id,
                tuple_(XComModel.task_id, XComModel.key).in_(XCOMS),
            )
        )
        values = {(row.task_id, row.key): XComModel.deserialize_value(row) for row in rows}
        return loaded({task.task_id: task.state for task in tasks}, values)


def _update(statement: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own type names the table
    with create_session() as session:
        session.execute(statement.execution_options(synchronize_session=False))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
