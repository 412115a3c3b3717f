import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.health import has_beaten
from local.stack.processes import free_port

SCRIPT = Path(__file__).resolve().parents[2] / "local" / "health.py"
NINE = datetime(2026, 9, 1, 9, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("beat", "expected"),
    [("2026-09-01T08:59:55+00:00", False), ("2026-09-01T09:00:01+00:00", True), (None, False)],
    ids=["of the run before", "of this run", "none yet"],
)
def test_only_a_heartbeat_of_this_run_counts(beat: str | None, expected: bool) -> None:
    health = {"scheduler": {"status": "healthy", "latest_scheduler_heartbeat": beat}}
    assert has_beaten(health, "scheduler", NINE) is expected


def test_without_an_answer_nothing_beats() -> None:
    assert has_beaten(None, "triggerer", NINE) is False


@contextmanager
def server(status: int, answer: object) -> Iterator[int]:
    """A server of one answer; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


def ends(*check: str) -> int:
    """The exit code of the script, run as a container does: alone, by an interpreter without this project."""
    environment = {"http_proxy": "http://127.0.0.1:9"}  # a proxy that would refuse
    return subprocess.run([sys.executable, "-I", SCRIPT, *check], env=environment, check=False).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_server_answers_if_its_answer_is_a_good_one(status: int, code: int) -> None:
    with server(status, {}) as port:
        assert ends("answers", f"http://127.0.0.1:{port}/health") == code


def test_a_server_that_is_not_there_does_not_answer() -> None:
    assert ends("answers", f"http://127.0.0.1:{free_port()}/health") == 1


def test_a_port_listens_while_its_server_runs() -> None:
    with server(200, {}) as port:
        assert ends("listens", f"127.0.0.1:{port}") == 0
    assert ends("listens", f"127.0.0.1:{port}") == 1


@pytest.mark.parametrize(("age", "code"), [(5, 0), (120, 1)])
def test_a_job_that_was_silent_too_long_is_ill_whatever_airflow_calls_it(age: int, code: int) -> None:
    beat = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    with server(200, {"triggerer": {"status": "healthy", "latest_triggerer_heartbeat": beat}}) as port:
        assert ends("beats", f"http://127.0.0.1:{port}", "triggerer") == code


def test_an_unknown_check_is_refused() -> None:
    assert ends("pings", "http://127.0.0.1") == 1
