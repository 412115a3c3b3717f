"""Whether people can be told: each channel is there with its connections, and a mail server lets the pipeline in."""

import smtplib
from collections.abc import Iterable, Iterator

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import BaseNotifier

from ingestion import alerts
from ingestion.checks.connections import is_defined
from ingestion.pipeline.findings import Check, Finding, described, fail, ok, warn
from ingestion.pipeline.settings import Channel, Settings


def check_channels(settings: Iterable[Settings]) -> Check[None]:
    """Everything that can be seen of the channels of these settings without a message, of each channel once."""
    channels = [channel for each in settings for channel in alerts.channels(each)]
    if not channels:
        yield warn(
            "alerts",
            "nobody is told of what fails but in the log: set INGESTION_ALERT_EMAIL or INGESTION_ALERT_CHANNELS",
        )
    for n, (name, channel) in enumerate(channels):
        if (name, channel) in channels[:n]:
            continue
        alerts.mask_arguments(channel.model_extra)
        yield from _channel(f"alerts, {name}", channel)


def _channel(name: str, channel: Channel) -> Iterator[Finding]:
    try:
        notifier = alerts.notifier(channel, "subject", "text")
    except Exception as error:  # whatever its class does: a message would meet the same
        yield fail(
            name,
            f"{channel.notifier} cannot be made ({described(error)}): see its provider and its arguments in "
            "INGESTION_ALERT_CHANNELS",
        )
        return
    missing = [conn_id for conn_id in _connections(notifier) if not is_defined(conn_id)]
    for conn_id in missing:
        yield fail(name, f"there is no connection {conn_id}: define it, `airflow connections add {conn_id} ...`")
    if missing:
        return
    if isinstance(notifier, SmtpNotifier):
        yield _mail(name, notifier)
    else:
        yield ok(name, "it can be made and its connections are defined; whether they work, only a message shows")


def _connections(notifier: BaseNotifier) -> list[str]:
    """The ids of the connections that it uses, by the names that all of them give these."""
    return [value for key, value in vars(notifier).items() if key.endswith("conn_id") and isinstance(value, str)]


def _mail(name: str, notifier: SmtpNotifier) -> Finding:
    """Whether the server takes the login. Nothing is sent."""
    try:
        with SmtpHook(notifier.smtp_conn_id, auth_type=notifier.auth_type) as server:
            sender = notifier.from_email or server.from_email
    except smtplib.SMTPAuthenticationError as error:
        return fail(name, f"the server refuses the login ({error.smtp_code}): mend it in {notifier.smtp_conn_id}")
    except (OSError, AirflowException) as error:  # those of smtplib are OSErrors
        return fail(
            name,
            f"the server of connection {notifier.smtp_conn_id} cannot be used ({described(error)}): see host, port, "
            "disable_ssl and disable_tls there",
        )
    if not sender:
        return fail(name, f"connection {notifier.smtp_conn_id} names no sender: set from_email in its extra")
    return ok(name, f"the server lets in who sends as {sender}")
