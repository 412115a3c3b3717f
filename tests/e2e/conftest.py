"""The running stack's clients as fixtures."""

import json
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client

from tests.conftest import Stack
from tests.e2e.clients import Airflow, Deliveries, Lakehouse


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> Airflow:
    passwords = json.loads(Path(stack.env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).read_text())
    return Airflow(stack.env["AIRFLOW__API__BASE_URL"], passwords["admin"])


@pytest.fixture(scope="session")
def lakehouse(stack: Stack) -> Lakehouse:
    return Lakehouse(Path(stack.env["LAKEHOUSE_DIR"]))


@pytest.fixture(scope="session")
def live_bucket(stack: Stack) -> Bucket:
    endpoint = {"api_endpoint": stack.env["STORAGE_EMULATOR_HOST"]}
    client = Client(project="local", credentials=AnonymousCredentials(), client_options=endpoint)
    return client.bucket(stack.env["INGESTION_BUCKET"])


@pytest.fixture(scope="session")
def deliveries(live_bucket: Bucket) -> Deliveries:
    return Deliveries(live_bucket)
