"""Looks whether everything is there that the pipeline needs, and works: trigger it by hand, before the first file and
after each change of settings, permissions or versions.

Its one task prints a line for each thing: `ok`, `warn`, `FAIL` with what to do, or `skipped` with why. It is red if
something fails. With a shell, `airflow ingestion check` says the same, and more of Airflow itself.

It starts a Databricks run of the job `check`, which makes a table and drops it again, unless the form says otherwise.
In the bucket it writes two objects, `batches/ingestion_check-...`, which it removes.
"""

import os
from pathlib import Path

from airflow.sdk import DAG, Param, get_parsing_context

from ingestion.pipeline.environments import read_environment
from ingestion.tasks.check import CheckOperator

# What is wrong with settings and feeds, feeds_check.py says.
settings = read_environment(Path(__file__).parent, os.environ, []).settings
# The task of another DAG does not need it.
if settings and get_parsing_context().dag_id in (None, dag_id := settings.dag_id("ingestion_check")):
    with DAG(
        dag_id=dag_id,
        description="Says what of bucket, Databricks, Airflow and settings does not work, and how to mend it",
        doc_md=__doc__,
        schedule=None,
        max_active_runs=1,
        params={
            "run": Param(
                True,
                type="boolean",
                title="Start a Databricks run",
                description="Without it, compute, scripts, schema and external location are not tried.",
            )
        },
        tags=settings.tags,
    ):
        # No retries: it says what is so now, and to whom has asked.
        CheckOperator(task_id="check", folder=Path(__file__).parent)
