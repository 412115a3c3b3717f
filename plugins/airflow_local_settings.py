"""Adds `airflow dags backfill`, which Airflow 3 removed, to Airflow's own commands.

Airflow imports this file in each of its processes. It acts only in `airflow dags ...`; the command itself, also to be
had as `airflow ingestion backfill` without this file, is in the package `ingestion`.
"""

import sys

# Airflow takes every public name of this file for a setting of its own.
__all__: list[str] = []

if sys.argv[1:2] == ["dags"]:
    try:
        from ingestion.cli import add_dags_backfill

        add_dags_backfill()
    except Exception as error:  # whatever an Airflow of another version does to it, the other commands must work
        print(
            f"Warning: `airflow dags backfill` is not available, `airflow ingestion backfill` is the same: {error!r}",
            file=sys.stderr,
        )
