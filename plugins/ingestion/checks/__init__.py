"""`airflow ingestion check`, and the same as a task: whether everything is there that the pipeline needs, and works.

A check yields findings, a line each, and returns what others depend on, or None. What it asks of bucket, Databricks and
Airflow is no more than docs/production.md gives the pipeline, and leaves nothing behind.
"""
