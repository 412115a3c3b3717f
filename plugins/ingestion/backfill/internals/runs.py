"""One run that has ended: what it loaded, or what failed in it and where its log is."""

from airflow.configuration import conf
from airflow.models import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from ingestion.backfill.loads import XCOMS, loaded


def failure(dag_id: str, run_id: str) -> tuple[str, str] | None:
    """The task of a failed run that failed first, and the address of its log; None when no task failed."""
    with create_session() as session:
        task = session.scalar(
            select(TaskInstance)
            .where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.state == TaskInstanceState.FAILED,
            )
            .order_by(TaskInstance.end_date)
            .limit(1)
        )
        return (task.task_id, task.log_url) if task else None


def loads(dag_id: str, run_id: str) -> str:
    """What a run of this package's pipeline has loaded; empty for another's."""
    with create_session() as session:
        of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        tasks = session.execute(select(TaskInstance.task_id, TaskInstance.state).where(*of_run))
        rows = session.execute(
            select(XComModel.task_id, XComModel.key, XComModel.value).where(
                XComModel.dag_id == dag_id,
                XComModel.run_id == run_id,
                XComModel.task_id.in_({task for task, _ in XCOMS}),
                XComModel.key.in_({key for _, key in XCOMS}),
            )
        )
        return loaded(
            dict(tasks.tuples().all()),
            {(row.task_id, row.key): XComModel.deserialize_value(row) for row in rows},
        )


def page(dag_id: str, run_id: str) -> str:
    """The address of a run in the UI."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{dag_id}/runs/{run_id}"
