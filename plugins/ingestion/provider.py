"""What Airflow learns through the entry point `apache_airflow_provider`: the commands `airflow ingestion ...`."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The package, as Airflow lists it, and where its commands are."""
    return {
        "package-name": "gcs-delta-ingestion",
        "name": "File ingestion",
        "description": "From files in a bucket to one correct Delta table.",
        "cli": ["ingestion.cli.commands"],
    }
