"""The pipeline as a Databricks Workflow, without Airflow: what its job runs beside the scripts of `spark_jobs`."""
