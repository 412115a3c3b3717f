"""`detect_new_files`: wait until the bucket holds a file of the feed, without a worker slot."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from aiohttp import ClientResponseError, ClientSession
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.providers.google.cloud.sensors.gcs import GCSObjectsWithPrefixExistenceSensor
from airflow.providers.google.cloud.triggers.gcs import GCSPrefixBlobTrigger
from airflow.sdk import Context
from airflow.sdk.bases.xcom import BaseXCom
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async
from gcloud.aio.storage import Bucket

from ingestion.pipeline.candidates import new_in_source
from ingestion.pipeline.environments import SETTINGS_FILE, read_again
from ingestion.pipeline.feed_files import FeedError
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.settings import SettingsError
from ingestion.pipeline.storage import LIST_NEEDS, BucketRefusedError
from ingestion.runs.other_runs import is_another_queued, queued_runs
from ingestion.runs.trigger_form import request_of
from ingestion.tasks.new_files import new_files
from ingestion.tasks.patience import OutageError, is_outage

# A trigger that gives up at the first 503 would cost a try of the task; one that never does would hide an outage.
FAILED_LOOKS = 3
# Before a waiting run looks whether its feed's YAML has changed: where triggerer and workers have different ones, a
# worker starts each time.
CHANGE_SECONDS = 30


class NewFilesTrigger(GCSPrefixBlobTrigger):
    """Look into the bucket every `poke_interval` seconds until files of the feed are there, which ends the task.

    It is skipped when `deadline` (ISO time) has passed. The two end the task from here: a worker would start only to
    say so. Airflow then asks for no `on_success_callback` and calls no listener, which this task has not.

    A worker goes on when there is something that this trigger cannot judge:

    * another run of the DAG is queued that is none of `passed_by`, or one of those may start (`look_again_at`, ISO
      time). A worker can see whether that run could start;
    * `feed_file`, where it is to be seen from here, no longer says what `feed` does, or it and the `settings.yaml` of
      its folder no longer say what `waits_with` does: a worker reads them anew;
    * the bucket could not be listed several times in a row. The event's `message` is for the task to fail with, and
      `is_outage` says whether that may end by itself: there it is an exception, with a try and a log of its own.
    """

    def __init__(
        self,
        feed: dict[str, Any],
        dag_id: str,
        deadline: str,
        feed_file: str | None = None,
        waits_with: dict[str, Any] | None = None,
        passed_by: list[str] | None = None,
        look_again_at: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feed = feed
        self.dag_id = dag_id
        self.deadline = deadline
        self.feed_file = feed_file
        self.waits_with = waits_with or {}
        self.passed_by = passed_by or []
        self.look_again_at = look_again_at
        self._began = datetime.now(UTC)
        self._seen: list[bytes] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments from which a triggerer makes this trigger again."""
        _, arguments = super().serialize()
        own = {
            "feed": self.feed,
            "dag_id": self.dag_id,
            "deadline": self.deadline,
            "feed_file": self.feed_file,
            "waits_with": self.waits_with,
            "passed_by": self.passed_by,
            "look_again_at": self.look_again_at,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments | own

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        async with ClientSession() as session:
            yield await self._first_event(session)

    async def _first_event(self, session: ClientSession) -> TriggerEvent:
        feed = Feed.model_validate(self.feed)
        failures = 0
        bucket: Bucket | None = None
        while True:
            try:
                # Kept from look to look: to make one takes a question for the connection and one for a token.
                bucket = bucket or await self._bucket(session)
                event = await self._event(await new_files(bucket, feed))
            except Exception as error:  # whatever is raised is an outage; reported below, never passed over
                bucket = None  # the connection may be changed meanwhile
                failures += 1
                self.log.warning("Look %d of %d into the bucket failed: %r", failures, FAILED_LOOKS, error)
                if failures == FAILED_LOOKS:
                    message = unreachable(self.bucket, self.prefix, self.google_cloud_conn_id, error)
                    return TriggerEvent({"message": message, "is_outage": is_outage(error)})
            else:
                failures = 0
                if event:
                    return event
            await asyncio.sleep(self.poke_interval)

    async def _event(self, matches: list[str]) -> TriggerEvent | None:
        now = datetime.now(UTC)
        if matches:
            self.log.info("In gs://%s/%s: %s", self.bucket, self.prefix, matches)
            return TaskSuccessEvent(xcoms={BaseXCom.XCOM_RETURN_KEY: matches})
        if self.look_again_at and now >= datetime.fromisoformat(self.look_again_at):
            return self._ask_worker("A queued run of this DAG may start now", is_queued=True)
        if await sync_to_async(is_another_queued)(self.dag_id, self.passed_by):
            return self._ask_worker("Another run of this DAG is queued", is_queued=True)
        if now - self._began >= timedelta(seconds=CHANGE_SECONDS) and await asyncio.to_thread(self._feed_changed):
            return self._ask_worker(f"{self.feed_file}, or its settings, have changed", is_queued=False)
        if now >= datetime.fromisoformat(self.deadline):
            self.log.info("No file came in this run's time; the next run goes on waiting")
            return TaskSkippedEvent()
        return None

    def _ask_worker(self, why: str, is_queued: bool) -> TriggerEvent:
        self.log.info("%s: a worker looks", why)
        return TriggerEvent({"deadline": self.deadline, "is_queued": is_queued})

    def _feed_changed(self) -> bool:
        """Whether the files say something else of the feed. A broken or missing one keeps it as it is."""
        if self.feed_file is None:
            return False
        path = Path(self.feed_file)
        files = [path, path.parent.parent / SETTINGS_FILE]
        try:
            content = [file.read_bytes() if file.is_file() else b"" for file in files]
            if content == self._seen:  # most looks end here: only changed bytes are parsed
                return False
            self._seen = content
            now, waits_with = read_again(path)
        except (OSError, FeedError, SettingsError):
            return False
        changed = now.definition != Feed.model_validate(self.feed).definition
        return changed or waits_with != self.waits_with

    async def _bucket(self, session: ClientSession) -> Bucket:
        client = await self._get_async_hook().get_storage_client(session)
        return client.get_bucket(self.bucket)


class NewFilesSensor(GCSObjectsWithPrefixExistenceSensor):
    """Return the names of the feed's files in the bucket; `plan_batch` makes its own list of them.

    Only a live run waits, in the triggerer. A manual run takes what is there. A run that loads days again, by backfill
    or by its form, goes on whatever is there: `plan_batch` looks into the archive for it. With nothing to load the task
    and all later ones are skipped, and the run is green.

    :param feed: the feed whose files are looked for
    :param feed_file: where it is defined, for a waiting run to hear of a change
    :param waits_with: what files, not variables, say of the settings of this task: environments.WAITS_WITH
    :param max_wait: age at which a waiting run ends green and leaves the waiting to the next
    """

    def __init__(
        self,
        *,
        feed: Feed,
        feed_file: Path,
        max_wait: timedelta,
        waits_with: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix=feed.prefix, deferrable=True, **kwargs)
        self.feed = feed.model_dump(mode="json")
        self.feed_file = str(feed_file)
        self.waits_with = waits_with or {}
        self.max_wait = max_wait

    def poke(self, context: Context) -> bool:
        """Whether a file of the feed is there now."""
        request = request_of(context)
        hook = GCSHook(gcp_conn_id=self.google_cloud_conn_id, impersonation_chain=self.impersonation_chain)
        try:
            bucket = hook.get_conn().bucket(self.bucket)
            found = new_in_source(bucket, Feed.model_validate(self.feed), request)
        except Exception as error:
            message = unreachable(self.bucket, self.prefix, self.google_cloud_conn_id, error)
            raise AirflowException(message) from error
        self._matches = [item.name for item in found]
        return bool(self._matches)

    def execute(self, context: Context) -> list[str]:
        """Return at once if there are files, else wait, skip or go on, as the kind of run asks for."""
        request = request_of(context)
        if self.poke(context) or request.reload:
            self.log.info("In gs://%s/%s: %s", self.bucket, self.prefix, self._matches)
            return self._matches
        if request.run_type != "scheduled":
            raise AirflowSkipException(f"No file of this feed in gs://{self.bucket}/{self.prefix}")
        self._wait((datetime.now(UTC) + self.max_wait).isoformat())

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Do what the trigger could not: fail, make way for a run that can start, or wait on by the feed of now."""
        if message := event.get("message"):
            raise (OutageError if event["is_outage"] else AirflowException)(message)
        now = datetime.now(UTC)
        queued = queued_runs(self.dag_id)
        startable = [run.run_id for run in queued if run.may_start and run.may_start <= now]
        # One that is counted and cannot be found here would otherwise be asked about at every look.
        if startable or (event["is_queued"] and not queued):
            raise AirflowSkipException(f"{', '.join(startable) or 'A run'} is queued; this one makes way for it")
        self._wait(
            event["deadline"],
            passed_by=[run.run_id for run in queued],
            look_again_at=min((run.may_start.isoformat() for run in queued if run.may_start), default=None),
        )

    def _wait(self, deadline: str, passed_by: list[str] | None = None, look_again_at: str | None = None) -> NoReturn:
        if passed_by:
            self.log.info("Waits on beside runs that are queued and cannot start now: %s", ", ".join(passed_by))
        self.defer(
            trigger=NewFilesTrigger(
                feed=self.feed,
                dag_id=self.dag_id,
                deadline=deadline,
                feed_file=self.feed_file,
                waits_with=self.waits_with,
                passed_by=passed_by,
                look_again_at=look_again_at,
                bucket=self.bucket,
                prefix=self.prefix,
                poke_interval=self.poke_interval,
                google_cloud_conn_id=self.google_cloud_conn_id,
                hook_params={"impersonation_chain": self.impersonation_chain},
            ),
            method_name="execute_complete",
            # The trigger ends by itself; Airflow's own timeout fails the run without a retry.
            timeout=self.max_wait + timedelta(days=1),
        )


def unreachable(bucket: str, prefix: str, connection: str, error: Exception) -> str:
    """One line for the person who must act on a bucket that cannot be listed."""
    if isinstance(error, BucketRefusedError):
        return str(error)
    # The text of a refused request is an encoded address.
    if isinstance(error, ClientResponseError):
        reason = f"{error.status} {' '.join(error.message.split())}. {LIST_NEEDS}"
    else:
        reason = f"{type(error).__name__}: {error}."
    return (
        f"gs://{bucket}/{prefix} cannot be listed: {reason} "
        f"Check that the bucket exists and is up, and the connection {connection}."
    )
