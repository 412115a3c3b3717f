"""One supervisor for everything the pipeline needs on one machine: bucket, Spark, Databricks Jobs service, Airflow."""
