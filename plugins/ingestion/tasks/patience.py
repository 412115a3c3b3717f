"""How often, and after which pauses, a task is tried again: an outage is waited out, a mistake is not."""

from collections.abc import Iterator
from datetime import timedelta

import requests
import tenacity
from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponseError
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import Context, RetryDecision, RetryPolicy
from google.api_core import exceptions as google
from google.auth.exceptions import TransportError

# Of a task that fails for another reason than an outage.
TRIES = 3
LONGEST_PAUSE = timedelta(minutes=30)
# With a first pause of a minute these take four and a half hours.
RETRIES = 13


class OutageError(AirflowException):
    """A service that is down for now, as one of the pipeline's tasks has found out. The message names it."""


# What the clients raise of a service that is down or busy, having tried it several times themselves.
_OUTAGES = (
    OutageError,
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    tenacity.RetryError,  # the Databricks hook's, wrapped in an AirflowException
    google.ServerError,
    google.TooManyRequests,
    google.RetryError,
    TransportError,
    ClientConnectionError,
    ClientPayloadError,
)
_BUSY = 429
_SERVER_ERROR = 500


class WaitOutages(RetryPolicy):
    """Growing pauses of up to half an hour, counted anew when the task is cleared.

    :param first_pause: before the second try; it doubles from there
    """

    def __init__(self, first_pause: timedelta) -> None:
        self.first_pause = first_pause

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Whether the task is tried again, and after which pause."""
        # Airflow adds what a task was tried before it was cleared to both numbers.
        tries = try_number - (max_tries - RETRIES)
        if not is_outage(exception) and tries >= TRIES:
            return RetryDecision.fail(f"tried {tries} times, and this is no outage that would end by itself")
        # Without the bound the power would soon be more seconds than there is a duration for.
        pause = min(self.first_pause * 2 ** min(tries - 1, RETRIES), LONGEST_PAUSE)
        return RetryDecision.retry(pause, "an outage is waited out" if is_outage(exception) else None)


def is_outage(error: BaseException) -> bool:
    """Whether the error, or one that it was raised for, says that a service is down and may come back by itself."""
    return any(
        isinstance(cause, _OUTAGES)
        or (isinstance(cause, ClientResponseError) and (cause.status >= _SERVER_ERROR or cause.status == _BUSY))
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
