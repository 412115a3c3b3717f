"""The DAG files as Airflow parses them."""

import shutil
import socket
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.conftest import REPO


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the DAG folder that a test may change, in an environment without connections or network."""
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return copy_of_dags(tmp_path / "dags")


def copy_of_dags(folder: Path) -> Path:
    return Path(shutil.copytree(REPO / "dags", folder, ignore=shutil.ignore_patterns("__pycache__")))


def refuse(*_: object) -> None:
    pytest.fail("parsing a DAG file must not open a connection")


def parse(folder: Path) -> DagBag:
    return DagBag(folder, load_op_links=False)
