"""What a batch is and does. Speaks to the bucket, knows no Airflow: usable wherever Python runs."""
