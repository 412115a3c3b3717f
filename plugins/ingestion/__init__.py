"""Airflow-side parts of the file ingestion pipeline: from files in a bucket to one Delta table.

`feeds`, `settings`, `manifest`, `intake` and `payload` are pure; `storage` speaks to the bucket; `planning` and
`archiving` decide with them and act through `storage`. None of these imports Airflow. `sensor`, `operators`,
`timetable`, `alerts` and `plugin` are what Airflow loads.
"""
