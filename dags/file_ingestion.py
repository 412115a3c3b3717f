"""{description}

**What it does.** Waits for files `{pattern}` under `gs://{bucket}/{prefix}`, pins them as one batch, loads them into
`{table}_staging` and merges them into `{table}`: one row for each {key}, the one with the newest `{order_by}`. Then the
files move to `archive/`. Rows that cannot be read go to `{table}_quarantine`, files that cannot be read to `rejected/`.
A file whose name is none of this DAG's is left where it is, and so is one that the pattern of another feed fits too:
the import error of `feeds_check.py` names both feeds.

**Ways to run it.**

* By itself, whenever files arrive: one live run (`scheduled` in the UI) waits, and makes way for a manual run.
* By hand (Trigger): takes what is in `{prefix}` now, and is green at once with nothing there. With dates in its form it
  loads every file of those days again as one batch, from the archive and from `{prefix}`.
* By backfill: one run a day loads every file dated on it again, from the archive and from `{prefix}`, beside the live
  run: `airflow dags backfill {dag} -s <first day> -e <last day>` (`airflow ingestion backfill` where Airflow does not
  know that), or the UI's dialog.

**To get rejected files back**, mend the cause (the feed's YAML), then trigger a run with `again_rejected`, for all or
for those of its dates. What is accepted now is loaded and moves to `archive/`; the rest stays, with its new reason.

**To rebuild the tables** (dropped or emptied): trigger a run with all days, or backfill them. If the type of a column,
the key or `order_by` has changed, first drop `{table}` and `{table}_staging`.

**When a task is tried again and again**, a service is down: bucket, Databricks or the network between. It is waited for
with pauses of up to half an hour, for some hours, and needs no help afterwards. What no try can change fails at once;
any other failure is tried three times.

**When a run is red**, nothing is lost: files stay in `{prefix}` until they are merged. Read the failed task's log, mend
the cause and clear the task.

| red task | means | then |
|---|---|---|
| `detect_new_files` | the bucket cannot be listed, or the form makes no sense | check connection, bucket, form |
| `plan_batch` | a reload cannot read a file, or an archived one no longer fits the feed | do what its message says |
| `stage`, `merge` | the Databricks run failed; the task links to it | mend what the run's last line says |
| the same, after one try | a type, key or schema is not as the tables have it: no live run takes the files | the same |
| `archive` | the batch is not merged, a copy differs or cannot be written | do what it says; nothing was lost |

**A file stays in `{prefix}` though it was loaded** when the bucket refuses its delete (a hold, a retention). People are
told what it needs, no run loads it again, and the `archive` of each later batch tries to delete it.
**A file that may not be read** (a permission, an encryption key) stays too and is told; it is tried again within the
hour, or by Trigger.

**Clearing** works for any task of any run, also an old green one.

| cleared, with what follows | the run |
|---|---|
| `detect_new_files`, `plan_batch`, the whole run | plans a new batch, as a new run of its kind would |
| `stage` | loads its batch again, from the archive if it was archived |
| `merge` | merges its staged rows again, which changes nothing that was merged |
| `archive` | checks the archived copies and removes what is left over |

{days} days later `ingestion_maintenance` removes what a batch has staged, and its manifest. A task that misses them
says so, and what to clear instead: `stage`, or `plan_batch`.

**When the DAG is paused**, {failures} runs in a row have failed and each was reported. Mend the cause, then unpause.

**Green with skipped tasks**: there was nothing to load or nothing that could be read, another run was waiting for its
turn, no file came for so long that the next run took over the waiting (`INGESTION_MAX_WAIT_SECONDS`, a day by default),
or all files were rejected.
"""

# One DAG for each feed in `dags/feeds/`; the docstring above, filled in, is what the UI shows as its runbook.

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from ingestion import alerts
from ingestion.pipeline.environments import ConfiguredFeed, read_environment
from ingestion.pipeline.payload import submit_payload
from ingestion.runs import trigger_form
from ingestion.runs.timetable import FileArrivalTimetable
from ingestion.tasks.archive import ArchiveFilesOperator
from ingestion.tasks.detect_new_files import NewFilesSensor
from ingestion.tasks.merge import MERGED_BATCH, MergeBatchOperator
from ingestion.tasks.patience import LONGEST_PAUSE, RETRIES, WaitOutages
from ingestion.tasks.plan_batch import PlanBatchOperator
from ingestion.tasks.stage import StageBatchOperator

