"""Import what every task imports once, in Airflow's own processes: those that they fork have it then.

LocalExecutor forks each task from the scheduler, the DAG processor each parse from itself; each would otherwise spend
half a second or more on the providers' imports, with every task of a run. Elsewhere (Celery, Kubernetes) it does
neither good nor harm. The price: changed code of this package is taken up when these processes start again, as its
timetable and trigger always are.
"""

from importlib import import_module

from airflow.listeners import hookimpl
from airflow.sdk.execution_time.task_runner import TaskRunnerMarker

# What the files of dags/ import, with all that these import.
MODULES = (
    "ingestion.pipeline.environments",
    "ingestion.pipeline.erasure",
    "ingestion.pipeline.feed_check",
    "ingestion.pipeline.payload",
    "ingestion.tasks.archive",
    "ingestion.tasks.batch_job",
    "ingestion.tasks.check",
    "ingestion.tasks.detect_new_files",
    "ingestion.tasks.erase",
    "ingestion.tasks.lineage",
    "ingestion.tasks.merge",
    "ingestion.tasks.metrics",
    "ingestion.tasks.patience",
    "ingestion.tasks.plan_batch",
    "ingestion.tasks.stage",
    "ingestion.tasks.submit_job",
    "ingestion.tasks.trim_batches",
    "ingestion.tasks.watch",
)


@hookimpl
def on_starting(component: object) -> None:
    """Do it when scheduler, DAG processor or triggerer starts. A task, of whatever DAG, needs no more than it has."""
    if not isinstance(component, TaskRunnerMarker):
        for name in MODULES:
            import_module(name)
