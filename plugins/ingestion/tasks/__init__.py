"""The tasks of the DAG, each in the file of its name; `stage` and `merge` share submit_job.py."""
