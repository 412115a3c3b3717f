"""`airflow dags backfill`, for any DAG with a periodic schedule.

`command` is what a person sees, from what is refused to how each day ended. `options` and `days` are pure: what was
asked for, what is said of a day. `internals` alone knows Airflow's own.
"""
