"""The stack as its tests run it, its clients as fixtures, and the first day of their story."""

from collections.abc import Iterator

import pytest
from google.cloud.storage import Bucket

from local import clients
from tests.conftest import Stack
from tests.e2e.clients import Airflow, Deliveries, Lakehouse
from tests.e2e.jobs import Jobs
from tests.e2e.story import FIRST_DAY, wait_until_archived
from tests.local.databricks.harness import FEW_BATCHES


@pytest.fixture(scope="session")
def few_batches() -> Iterator[pytest.MonkeyPatch]:
    """Java's settings for Spark, and shorter pauses before retries, in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (FEW_BATCHES | {"INGESTION_RETRY_SECONDS": "2"}).items():
            patch.setenv(name, value)
        yield patch


@pytest.fixture(scope="session")
def stack(few_batches: pytest.MonkeyPatch, stack: Stack) -> Stack:
    """The stack with these settings. It has them now: what other tests start need not."""
    few_batches.undo()
    return stack


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
def jobs(stack: Stack) -> Jobs:
    """The Databricks service itself, without its proxy."""
    return Jobs(stack)


@pytest.fixture
def healed(stack: Stack) -> Iterator[None]:
    """The test leaves no fault behind."""
    yield
    stack.bucket.heal()
    stack.databricks.heal()


@pytest.fixture(scope="session")
def live_bucket(stack: Stack) -> Bucket:
    return clients.bucket(stack.home)


@pytest.fixture(scope="session")
def deliveries(live_bucket: Bucket) -> Deliveries:
    return Deliveries(live_bucket)


@pytest.fixture(scope="session")
def first_run(airflow: Airflow, live_bucket: Bucket, deliveries: Deliveries) -> str:
    """The live run that has loaded the first file of all, of 2026-11-20."""
    return wait_until_archived(airflow, live_bucket, deliveries.put("order_tracking_2026_11_20.csv", FIRST_DAY))
