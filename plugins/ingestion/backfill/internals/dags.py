"""What Airflow knows of a DAG, the days that a range gives, and the creation of a backfill."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from airflow._shared.timezones import timezone
from airflow.api_fastapi.common.dagbag import resolve_run_on_latest_version
from airflow.exceptions import AirflowConfigException, AirflowException
from airflow.models import DagModel
from airflow.models.backfill import (
    AlreadyRunningBackfill,
    InvalidBackfillConf,
    InvalidBackfillDirection,
    InvalidReprocessBehavior,
    ReprocessBehavior,
    _create_backfill,
    _do_dry_run,
    _get_latest_dag_run_row_query,
)
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.timetables.base import DagRunInfo
from airflow.utils.platform import getuser
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from sqlalchemy import select
from sqlalchemy.orm import Session

from ingestion.backfill.days import PlannedDay
from ingestion.backfill.internals.backfills import day_name
from ingestion.backfill.options import Options, RefusedError


@dataclass(frozen=True)
class DagFacts:
    """What must be known of a DAG before its days are asked for."""

    paused: bool
    stale: bool
    broken: bool
    periodic: bool
    allowed: bool
    schedule: str
    zone: tzinfo


def dag_ids() -> list[str]:
    """The DAGs that exist."""
    with create_session() as session:
        return list(session.scalars(select(DagModel.dag_id).where(~DagModel.is_stale).order_by(DagModel.dag_id)))


def dag_facts(dag_id: str) -> DagFacts | None:
    """None for a DAG that Airflow does not know, or has not read yet."""
    with create_session() as session:
        model, dag = session.get(DagModel, dag_id), _dag(dag_id, session)
        if model is None or dag is None:
            return None
        return DagFacts(
            paused=model.is_paused,
            stale=model.is_stale,
            broken=bool(model.has_import_errors),
            periodic=dag.timetable.periodic,
            allowed=model.allowed_run_types is None or DagRunType.BACKFILL_JOB in model.allowed_run_types,
            schedule=dag.timetable.summary or "none",
            zone=dag.timezone,
        )


def planned_days(options: Options, zone: tzinfo) -> list[PlannedDay]:
    """Every day of the range, in the order of the backfill, with what Airflow would do. Raises RefusedError."""
    first, last = options.bounds(zone)
    now = timezone.utcnow()
    with create_session() as session:
        dag = _dag(options.dag_id, session)
        infos = list(dag.iter_dagrun_infos_between(first, last)) if dag else []
        attempted = _attempted(options, first, last, session) if any(_end(info) < now for info in infos) else set()
        days = []
        for info in infos:
            run = session.scalar(_get_latest_dag_run_row_query(dag_id=options.dag_id, info=info))
            over = _end(info)
            state = str(run.state) if run and over < now else None
            manual = run is not None and run.run_type == DagRunType.MANUAL
            days.append(PlannedDay(day_name(info, zone), over, state, manual, _key(info) in attempted))
    return days[::-1] if options.backwards else days


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
            reverse=options.backwards,
            dag_run_conf=options.conf,
            triggering_user_name=user,
            reprocess_behavior=ReprocessBehavior(options.reprocess),
            run_on_latest_version=latest,
        ).id
    except AlreadyRunningBackfill:
        raise RefusedError(
            f"another backfill of {options.dag_id} has just been started: give the command again"
        ) from None
    except (AirflowException, ValueError) as error:
        raise RefusedError(str(error)) from error


def _dag(dag_id: str, session: Session) -> SerializedDAG | None:
    found = session.scalar(SerializedDagModel.latest_item_select_object(dag_id))
    return found.dag if found else None


def _attempted(options: Options, first: datetime, last: datetime, session: Session) -> set[object]:
    try:
        infos = _do_dry_run(
            dag_id=options.dag_id,
            from_date=first,
            to_date=last,
            reverse=options.backwards,
            reprocess_behavior=ReprocessBehavior(options.reprocess),
            session=session,
            dag_run_conf=options.conf,
        )
        return {_key(info) for info in infos}
    except InvalidBackfillConf as error:
        raise RefusedError(f"--conf does not fit the params of {options.dag_id}: {_one_line(error)}") from error
    except InvalidBackfillDirection:
        raise RefusedError("a task of this DAG has depends_on_past, so its days run in order: leave out -B") from None
    except InvalidReprocessBehavior:
        raise RefusedError(
            "a task of this DAG has depends_on_past, so days in between cannot be left out: "
            "add --rerun-failed-tasks or --reset-dagruns"
        ) from None


def _end(info: DagRunInfo) -> datetime:
    # Runs of partitioned timetables have no data interval.
    return info.data_interval.end if info.data_interval else info.run_after


def _key(info: DagRunInfo) -> object:
    return info.partition_key or info.logical_date


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
