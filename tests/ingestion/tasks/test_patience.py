"""Outages are waited out, anything else is tried three times; of each client its own errors."""

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from aiohttp import ClientResponseError, ClientSession, RequestInfo
from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from airflow.sdk.definitions.retry_policy import RetryAction
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ingestion.tasks.patience import LONGEST_PAUSE, RETRIES, TRIES, OutageError, WaitOutages, is_outage

MINUTE = timedelta(minutes=1)
POLICY = WaitOutages(MINUTE)


@pytest.fixture
def nobody() -> str:
    """The address of a server that is down."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def ask_bucket(address: str) -> None:
    client = storage.Client("project", AnonymousCredentials(), client_options={"api_endpoint": address})
    client.get_bucket("orders-data", retry=None)


def ask_bucket_as_a_trigger(address: str) -> None:
    async def ask() -> None:
        async with ClientSession() as session:
            await session.get(address)

    asyncio.run(ask())


def ask_databricks(address: str) -> None:
    DatabricksHook("databricks_default", retry_limit=2, retry_delay=0).get_run(1)


@pytest.mark.parametrize("ask", [ask_bucket, ask_bucket_as_a_trigger, ask_databricks])
def test_a_server_that_is_down_is_an_outage_to_each_client(
    nobody: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], None]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", f"databricks://:token@{nobody.removeprefix('http://')}/?")
    with pytest.raises(Exception, match=r".") as caught:
        ask(nobody)
    assert is_outage(caught.value), repr(caught.value)


def answer(status: int) -> ClientResponseError:
    url = URL("http://bucket/")
    return ClientResponseError(RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url), (), status=status)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (google.ServiceUnavailable("503"), True),
        (google.InternalServerError("500"), True),
        (google.TooManyRequests("429"), True),
        (google.RetryError("timeout", google.ServiceUnavailable("503")), True),
        (requests.ReadTimeout(), True),
        (requests.exceptions.ChunkedEncodingError("truncated"), True),
        (answer(503), True),
        (answer(429), True),
        (OutageError("the cluster was lost"), True),
        (google.Forbidden("403"), False),
        (google.NotFound("404"), False),
        (answer(403), False),
        (AirflowException("Response: ..., Status Code: 403"), False),
        (ValueError("a mistake"), False),
    ],
)
def test_what_may_end_by_itself(error: Exception, expected: bool) -> None:
    assert is_outage(error) is expected
    wrapped = AirflowException("as a hook wraps it")
    wrapped.__cause__ = error
    assert is_outage(wrapped) is expected


def test_an_outage_is_waited_out_with_growing_pauses() -> None:
    pauses = [POLICY.evaluate(OutageError("down"), number, RETRIES).retry_delay for number in range(1, RETRIES + 1)]
    minutes = [pause / MINUTE for pause in pauses if pause]
    assert minutes == [1, 2, 4, 8, 16, *[30] * 8]
    assert sum(minutes) == 271


def test_anything_else_is_tried_three_times() -> None:
    decisions = [POLICY.evaluate(ValueError("x"), number, RETRIES) for number in range(1, TRIES + 1)]
    assert [decision.action for decision in decisions] == [RetryAction.RETRY, RetryAction.RETRY, RetryAction.FAIL]
    assert [decision.retry_delay for decision in decisions[:2]] == [MINUTE, 2 * MINUTE]


def test_a_cleared_task_begins_anew() -> None:
    """Airflow lets a cleared task go on counting, and adds to its limit what it was tried before."""
    cleared = 20
    first = POLICY.evaluate(ValueError("x"), cleared + 1, cleared + RETRIES)
    assert (first.action, first.retry_delay) == (RetryAction.RETRY, MINUTE)
    assert POLICY.evaluate(ValueError("x"), cleared + TRIES, cleared + RETRIES).action == RetryAction.FAIL


def test_no_pause_is_longer_than_half_an_hour() -> None:
    assert WaitOutages(timedelta(hours=1)).evaluate(OutageError("x"), 1, RETRIES).retry_delay == LONGEST_PAUSE
