"""A backfill that exists: how far it is; pause it, cancel it, close it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from airflow._shared.timezones import timezone
from airflow.jobs.job import most_recent_job
from airflow.models import DagModel, DagRun
from airflow.models.backfill import Backfill, BackfillDagRun, ReprocessBehavior
from airflow.timetables.base import DagRunInfo
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from ingestion.backfill.days import Day, name_of
from ingestion.backfill.options import Reprocess

UNFINISHED = (DagRunState.QUEUED, DagRunState.RUNNING)


@dataclass(frozen=True)
class ActiveBackfill:
    """A backfill that is not over. `backwards` is None while it has fewer than two days."""

    id: int
    first: datetime
    last: datetime
    reprocess: Reprocess
    conf: dict[str, Any] | None
    max_active_runs: int
    backwards: bool | None
    paused: bool
    running: Sequence[str]
    waiting: Sequence[str]

    @property
    def left(self) -> int:
        """How many days have not ended."""
        return len(self.running) + len(self.waiting)


@dataclass(frozen=True)
class Progress:
    """How far a backfill is, and what could keep it from going on."""

    days: Sequence[Day]
    closed: bool
    paused: bool
    dag_paused: bool
    dag_stale: bool
    scheduler_alive: bool


def scheduler_alive() -> bool:
    """Whether a scheduler has sent a heartbeat lately."""
    with create_session() as session:
        return _scheduler_alive(session)


def active_backfill(dag_id: str, zone: tzinfo) -> ActiveBackfill | None:
    """The backfill of this DAG that is not over. One whose days have all ended is closed here: Airflow's scheduler
    would do so only within half a minute, and until then refuses another."""
    close_finished(dag_id)
    with create_session() as session:
        found = session.scalar(select(Backfill).where(Backfill.dag_id == dag_id, Backfill.completed_at.is_(None)))
        if found is None:
            return None
        dates = list(
            session.scalars(
                select(BackfillDagRun.logical_date)
                .where(BackfillDagRun.backfill_id == found.id)
                .order_by(BackfillDagRun.sort_ordinal)
                .limit(2)
            )
        )
        days = _days(found.id, zone, session)
        return ActiveBackfill(
            id=found.id,
            first=found.from_date,
            last=found.to_date,
            reprocess=ReprocessBehavior(found.reprocess_behavior).value,
            conf=found.dag_run_conf,
            max_active_runs=found.max_active_runs,
            backwards=dates[0] > dates[1] if len(dates) > 1 and None not in dates else None,
            paused=bool(found.is_paused),
            running=[day.name for day in days if day.state == DagRunState.RUNNING],
            waiting=[day.name for day in days if day.state == DagRunState.QUEUED],
        )


def close_finished(dag_id: str) -> None:
    """Mark backfills as completed whose days have all ended, by the scheduler's own rule."""
    of_backfill = BackfillDagRun.backfill_id == Backfill.id
    unfinished = exists().where(DagRun.backfill_id == Backfill.id, DagRun.state.in_(UNFINISHED))
    with create_session() as session:
        session.execute(
            update(Backfill)
            # One without any day is being set up at this moment.
            .where(Backfill.dag_id == dag_id, Backfill.completed_at.is_(None), exists().where(of_backfill), ~unfinished)
            .values(completed_at=timezone.utcnow())
            .execution_options(synchronize_session=False)
        )


def set_paused(backfill_id: int, paused: bool) -> None:
    """Let no new day start, or let them start again. A running one goes on either way."""
    with create_session() as session:
        session.execute(
            update(Backfill).where(Backfill.id == backfill_id, Backfill.completed_at.is_(None)).values(is_paused=paused)
        )


def cancel(backfill_id: int) -> None:
    """Give up what is queued, as Airflow's API does: pause, mark the queued runs as failed, mark as completed."""
    set_paused(backfill_id, True)
    with create_session() as session:
        runs = select(BackfillDagRun.dag_run_id).where(BackfillDagRun.backfill_id == backfill_id)
        session.execute(
            update(DagRun)
            .where(DagRun.id.in_(runs), DagRun.backfill_id == backfill_id, DagRun.state == DagRunState.QUEUED)
            .values(state=DagRunState.FAILED)
            .execution_options(synchronize_session=False)
        )
    with create_session() as session:
        # No longer paused, unlike after Airflow's own cancel: a run of it that is cleared later would queue for ever.
        closed = {"completed_at": timezone.utcnow(), "is_paused": False}
        session.execute(update(Backfill).where(Backfill.id == backfill_id).values(**closed))


def progress(backfill_id: int, zone: tzinfo) -> Progress:
    """The state of a backfill now."""
    with create_session() as session:
        found = session.get_one(Backfill, backfill_id)
        model = session.get(DagModel, found.dag_id)
        return Progress(
            days=_days(backfill_id, zone, session),
            closed=found.completed_at is not None,
            paused=bool(found.is_paused),
            dag_paused=model is not None and model.is_paused,
            dag_stale=model is None or model.is_stale,
            scheduler_alive=_scheduler_alive(session),
        )


def left_alone(backfill_id: int, zone: tzinfo) -> list[tuple[str, str, bool]]:
    """The days that the backfill does not run because they have a run: its state now, whether it is a manual one."""
    of_day = (DagRun.logical_date == BackfillDagRun.logical_date) & (DagRun.dag_id == Backfill.dag_id)
    with create_session() as session:
        rows = session.execute(
            select(BackfillDagRun, DagRun.state, DagRun.run_type)
            .join(Backfill, Backfill.id == BackfillDagRun.backfill_id)
            .join(DagRun, of_day, isouter=True)
            .where(BackfillDagRun.backfill_id == backfill_id, BackfillDagRun.exception_reason.is_not(None))
            .order_by(BackfillDagRun.sort_ordinal)
        )
        return [(day_name(row, zone), str(state), kind == DagRunType.MANUAL) for row, state, kind in rows]


def day_name(of: DagRunInfo | BackfillDagRun, zone: tzinfo) -> str:
    """How a day is called."""
    return of.partition_key or (name_of(of.logical_date, zone) if of.logical_date else "?")


def _days(backfill_id: int, zone: tzinfo, session: Session) -> list[Day]:
    rows = session.execute(
        select(BackfillDagRun, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)
        .join(DagRun, DagRun.id == BackfillDagRun.dag_run_id, isouter=True)
        .where(BackfillDagRun.backfill_id == backfill_id, BackfillDagRun.exception_reason.is_(None))
        .order_by(BackfillDagRun.sort_ordinal)
    )
    return [Day(day_name(row, zone), run, state and str(state), start, end) for row, run, state, start, end in rows]


def _scheduler_alive(session: Session) -> bool:
    job = most_recent_job("SchedulerJob", session=session)
    return job is not None and job.is_alive()
