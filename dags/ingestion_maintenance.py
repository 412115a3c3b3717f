"""Keeps tables and bucket small and loads quick, once a week by night. No row that anybody reads changes by it.

* `maintain` is one Databricks run for the tables of all feeds; those whose settings say another workspace, other
  compute or other scripts have one of their own, `maintain_2` and so on. It compacts and clusters targets, quarantines
  and logs, and rewrites files of which many rows are only marked as deleted; it removes staged rows older than {days}
  days of batches that were merged, and files that no version of a table within its retention (7 days) needs.
* `trim_batches` removes from `batches/` in {buckets} what batches older than {days} days have left: manifests, and
  pinned copies of runs that failed for good.

Loads go on meanwhile: where one of them and `maintain` want to rewrite the same file, `maintain` tries again twice and
then leaves that step to the next week. Where Databricks looks after a table itself (predictive optimization), only the
staged rows are removed.

What was done to each table stands in `ingestion_maintenance` of its schema. `kept` in the return value of
`trim_batches` names old batches whose files are not archived: their runs have failed and nobody has cleared them.

**Afterwards** a cleared task of such a batch says what to clear instead: `merge` wants `stage` cleared, which loads the
batch again from the archive; `stage` and `archive` want `plan_batch`.

**When `maintain` is red**, its message names the tables that could not be maintained; all others were. Mend what it
says and clear it, or let the next week do it. A run that took longer than it may (`INGESTION_RUN_TIMEOUT_SECONDS`) has
little left to do on the tables it was done with, so clearing it helps too. Both tasks may be killed at any point.
"""

# Wiring only.

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from ingestion import alerts
from ingestion.pipeline.environments import by_bucket, by_runs, read_environment
from ingestion.pipeline.payload import submit_payload
from ingestion.tasks.patience import RETRIES, WaitOutages
from ingestion.tasks.submit_job import SubmitJobOperator
from ingestion.tasks.trim_batches import TrimBatchesOperator

# The same for every try of a run, and short whatever its run id is.
MAINTENANCE_ID = (
    "{{ dag_run.run_after.strftime('%Y%m%dT%H%M%SZ') }}-"
    "{{ macros.uuid.uuid5(macros.uuid.NAMESPACE_OID, run_id).hex[:8] }}"
)

# What is wrong with settings and feeds, feeds_check.py says.
environment = read_environment(Path(__file__).parent, os.environ)
settings, feeds = environment.settings, environment.feeds
# The task of another DAG does not need it.
if settings and get_parsing_context().dag_id in (None, dag_id := settings.dag_id("ingestion_maintenance")):
    buckets = {bucket: group[0].settings.google_connection for bucket, group in by_bucket(feeds).items()}
    with DAG(
        dag_id=dag_id,
        description="Compacts and vacuums the tables of all feeds, and removes what old batches have left",
        doc_md=__doc__.format(days=settings.keep_days, buckets=" and ".join(f"`gs://{bucket}`" for bucket in buckets)),
        schedule="30 2 * * 6",
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        on_failure_callback=alerts.run_failed,
        default_args={
            "retries": RETRIES,
            "retry_policy": WaitOutages(timedelta(seconds=settings.retry_seconds)),
        },
        tags=settings.tags,
    ):
        for number, group in enumerate(by_runs(feeds), start=1):
            task_id = "maintain" if number == 1 else f"maintain_{number}"
            of_group = group[0].settings
            targets = [f"{item.settings.schema_name}.{item.feed.name}" for item in group]
            options = ["--maintenance-id", MAINTENANCE_ID, "--keep-days", str(settings.keep_days)]
            SubmitJobOperator(
                task_id=task_id,
                databricks_conn_id=of_group.databricks_connection,
                json=submit_payload("maintain", [*options, *targets], of_group, "STANDARD"),
                run_name=f"{dag_id} {task_id} {MAINTENANCE_ID} try {{{{ ti.try_number }}}}",
                idempotency_token=f"{MAINTENANCE_ID}-{task_id}",
                batch_id=MAINTENANCE_ID,
                wait_seconds=of_group.run_wait_seconds,
                polling_period_seconds=of_group.run_poll_seconds,
            )
        TrimBatchesOperator(task_id="trim_batches", buckets=buckets, keep=timedelta(days=settings.keep_days))
