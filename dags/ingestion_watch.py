"""Tells people what no run of a feed would tell. Each thing is told once, and once more when it is over.

| what | then |
|---|---|
| an object under a feed's prefix that no feed takes | deliver it under a right name and delete it, or mend the YAML |
| a file of a feed that is not loaded after {patience} | see the runs of that DAG: it is paused, failing or behind |
| a day without a file, for a feed with `expected_by` | ask the producer |
| a paused DAG of a feed | mend what its last runs failed of, then unpause it |
| a backfill of which days are queued and none runs | unpause or cancel it |

It looks every quarter of an hour: one listing for each prefix, and a look at the day that is due for each feed with
`expected_by`. The task's return value is all that is so now. What was told is kept in {told}: delete that object, and
all is told anew. A feed with alert settings of its own is told of through these.

**When it is red**, a bucket could not be listed for hours; feeds wait for the same. It needs no help afterwards.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from ingestion import alerts
from ingestion.pipeline.environments import by_bucket, read_environment
from ingestion.pipeline.watching import told_name
from ingestion.tasks.patience import RETRIES, WaitOutages
from ingestion.tasks.watch import WatchOperator

# What is wrong with settings and feeds, feeds_check.py says.
environment = read_environment(Path(__file__).parent, os.environ)
settings = environment.settings
# The task of another DAG does not need it.
if settings and get_parsing_context().dag_id in (None, dag_id := settings.dag_id("ingestion_watch")):
    patience = timedelta(seconds=settings.tell_after_seconds)
    told = " and ".join(f"`gs://{bucket}/{told_name(settings.dag_prefix)}`" for bucket in by_bucket(environment.feeds))
    with DAG(
        dag_id=dag_id,
        description="Tells of misspelt, waiting and missing files, and of paused feeds",
        doc_md=__doc__.format(patience=patience, told=told),
        schedule="*/15 * * * *",
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        on_failure_callback=alerts.run_failed,
        # An outage is waited out: a run that failed each quarter of an hour would tell each time.
        default_args={
            "retries": RETRIES,
            "retry_policy": WaitOutages(timedelta(seconds=settings.retry_seconds)),
        },
        tags=settings.tags,
    ):
        WatchOperator(task_id="watch", feeds=environment.feeds, dag_prefix=settings.dag_prefix, patience=patience)
