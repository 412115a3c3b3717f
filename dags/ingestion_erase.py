"""Erases somebody (GDPR, art. 17): all rows of some keys of one feed, for good, and the keys out of every later load.

**Before.** Write the keys to erase into a text file, one on each line as files of the feed write them, a key of several
columns as a JSON array (`["4711", "DE"]`), and upload it as `gs://{bucket}/erase/<feed>.txt`. No key belongs into the
form of a run: Airflow and Databricks keep what stands there.

**Then** trigger this DAG with the feed. What is found is counted in the return value of `erase`. The list of keys is
deleted when all is done.

* `plan_erasure` writes a request, which names feed, tables and the list, to `gs://{bucket}/erase/requests/`.
* `erase`, on Databricks, puts hashes of the keys on the list that `stage` and `merge` heed, deletes their rows from
  target, staging and quarantine, rewrites files, and removes those that the retention of their table lets go.
* `remove_list` deletes the list of keys, exactly the upload that was read.

**A week later**, when the old files may go (`retention` in the return value says when), trigger it again with `finish`,
which needs no list. It removes the old files, and what a load that ran meanwhile has brought. Repeat until it finds
nothing.

**What it leaves**: files of `archive/` (those that hold a key are in the return value, `archived_files`), `rejected/`,
`source/` and `batches/`, backups of your own. docs/erasure.md has the whole procedure.

**When a task is red**, mend what its message says and clear it: every step may be repeated, the list is still
there.
"""

# Wiring only. It never runs by itself.

import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param, get_parsing_context

from ingestion import alerts
from ingestion.pipeline.erasure import LIST_NAME
from ingestion.pipeline.feed_files import feed_files, load_feeds
from ingestion.pipeline.payload import submit_payload
from ingestion.pipeline.settings import load_settings
from ingestion.tasks.erase import PlanErasureOperator, RemoveListOperator
from ingestion.tasks.patience import RETRIES, WaitOutages
from ingestion.tasks.submit_job import SubmitJobOperator

DAG_ID = "ingestion_erase"
ERASURE_ID = "{{ ti.xcom_pull(task_ids='plan_erasure', key='erasure_id') }}"
REQUEST = "{{ ti.xcom_pull(task_ids='plan_erasure', key='request') }}"

# The task of another DAG does not need it.
if get_parsing_context().dag_id in (None, DAG_ID):
    settings = load_settings(os.environ)
    # What is wrong with the others, feeds_check.py says.
    usable, _ = load_feeds(feed_files(Path(__file__).parent / "feeds"))
    names = [feed.name for feed in usable.values()]
    with DAG(
        dag_id=DAG_ID,
        description="Erases somebody from the tables of a feed, and keeps them out of every later load",
        doc_md=__doc__.replace("{bucket}", settings.bucket),
        schedule=None,
        max_active_runs=1,
        on_failure_callback=alerts.run_failed,
        params={
            "feed": Param(type="string", enum=names, title="Feed", description="The feed whose tables hold the keys."),
            "keys": Param(
                None,
                type=["null", "string"],
                pattern=LIST_NAME,
                title="List of keys",
                description="The object that holds them, in erase/. Empty: erase/<feed>.txt. It is deleted afterwards.",
            ),
            "finish": Param(
                False,
                type="boolean",
                title="Finish earlier erasures",
                description="Without a list: removes old files whose retention has passed, and what has come since.",
            ),
            "search_archive": Param(
                True,
                type="boolean",
                title="Search the archive",
                description="Name the archived files that hold a key. It reads all of the feed's.",
            ),
        },
        default_args={
            "retries": RETRIES,
            "retry_policy": WaitOutages(timedelta(seconds=settings.retry_seconds)),
        },
        tags=["ingestion"],
    ):
        plan_erasure = PlanErasureOperator(
            task_id="plan_erasure", feeds=usable.values(), bucket=settings.bucket, schema=settings.schema_name
        )
        erase = SubmitJobOperator(
            task_id="erase",
            json=submit_payload("erase", ["--request", REQUEST], settings, "STANDARD"),
            run_name=f"erase {ERASURE_ID} try {{{{ ti.try_number }}}}",
            idempotency_token=f"{ERASURE_ID}-erase",
            batch_id=ERASURE_ID,
            wait_seconds=settings.run_wait_seconds,
            polling_period_seconds=settings.run_poll_seconds,
        )
        remove_list = RemoveListOperator(task_id="remove_list", planned_by="plan_erasure", bucket=settings.bucket)
        plan_erasure >> erase >> remove_list
