"""What is said of the channels: a real mail server with a login, and notifiers with and without their connections."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from airflow.sdk import BaseNotifier, Context

from ingestion.checks.telling import check_channels
from ingestion.pipeline.findings import Finding
from ingestion.pipeline.settings import load_settings
from local.stack.processes import free_port

MAIL = "alerts, mail to team@example.com"
PASSWORD = "S3CRET-of-smtp"


class Webhook(BaseNotifier):
    """A notifier as providers have them."""

    def __init__(self, *, conn_id: str, body: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    def notify(self, context: Context) -> None:
        pytest.fail("nothing is sent")


class NoMail:
    """Nothing is sent."""

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802 - as the server calls it
        pytest.fail("nothing is sent")


@pytest.fixture
def smtp() -> Iterator[dict[str, Any]]:
    """A mail server that wants a login, as a connection has it."""

    def login(_: object, __: object, ___: object, ____: object, given: LoginPassword) -> AuthResult:
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)

    options = {"authenticator": login, "auth_required": True, "auth_require_tls": False}
    controller = Controller(NoMail(), hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "etl@example.com"}
    address = {"conn_type": "smtp", "host": "127.0.0.1", "port": controller.port, "login": "etl", "password": PASSWORD}
    yield address | {"extra": extra}
    controller.stop()


def said(monkeypatch: pytest.MonkeyPatch, smtp: dict[str, Any] | None = None, **variables: str) -> list[Finding]:
    if smtp:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(smtp))
    settings = load_settings({"INGESTION_JOBS": "/Workspace/Shared"} | variables)
    return list(check_channels([settings, settings]))


def mailed(monkeypatch: pytest.MonkeyPatch, smtp: dict[str, Any] | None) -> Finding:
    (finding,) = said(monkeypatch, smtp, INGESTION_ALERT_EMAIL="team@example.com")
    assert finding.name == MAIL
    assert PASSWORD not in finding.text
    return finding


def test_nobody_who_is_told_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = said(monkeypatch)
    assert (finding.level, finding.name) == ("warn", "alerts")
    assert "INGESTION_ALERT_EMAIL" in finding.text


def test_a_mail_server_that_lets_us_in(monkeypatch: pytest.MonkeyPatch, smtp: dict[str, Any]) -> None:
    finding = mailed(monkeypatch, smtp)
    assert (finding.level, finding.text) == ("ok", "the server lets in who sends as etl@example.com")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "another"}, "refuses the login (535)"),
        ({"port": 1}, "cannot be used (ConnectionRefusedError"),
        ({"extra": {"disable_ssl": True, "disable_tls": True}}, "names no sender: set from_email"),
        # As it is without either in the connection: SSL, to a server that has none.
        ({"extra": {}}, "disable_ssl and disable_tls"),
    ],
    ids=["login", "port", "sender", "ssl"],
)
def test_a_mail_server_that_does_not(
    monkeypatch: pytest.MonkeyPatch, smtp: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    finding = mailed(monkeypatch, smtp | change)
    assert finding.level == "FAIL"
    assert words in finding.text


def test_a_connection_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = mailed(monkeypatch, None)
    assert finding.level == "FAIL"
    assert "there is no connection smtp_default" in finding.text


def channels(**arguments: object) -> str:
    return json.dumps([{"notifier": f"{__name__}.Webhook", "conn_id": "hook", "body": "{text}"} | arguments])


@pytest.mark.parametrize(
    ("arguments", "level", "words"),
    [
        ({}, "ok", "only a message shows"),
        ({"conn_id": "nowhere"}, "FAIL", "there is no connection nowhere"),
        ({"coler": "red"}, "FAIL", "unexpected keyword argument 'coler'"),
        ({"notifier": "airflow.providers.nothing.Notifier"}, "FAIL", "see its provider"),
    ],
)
def test_a_notifier_is_made_and_its_connections_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], level: str, words: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", "http://127.0.0.1:1/")
    (finding,) = said(monkeypatch, INGESTION_ALERT_CHANNELS=channels(**arguments))
    assert finding.level == level
    assert words in finding.text
