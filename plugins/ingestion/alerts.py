"""Tell people: always in the log, and by e-mail where INGESTION_ALERT_EMAIL and `smtp_default` are set."""

import logging
import os
from collections.abc import Sequence
from html import escape

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import Context

from ingestion.pipeline.settings import load_settings

log = logging.getLogger(__name__)


def tell(context: Context, subject: str, lines: Sequence[str]) -> None:
    """Send one message. A mail server that is down is logged as an error and changes no outcome."""
    log.warning("%s\n%s", subject, "\n".join(lines))
    recipients = load_settings(os.environ).alert_email
    if not recipients:
        return
    body = "<br>".join(escape(line) for line in lines)
    try:
        SmtpNotifier(to=recipients, subject=subject, html_content=body).notify(context)
    except Exception:  # any fault of the mail server; the data is safe and the task's own outcome must stand
        log.exception("The message above could not be mailed to %s", ", ".join(recipients))


def run_failed(context: Context) -> None:
    """DAG-level callback of a failed run."""
    dag_run = context["dag_run"]
    limit = context["dag"].max_consecutive_failed_dag_runs
    what_next = (
        f"After {limit} failed runs in a row the DAG is paused; mend the cause, then unpause it."
        if dag_run.run_type != "backfill"
        else "The backfill goes on with its other days: cancel it in the UI, or run it by `airflow dags backfill`, "
        "which stops by itself."
    )
    tell(
        context,
        f"{dag_run.dag_id}: run {dag_run.run_id} failed",
        [
            f"Reason: {context.get('reason', 'see the log of the failed task')}.",
            f"No file is lost: what was not merged stays in the bucket. {what_next}",
        ],
    )
