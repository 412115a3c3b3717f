"""`airflow dags backfill`, for any DAG with a periodic schedule.

`command` is the whole command on one page, `following` how it waits. `options`, `days` and `loads` are pure: what was
asked for, what becomes of a list of days, what a run of this package's own pipeline has loaded. Only `internals` knows
Airflow's.
"""
