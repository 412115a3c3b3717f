"""A running service for the tests, and the two stock clients that talk to it."""

from collections.abc import Callable

import pytest
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from databricks.sdk import WorkspaceClient

from tests.local.databricks.harness import TOKEN, Service


@pytest.fixture
def make_hook(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], DatabricksHook]:
    """Makes Airflow's Databricks hook, with a connection to the service and a token."""

    def make(token: str) -> DatabricksHook:
        monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", service.connection(token))
        return DatabricksHook(retry_limit=1)

    return make


@pytest.fixture
def hook(make_hook: Callable[[str], DatabricksHook]) -> DatabricksHook:
    """Airflow's hook with the right token."""
    return make_hook(TOKEN)


@pytest.fixture
def sdk(service: Service) -> WorkspaceClient:
    """The Databricks SDK, connected to the service."""
    return WorkspaceClient(host=service.url, token=TOKEN)
