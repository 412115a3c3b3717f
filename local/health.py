"""Whether a service is ready: asked by the stack's supervisor, and as the health check of a container.

`python health.py answers URL`, `listens HOST:PORT` or `beats URL JOB` (an Airflow job, at the URL of Airflow's health)
ends with 0 if so. Standard library only: a container has this file alone.
"""

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from typing import Any

TIMEOUT_SECONDS = 2
# A job sends a heartbeat every 5 s or so; Airflow itself calls it dead after this long.
SILENCE_SECONDS = 30

_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # these servers are beside us: no proxy applies


def is_ready(check: Sequence[str], since: float) -> bool:
    """Whether a check passes. A heartbeat counts if it is not older than `since`, in seconds since the epoch."""
    match check:
        case ["answers", url]:
            return _get(url) is not None
        case ["listens", address]:
            host, _, port = address.rpartition(":")
            return listens(host, int(port))
        case ["beats", url, job]:
            return has_beaten(_get(url), job, since)
        case _:
            raise ValueError(f"no such check: {' '.join(check)}")


def listens(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def has_beaten(health: dict[str, Any] | None, job: str, since: float) -> bool:
    """Whether the job has sent a heartbeat since then: Airflow calls a dead one healthy for half a minute."""
    beat = (health or {}).get(job, {}).get(f"latest_{job}_heartbeat")
    return bool(beat) and datetime.fromisoformat(beat).timestamp() >= since


def _get(url: str) -> dict[str, Any] | None:
    """The JSON answer of a server, None while there is none."""
    try:
        with _http.open(url, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except (OSError, ValueError):  # no server yet, an error as its answer, or an answer cut short
        return None


if __name__ == "__main__":
    sys.exit(0 if is_ready(sys.argv[1:], time.time() - SILENCE_SECONDS) else 1)
