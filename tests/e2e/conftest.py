"""The running stack's clients as fixtures."""

import pytest
from google.cloud.storage import Bucket

from local import clients
from tests.conftest import Stack
from tests.e2e.clients import Airflow, Deliveries, Lakehouse


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> Airflow:
    return Airflow(stack.home)


@pytest.fixture(scope="session")
def activity(stack: Stack) -> Airflow:
    """The second feed."""
    return Airflow(stack.home, "user_activity")


@pytest.fixture(scope="session")
def lakehouse(stack: Stack) -> Lakehouse:
    return Lakehouse(stack.home)


@pytest.fixture(scope="session")
def live_bucket(stack: Stack) -> Bucket:
    return clients.bucket(stack.home)


@pytest.fixture(scope="session")
def deliveries(live_bucket: Bucket) -> Deliveries:
    return Deliveries(live_bucket)
