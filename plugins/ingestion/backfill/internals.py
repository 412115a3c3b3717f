"""Airflow's own part of a backfill: the only module here that leans on its internals, as they are in 3.3.

A test names each of them, so that an upgrade says which it has moved. Each function opens a session of its own and
closes it before it returns: nobody waits while holding one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from getpass import getuser
from typing import Any

from airflow.api_fastapi.common.dagbag import resolve_run_on_latest_version
from airflow.exceptions import AirflowException
from airflow.jobs.job import most_recent_job
from airflow.models import DagModel, DagRun, TaskInstance
from airflow.models.backfill import Backfill, BackfillDagRun, ReprocessBehavior, _create_backfill, _do_dry_run
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session
from sqlalchemy import select, tuple_, update

from ingestion.backfill.days import XCOMS, Day, PlannedDay, loaded, name_of
from ingestion.backfill.options import Options, RefusedError


@dataclass(frozen=True)
class Progress:
    """How far a backfill is. `asked` is what `Options.asked` gives of its options."""

    id: int
    asked: tuple[Any, ...]
    days: list[Day]
    paused: bool

    @property
    def is_over(self) -> bool:
        """Whether all its days have ended. One without days is being set up at this moment."""
        return bool(self.days) and all(day.is_over for day in self.days)


def airflow_command(function: Callable[..., None]) -> Callable[..., None]:
    """The function as a command of Airflow: in its log of actions, without its own log lines, with all providers."""
    return action_cli(suppress_logs_and_warning(providers_configuration_loaded(function)))


def zone_of(dag_id: str) -> tzinfo:
    """The time zone of a DAG. Raises RefusedError for one that Airflow does not know or cannot read."""
    with create_session() as session:
        model, dag = session.get(DagModel, dag_id), SerializedDagModel.get_dag(dag_id, session=session)
        if model is None or dag is None or model.is_stale or model.has_import_errors:
            raise RefusedError(f"Airflow has no DAG {dag_id} that it can read: see `airflow dags list-import-errors`")
        return dag.timezone


def dag_waits(dag_id: str) -> bool:
    """Whether no run of the DAG can go on, since it is paused or gone."""
    with create_session() as session:
        model = session.get(DagModel, dag_id)
        return model is None or model.is_stale or model.is_paused


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
            to_run = _do_dry_run(
                dag_id=options.dag_id,
                from_date=first,
                to_date=last,
                reverse=options.run_backwards,
                reprocess_behavior=ReprocessBehavior(options.reprocess),
                session=session,
                dag_run_conf=options.conf,
            )
            attempted = {info.logical_date for info in to_run}
        except AirflowException as error:
            raise RefusedError(str(error)) from error
        dag = SerializedDagModel.get_dag(options.dag_id, session=session)
        in_range = (DagRun.dag_id == options.dag_id, DagRun.logical_date.between(first, last))
        states = dict(session.execute(select(DagRun.logical_date, DagRun.state).where(*in_range)).tuples().all())
    days = [
        PlannedDay(
            name_of(info.logical_date, zone),
            is_over=info.data_interval.end < datetime.now(UTC),
            state=states.get(info.logical_date),
            attempted=info.logical_date in attempted,
        )
        for info in dag.iter_dagrun_infos_between(first, last)
        if info.data_interval
    ]
    return days[::-1] if options.run_backwards else days


def create(options: Options, zone: tzinfo) -> int:
    """Create the backfill and its runs; returns its id. Raises RefusedError."""
    first, last = options.bounds(zone)
    with create_session() as session:
        latest = resolve_run_on_latest_version(None, options.dag_id, session, fallback=True)
    try:
        return _create_backfill(
            dag_id=options.dag_id,
            from_date=first,
            to_date=last,
            max_active_runs=options.max_active_runs,
            reverse=options.run_backwards,
            dag_run_conf=options.conf,
            triggering_user_name=getuser(),
            reprocess_behavior=ReprocessBehavior(options.reprocess),
            run_on_latest_version=latest,
        ).id
    except (AirflowException, ValueError) as error:
        raise RefusedError(str(error)) from error


def active_backfill(dag_id: str, zone: tzinfo) -> Progress | None:
    """The backfill of this DAG that is not over. One whose days have all ended is closed here: Airflow's scheduler
    would do so only within half a minute, and until then refuses another."""
    with create_session() as session:
        found = session.scalar(select(Backfill.id).filter_by(dag_id=dag_id, completed_at=None))
    now = progress(found, zone) if found else None
    if now and now.is_over:
        close(now.id)
        return None
    return now


def progress(backfill_id: int, zone: tzinfo) -> Progress:
    """The state of a backfill now."""
    with create_session() as session:
        row = session.get_one(Backfill, backfill_id)
        runs = session.execute(
            select(
                BackfillDagRun.logical_date,
                DagRun.run_id,
                DagRun.state,
                DagRun.start_date,
                DagRun.end_date,
                DagRun.last_scheduling_decision,
            )
            .join(DagRun, DagRun.id == BackfillDagRun.dag_run_id, isouter=True)
            .where(BackfillDagRun.backfill_id == backfill_id, BackfillDagRun.exception_reason.is_(None))
            .order_by(BackfillDagRun.sort_ordinal)
        )
        return Progress(
            backfill_id,
            (row.from_date, row.to_date, row.reprocess_behavior, row.max_active_runs, row.dag_run_conf or None),
            [Day(name_of(date, zone), *run) for date, *run in runs],
            paused=bool(row.is_paused),
        )


def set_paused(backfill_id: int, paused: bool) -> None:
    """Let no new day start, or let them start again. A running one goes on either way."""
    with create_session() as session:
        session.execute(update(Backfill).filter_by(id=backfill_id, completed_at=None).values(is_paused=paused))


def cancel(backfill_id: int) -> None:
    """Give up what is queued, as Airflow's API does: pause, mark the queued runs as failed, mark as completed."""
    set_paused(backfill_id, True)
    with create_session() as session:
        session.execute(update(DagRun).filter_by(backfill_id=backfill_id, state="queued").values(state="failed"))
    close(backfill_id)


def close(backfill_id: int) -> None:
    """Mark as completed, and as no longer paused: a run of it that is cleared later would queue for ever."""
    done = {"completed_at": datetime.now(UTC), "is_paused": False}
    with create_session() as session:
        session.execute(update(Backfill).filter_by(id=backfill_id).values(done))


def outcome(dag_id: str, day: Day) -> str:
    """The task that failed first and the address of its log, or what a run of this package's pipeline has loaded."""
    with create_session() as session:
        of_run = {"dag_id": dag_id, "run_id": day.run_id}
        tasks = session.scalars(select(TaskInstance).filter_by(**of_run).order_by(TaskInstance.end_date)).all()
        for task in tasks:
            if task.state == "failed":
                return f"task {task.task_id} failed, its log: {task.log_url}"
        if day.state == "failed":
            return "no task failed: it ran too long or was set so; see its page in the UI"
        wanted = tuple_(XComModel.task_id, XComModel.key).in_(XCOMS)
        xcoms = session.scalars(select(XComModel).filter_by(**of_run).where(wanted))
        values = {(xcom.task_id, xcom.key): XComModel.deserialize_value(xcom) for xcom in xcoms}
        return loaded({task.task_id: task.state for task in tasks}, values)
