"""What people are told, and through which channels."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message as EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from airflow.sdk import DAG, BaseHook, BaseNotifier, Context

from ingestion import alerts
from local.stack.processes import free_port


class Webhook(BaseNotifier):
    """A notifier as providers have them: its address comes from a connection."""

    def __init__(self, *, conn_id: str, body: dict[str, Any]) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.body = body

    def notify(self, context: Context) -> None:
        httpx.post(BaseHook.get_connection(self.conn_id).get_uri().split("?")[0], json=self.body).raise_for_status()


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What comes to a webhook on this machine, whose address is in the connection `hook`."""
    bodies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    yield bodies
    server.shutdown()
    thread.join()
    server.server_close()


class Mailbox(Message):
    """Keeps what a mail server is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[EmailMessage] = []

    def handle_message(self, message: EmailMessage) -> None:
        self.messages.append(message)


def channel(**arguments: object) -> dict[str, object]:
    return {"notifier": f"{__name__}.Webhook", "conn_id": "hook"} | arguments


def test_a_message_goes_through_every_channel_though_one_is_down(
    posted: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    channels = [
        channel(conn_id="nowhere", body={}),
        {"notifier": "no.such.Notifier"},
        channel(body={"title": "{subject}", "blocks": [{"text": "*{subject}*: {text}"}], "level": 1}),
    ]
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", "http://127.0.0.1:9/")
    monkeypatch.setenv("INGESTION_ALERT_CHANNELS", json.dumps(channels))
    with caplog.at_level(logging.WARNING):
        alerts.tell({}, "a {text} subject", ["first <line>", "{{ second }} {subject}"])
    text = "first <line>\n{{ second }} {subject}"
    assert posted == [{"title": "a {text} subject", "blocks": [{"text": f"*a {{text}} subject*: {text}"}], "level": 1}]
    told = [
        record.getMessage().partition("\nTraceback")[0] for record in caplog.records if record.name == alerts.__name__
    ]
    assert told == [
        f"a {{text}} subject\n{text}",
        f"The message above could not be sent by {__name__}.Webhook",
        "The message above could not be sent by no.such.Notifier",
    ]


class Leaking(BaseNotifier):
    """One as many are: its errors and its client's log quote the address, or a part of it."""

    def __init__(self, *, url: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.url = url
        self.options = options

    def notify(self, context: Context) -> None:
        logging.getLogger("httpx").info("HTTP Request: POST %s", self.url)
        path = self.url.partition("://")[2].partition("/")[2]
        raise ConnectionError(f"Max retries exceeded with url: /{path} {path.rpartition('/')[2]} {self.options}")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_log_holds_the_address_or_the_token_of_a_channel(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    """By Airflow's own logging, to a file and to a terminal: nothing else masks."""
    secrets = ["https://hooks.example.com/services/T0/aHR0cHM6Ly9leGFt", "aHR0cHM6Ly9leGFt", "to-be-kept-secret"]
    arguments = {"url": secrets[0], "options": {"auth": [{"token": secrets[2]}]}}
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    channels = [{"notifier": f"{__name__}.Leaking"} | arguments]
    monkeypatch.setenv("INGESTION_ALERT_CHANNELS", json.dumps(channels))
    script = f"""
import io, sys
from airflow.sdk.log import configure_logging
configure_logging(json_output={as_json}, output=sys.stdout.buffer if {as_json} else sys.stdout)
from ingestion import alerts
from local.stack.processes import free_port
alerts.tell({{}}, "subject", ["a line"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "could not be sent by" in done.stdout
    assert "Max retries exceeded with url: /***" in done.stdout
    assert [secret for secret in secrets if secret in done.stdout + done.stderr] == []


def test_a_mail_server_is_sent_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the provider's notifier and its connection, to a server of this machine."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    connection = {"conn_type": "smtp", "host": server.hostname, "port": server.port}
    options = {"from_email": "sender@example.com", "disable_ssl": True, "disable_tls": True}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection | {"extra": options}))
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    monkeypatch.setenv("INGESTION_ALERT_EMAIL", "a@example.com, b@example.com")
    server.start()
    try:
        alerts.tell({}, "subject", ["first <line>", "second"])
    finally:
        server.stop()
    (mail,) = mailbox.messages
    assert mail["X-RcptTo"] == "a@example.com, b@example.com"
    assert (mail["From"], mail["Subject"]) == ("sender@example.com", "subject")
    (part,) = mail.get_payload()
    assert part.get_payload(decode=True).decode() == "first &lt;line&gt;<br>second"


@pytest.mark.parametrize(
    ("run_id", "limit", "says"),
    [
        ("scheduled__2026-11-20T10:00:00+00:00", 3, "After 3 failed runs in a row the DAG is paused"),
        ("manual__2026-11-20T10:00:00+00:00", 3, "After 3 failed runs in a row the DAG is paused"),
        ("backfill__2026-11-20T00:00:00+00:00", 3, "The backfill goes on with its other days"),
        ("scheduled__2026-11-20T10:00:00+00:00", 0, "The DAG goes on with its next run"),
    ],
)
def test_a_failed_run_is_told_also_where_airflow_knows_only_its_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, run_id: str, limit: int, says: str
) -> None:
    monkeypatch.setenv("INGESTION_JOBS", "/Workspace/Shared/ingestion/spark_jobs")
    dag = DAG("order_tracking", max_consecutive_failed_dag_runs=limit)
    with caplog.at_level(logging.WARNING):
        alerts.run_failed({"dag": dag, "run_id": run_id, "reason": "timed_out"})
    assert f"order_tracking: run {run_id} failed" in caplog.text
    assert "Reason: timed_out." in caplog.text
    assert says in caplog.text
