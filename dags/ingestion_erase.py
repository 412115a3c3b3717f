"""Erases somebody (GDPR, art. 17): all rows of some keys of one feed, for good, and the keys out of every later load.

**Before.** Write the keys to erase into a text file, one on each line as files of the feed write them, a key of several
columns as a JSON array (`["4711", "DE"]`), and upload it as `erase/<feed>.txt` into the bucket of the feed ({buckets}).
No key belongs into the form of a run: Airflow and Databricks keep what stands there.

**Then** trigger this DAG with the feed. What is found is counted in the return value of `erase`. The list of keys is
deleted when all is done.

* `plan_erasure` writes a request, which names feed, tables and the list, to `erase/requests/` there.
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
from ingestion.pipeline.environments import by_bucket, read_environment
from ingestion.pipeline.erasure import LIST_NAME
from ingestion.pipeline.payload import submit_payload
from ingestion.tasks.erase import EraseOperator, PlanErasureOperator, RemoveListOperator
from ingestion.tasks.patience import RETRIES, WaitOutages

ERASURE_ID = "{{ ti.xcom_pull(task_ids='plan_erasure', key='erasure_id') }}"
REQUEST = "{{ ti.xcom_pull(task_ids='plan_erasure', key='request') }}"

# What is wrong with settings and feeds, feeds_check.py says.
environment = read_environment(Path(__file__).parent, os.environ)
settings, feeds = environment.settings, environment.feeds
# The task of another DAG does not need it.
if settings and get_parsing_context().dag_id in (None, dag_id := settings.dag_id("ingestion_erase")):
    with DAG(
        dag_id=dag_id,
        description="Erases somebody from the tables of a feed, and keeps them out of every later load",
        doc_md=__doc__.replace("{buckets}", ", ".join(f"`gs://{bucket}`" for bucket in by_bucket(feeds))),
        schedule=None,
        max_active_runs=1,
        on_failure_callback=alerts.run_failed,
        params={
            "feed": Param(
                type="string",
                enum=[item.feed.name for item in feeds],
                title="Feed",
                description="The feed whose tables hold the keys.",
            ),
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
        tags=settings.tags,
    ):
        plan_erasure = PlanErasureOperator(task_id="plan_erasure", feeds=feeds)
        erase = EraseOperator(
            task_id="erase",
            payloads={
                item.feed.name: submit_payload("erase", ["--request", REQUEST], item.settings, "STANDARD")
                for item in feeds
            },
            connections={item.feed.name: item.settings.databricks_connection for item in feeds},
            run_name=f"{dag_id} {ERASURE_ID} try {{{{ ti.try_number }}}}",
            idempotency_token=f"{ERASURE_ID}-erase",
            batch_id=ERASURE_ID,
            wait_seconds=settings.run_wait_seconds,
            polling_period_seconds=settings.run_poll_seconds,
        )
        remove_list = RemoveListOperator(task_id="remove_list", planned_by="plan_erasure", feeds=feeds)
        plan_erasure >> erase >> remove_list
