"""Files from a bucket into one Delta table: what Airflow runs.

`pipeline` is what a batch is and does, without Airflow; `tasks` holds a file for each task of the DAG, named as the
task; `runs` says when a run begins and what it is asked for; `backfill` is `airflow dags backfill`, `checks` is
`airflow ingestion check`.
"""
