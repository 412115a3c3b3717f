"""Tells people what no run of a feed would tell. Each thing is told once, and once more when it is over.

| what | then |
|---|---|
| an object under a feed's prefix that no feed takes | deliver it under a right name and delete it, or mend the YAML |
| a file of a feed that is not loaded after {patience} | see the runs of that DAG: it is paused, failing or behind |
| a day without a file, for a feed with `expected_by` | ask the producer |
| a paused DAG of a feed | mend what its last runs failed of, then unpause it |
| a backfill of which days are queued and none runs | unpause or cancel it |

It looks every quarter of an hour: one listing for each prefix, and a look at the day that is due for each feed with
`expected_by`. The task's return value is all that is so now. What was told is kept in `gs://{bucket}/{told}`: delete
that object, and all is told anew.

**When it is red**, the bucket could not be listed for hours; feeds wait for the same. It needs no help afterwards.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from ingestion import alerts
from ingestion.pipeline.feed_files import feed_files, load_feeds
from ingestion.pipeline.settings import load_settings
from ingestion.pipeline.watching import TOLD
from ingestion.tasks.patience import RETRIES, WaitOutages
from ingestion.tasks.watch import WatchOperator

DAG_ID = "ingestion_watch"

# The task of another DAG does not need it.
if get_parsing_context().dag_id in (None, DAG_ID):
    settings = load_settings(os.environ)
    # What is wrong with the others, feeds_check.py says.
    usable, _ = load_feeds(feed_files(Path(__file__).parent / "feeds"))
    patience = timedelta(seconds=settings.tell_after_seconds)
    with DAG(
        dag_id=DAG_ID,
        description="Tells of misspelt, waiting and missing files, and of paused feeds",
        doc_md=__doc__.format(patience=patience, bucket=settings.bucket, told=TOLD),
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
        tags=["ingestion"],
    ):
        WatchOperator(
            task_id="watch",
            feeds=[feed.beside(usable.values()) for feed in usable.values()],
            bucket=settings.bucket,
            patience=patience,
        )
