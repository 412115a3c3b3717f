"""`watch`: tell people of what no run would ever tell, once, and once more when it is over."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseOperator, Context
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from google.cloud.storage import Bucket

from ingestion import alerts
from ingestion.pipeline import watching
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.watching import Silences, Told
from ingestion.runs.other_runs import last_runs, queued_backfill_days

# A message is for people: of a thousand misspelt files the first ones say it all.
SHOWN = 20


class WatchOperator(BaseOperator):
    """Look at the bucket and at the DAGs of all feeds, and tell what is new and what is over.

    :param feeds: the feeds that are looked after
    :param bucket: the bucket that their files come to
    :param patience: how long an object may lie under a feed's prefix before people are told
    """

    def __init__(
        self,
        *,
        feeds: Iterable[Feed],
        bucket: str,
        patience: timedelta,
        gcp_conn_id: str = "google_cloud_default",
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.feeds = [feed.model_dump(mode="json") for feed in feeds]
        self.bucket = bucket
        self.patience = patience
        self.gcp_conn_id = gcp_conn_id

    def execute(self, context: Context) -> list[str]:
        """Tell, and return all that is so now, also what was told before."""
        feeds = [Feed.model_validate(feed) for feed in self.feeds]
        bucket = GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)
        now = datetime.now(UTC)
        before = watching.read_told(bucket)
        told = {key: text for key, text in before.told.items() if not watching.is_forgotten(key, now)}
        found = watching.silences(bucket, feeds, self.patience, now, told) | paused(bucket, feeds)
        standing = standing_backfills(feeds)
        # Between two of its days no run of a backfill is running either.
        found |= {key: text for key, text in standing.items() if key in told or key in before.suspected}
        new = [text for key, text in found.items() if key not in told]
        over = [text for key, text in told.items() if key not in found]
        if new or over:
            alerts.tell(context, _subject(new, over), [*_shown(new), *(f"Over: {text}" for text in _shown(over))])
        # Told before it is remembered: a try killed in between tells twice; the other way round, nobody would be told.
        watching.write_told(bucket, Told(told=found, suspected=standing))
        return list(found.values())


def paused(bucket: Bucket, feeds: Iterable[Feed]) -> Silences:
    """Feeds whose DAG is paused: files that come are not loaded, and no run says so."""
    return {
        f"paused {feed.name}": (
            f"DAG {feed.name} is paused, by somebody or for failed runs in a row: no file of the feed is loaded. "
            f"{last_runs(feed.name)} {watching.waiting_files(bucket, feed)} Mend what failed, then unpause it, by "
            f"`airflow dags unpause {feed.name}` or in the UI: what waits is loaded without more."
        )
        for feed in feeds
        if RuntimeTaskInstance.get_dag(feed.name).is_paused
    }


def standing_backfills(feeds: Iterable[Feed]) -> Silences:
    """Backfills of which days are queued and none runs."""
    queued = {feed.name: queued_backfill_days(feed.name) for feed in feeds}
    return {
        f"backfill {name}": (
            f"A backfill of {name} stands still: {days} of its days are queued and none runs. It is paused, or its DAG "
            f"is: unpause it in the UI (Browse, Backfills), or give it up by `airflow dags backfill {name} --cancel`."
        )
        for name, days in queued.items()
        if days
    }


def _subject(new: list[str], over: list[str]) -> str:
    parts = [f"{len(new)} thing(s) need a look"] if new else []
    parts += [f"{len(over)} over"] if over else []
    return f"ingestion_watch: {', '.join(parts)}"


def _shown(texts: list[str]) -> list[str]:
    more = len(texts) - SHOWN
    return [*texts[:SHOWN], f"... and {more} more, in the task's return value"] if more > 0 else texts
