"""Tell people: always in the log, and by the e-mail and the channels of the settings.

Those are looked up when there is something to tell, so that no DAG holds them: they may be secret.
"""

import logging
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import BaseNotifier, Context
from airflow.sdk.log import mask_secret, redact
from airflow.sdk.module_loading import import_string

from ingestion.pipeline.channels import Channel
from ingestion.pipeline.environments import settings_for
from ingestion.pipeline.feed_files import FeedError
from ingestion.pipeline.settings import Settings, SettingsError, load_settings

log = logging.getLogger(__name__)
# So long a part of an address is no word: it lets in whoever knows it.
_TOKEN = re.compile(r"[\w.~+-]{16,}")
_WORD = re.compile(r"\{(?:subject|text|html)\}")


def tell(context: Context, subject: str, lines: Sequence[str], feed: str | None = None) -> None:
    """Send one message, as the settings of the feed say, which is by default that of the DAG in the context.

    A channel that is down, or settings that cannot be read, are logged as an error and change no outcome.
    """
    text = "\n".join(lines)
    log.warning("%s\n%s", subject, text)
    settings = _settings(context, feed)
    for name, channel in channels(settings) if settings else ():
        mask_arguments(channel.model_extra)
        try:
            notifier(channel, subject, text).notify(context)
        except Exception:  # any fault of a channel; the data is safe and the task's own outcome must stand
            # As text: where Airflow logs to a terminal it masks no exceptions.
            log.error("The message above could not be sent by %s\n%s", name, redact(traceback.format_exc()))


def _settings(context: Context, feed: str | None) -> Settings | None:
    """Those of a feed, of its environment if it has none of its own or if its file is broken; None if those are too.

    Its environment is the folder of the DAG's file. Without a DAG there are the variables alone.
    """
    dag = context.get("dag")
    try:
        if dag is None:
            return load_settings(os.environ)
        folder = Path(dag.fileloc).parent
        of_all = settings_for(folder, os.environ, None)
    except SettingsError as error:
        log.error("The message above is sent to nobody: %s", error)
        return None
    try:
        return settings_for(folder, os.environ, feed or dag.dag_id.removeprefix(of_all.dag_prefix))
    except (FeedError, SettingsError) as error:
        log.error(
            "The message above is sent as settings.yaml and INGESTION_* say, for the feed's file is wrong: %s", error
        )
        return of_all


def channels(settings: Settings) -> Iterator[tuple[str, Channel]]:
    """Each channel with what to call it where it is logged: its arguments may be secret."""
    if settings.alert_email:
        mail = f"{SmtpNotifier.__module__}.{SmtpNotifier.__name__}"
        arguments = {"to": settings.alert_email, "subject": "{subject}", "html_content": "{html}"}
        yield f"mail to {', '.join(settings.alert_email)}", Channel(notifier=mail, **arguments)
    for channel in settings.alert_channels:
        yield channel.notifier, channel


def mask_arguments(value: Any, name: str | None = None) -> None:  # noqa: ANN401 - JSON
    """Have Airflow mask the addresses and secrets among a channel's arguments in what it logs, errors of others too.

    Who knows the address of a webhook can send through it, and an error often quotes a part of it.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            mask_arguments(item, key)
    elif isinstance(value, list):
        for item in value:
            mask_arguments(item, name)
    elif isinstance(value, str) and "://" in value:
        place = value.partition("://")[2]
        for part in (value, place, place.partition("/")[2], *_TOKEN.findall(place.partition("/")[2])):
            mask_secret(part)
    elif isinstance(value, str) and name:
        mask_secret(value, name)


def notifier(channel: Channel, subject: str, text: str) -> BaseNotifier:
    """The notifier of a channel, filled in with a message."""
    html = "<br>".join(escape(line) for line in text.split("\n"))
    words = {"{subject}": subject, "{text}": text, "{html}": html}
    arguments = {name: _filled(value, words) for name, value in (channel.model_extra or {}).items()}
    return import_string(channel.notifier)(**arguments)


def _filled(value: Any, words: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _filled(item, words) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if isinstance(value, str):
        # One pass: a message may hold such a word itself.
        return _WORD.sub(lambda word: words[word[0]], value)
    return value


def run_failed(context: Context) -> None:
    """DAG-level callback of a failed run.

    It uses what Airflow gives in any case: for a run that failed without a task there is no `dag_run` in the context.
    """
    dag, run_id = context["dag"], context["run_id"]
    limit = dag.max_consecutive_failed_dag_runs
    if run_id.startswith("backfill__"):
        what_next = (
            "The backfill goes on with its other days: cancel it in the UI, or run it by `airflow dags backfill`, "
            "which stops by itself."
        )
    elif limit:
        what_next = f"After {limit} failed runs in a row the DAG is paused; mend the cause, then unpause it."
    else:
        what_next = "The DAG goes on with its next run."
    tell(
        context,
        f"{dag.dag_id}: run {run_id} failed",
        [
            f"Reason: {context.get('reason', 'see the log of the failed task')}.",
            f"No file is lost: what was not merged stays in the bucket. {what_next}",
        ],
    )
