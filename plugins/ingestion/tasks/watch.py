"""`watch`: tell people of what no run would ever tell, once, and once more when it is over."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseOperator, Context
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from google.cloud.storage import Bucket

from ingestion import alerts
from ingestion.pipeline import watching
from ingestion.pipeline.environments import ConfiguredFeed, by_bucket
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.watching import Silences, Told
from ingestion.runs.other_runs import last_runs, queued_backfill_days

# A message is for people: of a thousand misspelt files the first ones say it all.
SHOWN = 20


class WatchOperator(BaseOperator):
    """Look at the buckets and at the DAGs of all feeds, and tell what is new and what is over.

    :param feeds: the feeds that are looked after
    :param dag_prefix: what stands before their names in the ids of their DAGs
    :param patience: how long an object may lie under a feed's prefix before people are told
    """

    def __init__(
        self, *, feeds: Iterable[ConfiguredFeed], dag_prefix: str, patience: timedelta, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        # Not their settings as a whole: those may hold secrets.
        self.buckets = {
            bucket: {
                "gcp_conn_id": group[0].settings.google_connection,
                "feeds": [item.feed.model_dump(mode="json") for item in group],
                "told_as": {item.feed.name: item.told_as for item in group},
            }
            for bucket, group in by_bucket(feeds).items()
        }
        self.dag_prefix = dag_prefix
        self.patience = patience

    def execute(self, context: Context) -> list[str]:
        """Tell, and return all that is so now, also what was told before.

        Raises what went wrong with the first bucket that could not be looked at, when all others have been.
        """
        found: list[str] = []
        failures: list[Exception] = []
        for name in self.buckets:
            try:
                found += self._look(context, name)
            except Exception as error:  # raised below: the feeds of other buckets are looked after all the same
                self.log.warning("gs://%s could not be looked at: %r", name, error)
                failures.append(error)
        if failures:
            raise failures[0]
        return found

    def _look(self, context: Context, name: str) -> list[str]:
        """Tell of one bucket, and of the DAGs of its feeds."""
        watched = self.buckets[name]
        feeds = [Feed.model_validate(feed) for feed in watched["feeds"]]
        bucket = GCSHook(gcp_conn_id=watched["gcp_conn_id"]).get_conn().bucket(name)
        now = datetime.now(UTC)
        before = watching.read_told(bucket, self.dag_prefix)
        told = {key: text for key, text in before.told.items() if not watching.is_forgotten(key, now)}
        found = watching.silences(bucket, feeds, self.patience, now, told, self.dag_prefix)
        found |= paused(bucket, feeds, self.dag_prefix)
        standing = standing_backfills(feeds, self.dag_prefix)
        # Between two of its days no run of a backfill is running either.
        found |= {key: text for key, text in standing.items() if key in told or key in before.suspected}
        new = {key: text for key, text in found.items() if key not in told}
        over = {key: text for key, text in told.items() if key not in found}
        self._tell(context, new, over, feeds, watched["told_as"])
        # Told before it is remembered: a try killed in between tells twice; the other way round, nobody would be told.
        watching.write_told(bucket, Told(told=found, suspected=standing), self.dag_prefix)
        return list(found.values())

    def _tell(
        self, context: Context, new: Silences, over: Silences, feeds: list[Feed], told_as: dict[str, str | None]
    ) -> None:
        """Tell each thing to those of the feeds that it is about: one message for all that the same people hear."""
        listeners = {
            key: {told_as[feed.name] for feed in watching.concerned(key, feeds)} or {None} for key in new | over
        }
        for listener in sorted(set().union(*listeners.values()), key=str):
            its_new, its_over = (
                [text for key, text in silences.items() if listener in listeners[key]] for silences in (new, over)
            )
            subject = f"{self.dag_prefix}ingestion_watch: {_counts(its_new, its_over)}"
            lines = [*_shown(its_new), *(f"Over: {text}" for text in _shown(its_over))]
            alerts.tell(context, subject, lines, feed=listener)


def paused(bucket: Bucket, feeds: Iterable[Feed], dag_prefix: str) -> Silences:
    """Feeds whose DAG is paused: files that come are not loaded, and no run says so."""
    dags = {f"{dag_prefix}{feed.name}": feed for feed in feeds}
    return {
        f"paused {feed.name}": (
            f"DAG {dag} is paused, by somebody or for failed runs in a row: no file of the feed is loaded. "
            f"{last_runs(dag)} {watching.waiting_files(bucket, feed)} Mend what failed, then unpause it, by "
            f"`airflow dags unpause {dag}` or in the UI: what waits is loaded without more."
        )
        for dag, feed in dags.items()
        if RuntimeTaskInstance.get_dag(dag).is_paused
    }


def standing_backfills(feeds: Iterable[Feed], dag_prefix: str) -> Silences:
    """Backfills of which days are queued and none runs."""
    found = {}
    for feed in feeds:
        dag = f"{dag_prefix}{feed.name}"
        if days := queued_backfill_days(dag):
            found[f"backfill {feed.name}"] = (
                f"A backfill of {dag} stands still: {days} of its days are queued and none runs. It is paused, or its "
                f"DAG is: unpause it in the UI (Browse, Backfills), or give it up by `airflow dags backfill {dag} "
                "--cancel`."
            )
    return found


def _counts(new: list[str], over: list[str]) -> str:
    parts = [f"{len(new)} thing(s) need a look"] if new else []
    parts += [f"{len(over)} over"] if over else []
    return ", ".join(parts)


def _shown(texts: list[str]) -> list[str]:
    more = len(texts) - SHOWN
    return [*texts[:SHOWN], f"... and {more} more, in the task's return value"] if more > 0 else texts
