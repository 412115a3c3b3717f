"""Repeating what another writer of the same table made fail."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from pyspark.errors import PySparkException

from ingestion_jobs.errors import ConflictError

T = TypeVar("T")

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0
_CONDITIONS = ("DELTA_CONCURRENT_", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")
_CLASSES = (
    "ConcurrentAppendException",
    "ConcurrentDeleteReadException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentTransactionException",
    "ConcurrentWriteException",
    "MetadataChangedException",
    "ProtocolChangedException",
)


def is_conflict(error: PySparkException) -> bool:
    """Whether Delta refused a commit because of another writer, so that the same work can succeed when repeated."""
    condition = error.getCondition() or ""
    return condition.startswith(_CONDITIONS) or any(name in str(error) for name in _CLASSES)


def repeat_on_conflict(what: str, action: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """What `action` returns, calling it again, with growing pauses, while it fails on a Delta conflict.

    `action` must be the whole work, reads included. `what` names it in the ConflictError of the last failure.
    """
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except PySparkException as error:
            if not is_conflict(error):
                raise
            if attempt == attempts:
                reason = str(error).strip().splitlines()[0]
                raise ConflictError(
                    f"{what} met another writer {attempts} times: see what else writes there, then clear this task "
                    f"({reason})"
                ) from error
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    raise AssertionError("unreachable")
