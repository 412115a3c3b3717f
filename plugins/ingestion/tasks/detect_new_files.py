"""`detect_new_files`: wait until the bucket holds a file of the feed, without a worker slot."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from aiohttp import ClientResponseError, ClientSession
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.providers.google.cloud.sensors.gcs import GCSObjectsWithPrefixExistenceSensor
from airflow.providers.google.cloud.triggers.gcs import GCSPrefixBlobTrigger
from airflow.sdk import Context
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async
from gcloud.aio.storage import Bucket

from ingestion.pipeline.candidates import new_in_source
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import loadable
from ingestion.pipeline.left_behind import notes_prefix, settled
from ingestion.pipeline.storage import LIST_NEEDS, BucketRefusedError
from ingestion.runs.trigger_form import request_of
from ingestion.tasks.patience import OutageError, is_outage

# A trigger that gives up at the first 503 would cost a try of the task; one that never does would hide an outage.
FAILED_LOOKS = 3
# Backfill runs are named after their days. Asked for by name, the only way a trigger has to tell them from manual runs:
# as many days as fit into one request (an address of 64 KB), and as many requests as a backfill could reach back.
DAYS_PER_REQUEST = 1_000
REQUESTS = 11


class NewFilesTrigger(GCSPrefixBlobTrigger):
    """Look into the bucket every `poke_interval` seconds until files of the feed are there, which ends the task.

    It is skipped when another run of the DAG is queued, or `deadline` (ISO time) has passed. When the bucket could not
    be listed several times in a row, the event's `message` is for the task to fail with, and `is_outage` says whether
    that may end by itself.

    The first two end the task from here: a worker would start only to say so. Airflow then asks for no
    `on_success_callback` and calls no listener, which this task has not. A failure goes through the worker: there it is
    an exception, with a try and a log of its own like any other.
    """

    def __init__(self, feed: dict[str, Any], dag_id: str, deadline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed
        self.dag_id = dag_id
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments from which a triggerer makes this trigger again."""
        _, arguments = super().serialize()
        own = {"feed": self.feed, "dag_id": self.dag_id, "deadline": self.deadline}
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
                    message = unreachable(self.bucket, self.prefix, error)
                    return TriggerEvent({"message": message, "is_outage": is_outage(error)})
            else:
                failures = 0
                if event:
                    return event
            await asyncio.sleep(self.poke_interval)

    async def _event(self, matches: list[str]) -> TaskSuccessEvent | TaskSkippedEvent | None:
        if matches:
            self.log.info("In gs://%s/%s: %s", self.bucket, self.prefix, matches)
            return TaskSuccessEvent(xcoms={BaseXCom.XCOM_RETURN_KEY: matches})
        if await sync_to_async(another_run_waits)(self.dag_id):
            self.log.info("Another run of this DAG is queued; this one makes way for it")
            return TaskSkippedEvent()
        if datetime.now(UTC) >= datetime.fromisoformat(self.deadline):
            self.log.info("No file came in this run's time; the next run goes on waiting")
            return TaskSkippedEvent()
        return None

    async def _bucket(self, session: ClientSession) -> Bucket:
        client = await self._get_async_hook().get_storage_client(session)
        return client.get_bucket(self.bucket)


class NewFilesSensor(GCSObjectsWithPrefixExistenceSensor):
    """Return the names of the feed's files in the bucket; `plan_batch` makes its own list of them.

    Only a live run waits, in the triggerer. A manual run takes what is there. A run that loads days again, by backfill
    or by its form, goes on whatever is there: `plan_batch` looks into the archive for it. With nothing to load the task
    and all later ones are skipped, and the run is green.

    :param feed: the feed whose files are looked for
    :param max_wait: age at which a waiting run ends green and leaves the waiting to the next
    """

    def __init__(self, *, feed: Feed, max_wait: timedelta, **kwargs: Any) -> None:
        super().__init__(prefix=feed.prefix, deferrable=True, **kwargs)
        self.feed = feed.model_dump(mode="json")
        self.max_wait = max_wait

    def poke(self, context: Context) -> bool:
        """Whether a file of the feed is there now."""
        request = request_of(context)
        hook = GCSHook(gcp_conn_id=self.google_cloud_conn_id, impersonation_chain=self.impersonation_chain)
        try:
            bucket = hook.get_conn().bucket(self.bucket)
            found = new_in_source(bucket, Feed.model_validate(self.feed), request)
        except Exception as error:
            raise AirflowException(unreachable(self.bucket, self.prefix, error)) from error
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
        self.defer(
            trigger=NewFilesTrigger(
                feed=self.feed,
                dag_id=self.dag_id,
                deadline=(datetime.now(UTC) + self.max_wait).isoformat(),
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

    def execute_complete(self, context: Context, event: dict[str, Any]) -> NoReturn:
        """Fail: the trigger could not look. It ends the task by itself in all other cases."""
        raise (OutageError if event["is_outage"] else AirflowException)(event["message"])


async def new_files(bucket: Bucket, feed: Feed) -> list[str]:
    """What candidates.new_in_source finds, asked for without holding a thread of the triggerer."""
    delivered = {item["name"]: int(item["generation"]) for item in await listed(bucket, feed.prefix)}
    names = loadable(feed, list(delivered))
    if not names:
        return []
    notes = await listed(bucket, notes_prefix(feed))
    done = settled(
        feed, [(note["name"], datetime.fromisoformat(note["timeCreated"])) for note in notes], try_again=False
    )
    return [name for name in names if (name, delivered[name]) not in done]


async def listed(bucket: Bucket, prefix: str) -> list[dict[str, Any]]:
    """The objects directly under a prefix; the client's own `list_blobs` gives names without generations."""
    params = {"prefix": prefix, "delimiter": "/", "pageToken": ""}
    items: list[dict[str, Any]] = []
    while True:
        page = await bucket.storage.list_objects(bucket.name, params=params)
        items += page.get("items", [])
        params["pageToken"] = page.get("nextPageToken", "")
        if not params["pageToken"]:
            return items


def another_run_waits(dag_id: str) -> bool:
    """Whether a manual run of the DAG is queued. Backfill runs are queued too, but run beside this one."""
    queued = RuntimeTaskInstance.get_dr_count(dag_id, states=["queued"])
    backfill = 0
    day = datetime.now(UTC).date()
    for _ in range(REQUESTS):
        if backfill >= queued:
            break
        days = [day - timedelta(days=count) for count in range(DAYS_PER_REQUEST)]
        names = [f"backfill__{day}T00:00:00+00:00" for day in days]
        backfill += RuntimeTaskInstance.get_dr_count(dag_id, run_ids=names, states=["queued"])
        day = days[-1] - timedelta(days=1)
    # Counted once more: a backfill run that has started since would look like a manual one that still waits.
    return backfill < queued and backfill < RuntimeTaskInstance.get_dr_count(dag_id, states=["queued"])


def unreachable(bucket: str, prefix: str, error: Exception) -> str:
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
        "Check that the bucket exists and is up, and the connection google_cloud_default."
    )
