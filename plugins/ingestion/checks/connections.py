"""Airflow's connections: whether there is one, and that none of its secrets is told."""

from airflow.exceptions import AirflowNotFoundException
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret


def is_defined(conn_id: str) -> bool:
    """Whether there is such a connection. From then on its secrets are masked."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return False
    # Airflow masks them as they are. One that ends in a line break is quoted with that written out as two characters.
    if connection.password:
        mask_secret(connection.password.strip())
    for name, value in connection.extra_dejson.items():
        if isinstance(value, str):
            mask_secret(value.strip(), name)
    return True
