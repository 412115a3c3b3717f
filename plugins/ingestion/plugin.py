"""What Airflow loads through the entry point `airflow.plugins`."""

from airflow.plugins_manager import AirflowPlugin

from ingestion import preload
from ingestion.runs.timetable import FileArrivalTimetable


class IngestionPlugin(AirflowPlugin):
    """The timetable and the preload. Install and restart every Airflow component before a DAG uses a new class."""

    name = "ingestion"
    timetables = (FileArrivalTimetable,)
    listeners = (preload,)
