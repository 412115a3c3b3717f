"""Other runs of a DAG: those that are queued while a live run waits, days of backfills, and how the last ones ended.

A trigger may only count runs, by state and by name. A task may read single runs, and so learn whether one could start.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun, GetPreviousDagRun, PreviousDagRunResult
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

QUEUED = "queued"
BACKFILL = "backfill"
# Backfill runs are named after their days, newest first here. As many names as fit into one request (an address of
# 64 KB), and as many days as a backfill could reach back.
NAMES_PER_REQUEST = 1_000
DAYS = 11_000


@dataclass(frozen=True)
class QueuedRun:
    """A queued run that is no day of a backfill by its name. `may_start` is None when only its backfill starts it."""

    run_id: str
    may_start: datetime | None


def is_another_queued(dag_id: str, passed_by: Collection[str]) -> bool:
    """For a trigger: whether a run is queued that is no day of a backfill by its name, and none of `passed_by`."""
    queued = _count(dag_id)
    known = 0
    names = chain(passed_by, _days_of_backfills())
    while known < queued and (some := list(islice(names, NAMES_PER_REQUEST))):
        known += _count(dag_id, some)
    # Counted once more: a backfill run that has started since would look like another one that still waits.
    return known < queued and known < _count(dag_id)


def queued_runs(dag_id: str) -> list[QueuedRun]:
    """For a task: the queued runs of the DAG, new ones and cleared ones, without the days of backfills."""
    # Airflow lists the runs of a DAG by the states of their tasks alone; one that is still to run has none.
    states = RuntimeTaskInstance.get_task_states(dag_id)
    names = [run_id for run_id, tasks in states.items() if None in tasks.values()]
    runs = [_read(dag_id, name) for name in names if not name.startswith(f"{BACKFILL}__")]
    return [QueuedRun(run.run_id, _may_start(run)) for run in runs if run.state == QUEUED]


def queued_backfill_days(dag_id: str) -> int:
    """How many days of backfills, by their names, are queued while none of them runs; 0 while one does."""
    total, queued = _count(dag_id), 0
    names = _days_of_backfills()
    while queued < total and (some := list(islice(names, NAMES_PER_REQUEST))):
        if RuntimeTaskInstance.get_dr_count(dag_id, run_ids=some, states=["running"]):
            return 0
        queued += _count(dag_id, some)
    return queued


def last_runs(dag_id: str) -> str:
    """For a task: which run failed last and which succeeded last, in words, of those that have a logical date."""
    failed, succeeded = (_last(dag_id, state) for state in ("failed", "success"))
    return (f"The last run that failed is {failed}; " if failed else "No run has failed; ") + (
        f"the last that succeeded is {succeeded}." if succeeded else "none has succeeded."
    )


def _last(dag_id: str, state: str) -> str | None:
    question = GetPreviousDagRun(dag_id=dag_id, logical_date=datetime.now(UTC), state=state)
    answer = task_runner.SUPERVISOR_COMMS.send(question)
    if not isinstance(answer, PreviousDagRunResult):
        raise TypeError(f"Airflow answered {answer!r} when asked for the last run of {dag_id}")
    run = answer.dag_run
    ended = f", which ended {run.end_date.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if run and run.end_date else ""
    return f"{run.run_id}{ended}" if run else None


def _may_start(run: DagRunResult) -> datetime | None:
    # A backfill that runs such a day again keeps the name of the run that it takes over.
    if run.run_type == BACKFILL:
        return None
    # Airflow would start a run whose logical date is to come, and none of its tasks.
    return max(run.run_after, run.logical_date or run.run_after)


def _read(dag_id: str, run_id: str) -> DagRunResult:
    run = task_runner.SUPERVISOR_COMMS.send(GetDagRun(dag_id=dag_id, run_id=run_id))
    if not isinstance(run, DagRunResult):
        raise TypeError(f"Airflow answered {run!r} when asked for run {run_id} of {dag_id}")
    return run


def _count(dag_id: str, names: list[str] | None = None) -> int:
    return RuntimeTaskInstance.get_dr_count(dag_id, run_ids=names, states=[QUEUED])


def _days_of_backfills() -> Iterator[str]:
    today = datetime.now(UTC).date()
    return (f"{BACKFILL}__{today - timedelta(days=count)}T00:00:00+00:00" for count in range(DAYS))
