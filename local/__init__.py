"""Stand-ins for the cloud on one machine: bucket, Databricks Jobs, and the supervisor that runs them beside Airflow."""