FAILED_RUNS_BEFORE_PAUSE = 3
BATCH_ID = "{{ ti.xcom_pull(task_ids='plan_batch', key='batch_id') }}"
MERGED_BATCH_ID = f"{{{{ ti.xcom_pull(task_ids='merge', key='{MERGED_BATCH}') or '' }}}}"
MANIFEST = "{{ ti.xcom_pull(task_ids='plan_batch', key='manifest') }}"
# Somebody waits for new files; what is loaded again is cheaper and a few minutes later.
PERFORMANCE = (
    "{{ 'STANDARD' if dag_run.run_type == 'backfill' or params.reload_from or params.reload_to "
    "or params.again_rejected else 'PERFORMANCE_OPTIMIZED' }}"
)


def ingestion_dag(configured: ConfiguredFeed) -> DAG:
    """The pipeline of one feed."""
    feed, settings = configured.feed, configured.settings
    table = f"{settings.schema_name}.{feed.name}"
    with DAG(
        dag_id=configured.dag_id,
        description=feed.description,
        doc_md=runbook(configured),
        schedule=settings.schedule or FileArrivalTimetable(),
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        # A run may wait for a day: with the code of when it began, a fix would miss the next file.
        disable_bundle_versioning=True,
        max_consecutive_failed_dag_runs=FAILED_RUNS_BEFORE_PAUSE,
        on_failure_callback=alerts.run_failed,
        params=trigger_form.form_fields(feed.prefix),
        default_args={
            "retries": RETRIES,
            "retry_policy": WaitOutages(timedelta(seconds=settings.retry_seconds)),
            # Of a task whose process was killed, which asks no policy.
            "retry_delay": timedelta(seconds=settings.retry_seconds),
            "retry_exponential_backoff": True,
            "max_retry_delay": LONGEST_PAUSE,
        },
        tags=settings.tags,
        auto_register=False,
    ) as dag:
        detect_new_files = NewFilesSensor(
            task_id="detect_new_files",
            feed=feed,
            feed_file=configured.file,
            waits_with=configured.waits_with,
            bucket=settings.bucket,
            google_cloud_conn_id=settings.google_connection,
            poke_interval=settings.poll_seconds,
            max_wait=timedelta(seconds=settings.max_wait_seconds),
        )
        plan_batch = PlanBatchOperator(
            task_id="plan_batch",
            feed=feed,
            bucket=settings.bucket,
            schema=settings.schema_name,
            gcp_conn_id=settings.google_connection,
        )
        stage = StageBatchOperator(**batch_job("stage", configured))
        merge = MergeBatchOperator(table=table, **batch_job("merge", configured))
        archive = ArchiveFilesOperator(
            task_id="archive",
            feed=feed,
            bucket=settings.bucket,
            gcp_conn_id=settings.google_connection,
            batch_id=BATCH_ID,
            merged_batch_id=MERGED_BATCH_ID,
            # Also after skipped jobs, when there are only rejected files; never after a failed one.
            trigger_rule="none_failed_min_one_success",
        )
        detect_new_files >> plan_batch >> stage >> merge >> archive
        plan_batch >> archive
    return dag


def batch_job(step: str, configured: ConfiguredFeed) -> dict[str, Any]:
    """Arguments of the task that runs `<step>.py` on the batch: one at a time for each feed, across all its runs."""
    settings = configured.settings
    return {
        "task_id": step,
        "feed": configured.feed,
        "bucket": settings.bucket,
        "gcp_conn_id": settings.google_connection,
        "databricks_conn_id": settings.databricks_connection,
        "json": submit_payload(step, ["--manifest", MANIFEST], settings, PERFORMANCE),
        "run_name": f"{configured.dag_id} {step} {BATCH_ID} try {{{{ ti.try_number }}}}",
        "idempotency_token": f"{BATCH_ID}-{step}",
        "batch_id": BATCH_ID,
        "wait_seconds": settings.run_wait_seconds,
        "polling_period_seconds": settings.run_poll_seconds,
        "max_active_tis_per_dag": 1,
    }


def runbook(configured: ConfiguredFeed) -> str:
    """The docstring of this file, for one feed."""
    feed, settings = configured.feed, configured.settings
    return __doc__.format(
        description=feed.description,
        pattern=feed.pattern,
        bucket=settings.bucket,
        prefix=feed.prefix,
        dag=configured.dag_id,
        table=f"{settings.schema_name}.{feed.name}",
        key=", ".join(f"`{column}`" for column in feed.key),
        order_by=feed.order_by,
        failures=FAILED_RUNS_BEFORE_PAUSE,
        days=settings.keep_days,
    )


# feeds_check.py raises what is wrong with a file: an error raised here would make every DAG of this file stale.
for configured in read_environment(Path(__file__).parent, os.environ).feeds:
    # A task builds only its own DAG.
    if get_parsing_context().dag_id in (None, configured.dag_id):
        globals()[configured.dag_id] = ingestion_dag(configured)
