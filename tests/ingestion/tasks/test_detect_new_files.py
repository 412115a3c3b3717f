"""`detect_new_files` and its trigger against a real bucket, with the provider's own hooks.

Only the question whether another run is queued is answered here by the test: it takes a running Airflow, see tests/e2e.
"""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import ClientSession
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import DAG, Connection, Context
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.module_loading import import_string
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
from gcloud.aio.storage import Bucket as StorageBucket
from google.cloud.storage import Bucket

from ingestion.pipeline import left_behind
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.left_behind import write_note
from ingestion.tasks import detect_new_files
from ingestion.tasks.detect_new_files import NewFilesSensor, NewFilesTrigger, another_run_waits

NAME = "source/order_tracking_2026_11_20.csv"
LIMIT_SECONDS = 20


@pytest.fixture(autouse=True)
def airflow(bucket_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection, and no other run queued."""
    monkeypatch.setattr(detect_new_files, "another_run_waits", lambda dag_id: False)


def new_sensor(feed: Feed, bucket: str) -> NewFilesSensor:
    with DAG(feed.name):
        return NewFilesSensor(
            task_id="detect_new_files", feed=feed, bucket=bucket, poke_interval=0.05, max_wait=timedelta(hours=1)
        )


def run_of(run_type: str, **params: object) -> Context:
    dag_run = SimpleNamespace(run_type=run_type, logical_date=datetime(2026, 11, 20, tzinfo=UTC))
    return cast("Context", {"dag_run": dag_run, "params": params})


def waiting_trigger(feed: Feed, bucket: str) -> NewFilesTrigger:
    """The trigger a scheduled run defers to, made again from what it serializes to, as a triggerer does."""
    task = new_sensor(feed, bucket)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(run_of("scheduled"))
    path, arguments = deferred.value.trigger.serialize()
    return import_string(path)(**arguments)


def first_event(trigger: NewFilesTrigger, meanwhile: Callable[[], object] | None = None) -> TriggerEvent:
    async def look() -> TriggerEvent:
        events = trigger.run()
        first = asyncio.create_task(events.__anext__())
        if meanwhile:
            await asyncio.sleep(3 * trigger.poke_interval)  # so that it has looked in vain before
            assert not first.done()
            await asyncio.to_thread(meanwhile)
        return await asyncio.wait_for(first, LIMIT_SECONDS)

    return asyncio.run(look())


def test_a_file_that_is_there_ends_the_task_at_once(feed: Feed, bucket: Bucket) -> None:
    bucket.blob(NAME).upload_from_string("x")
    bucket.blob("source/readme.txt").upload_from_string("x")
    for run_type in ("scheduled", "manual", "backfill"):
        assert new_sensor(feed, bucket.name).execute(run_of(run_type)) == [NAME]


def test_a_scheduled_run_waits_for_the_file(feed: Feed, bucket: Bucket) -> None:
    trigger = waiting_trigger(feed, bucket.name)
    event = first_event(trigger, meanwhile=lambda: bucket.blob(NAME).upload_from_string("x"))
    assert event == TaskSuccessEvent(xcoms={"return_value": [NAME]})  # as if a worker had returned it


def test_a_long_wait_asks_for_the_connection_once(feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = waiting_trigger(feed, bucket.name)
    asked = []
    connection = GCSHook.get_connection

    def ask(_: GCSHook, name: str) -> Connection:
        asked.append(name)
        return connection(name)

    monkeypatch.setattr(GCSHook, "get_connection", ask)
    first_event(trigger, meanwhile=lambda: bucket.blob(NAME).upload_from_string("x"))
    assert asked == ["google_cloud_default"]


def test_a_manual_run_never_waits(feed: Feed, bucket: Bucket) -> None:
    with pytest.raises(AirflowSkipException, match="No file of this feed"):
        new_sensor(feed, bucket.name).execute(run_of("manual"))


def test_a_backfill_run_goes_on_without_files_in_source(feed: Feed, bucket: Bucket) -> None:
    assert new_sensor(feed, bucket.name).execute(run_of("backfill")) == []


def test_a_run_that_loads_days_again_goes_on_without_files_in_source(feed: Feed, bucket: Bucket) -> None:
    assert new_sensor(feed, bucket.name).execute(run_of("manual", reload_from="2026-11-01")) == []
    assert new_sensor(feed, bucket.name).execute(run_of("manual", again_rejected=True)) == []


def test_a_form_that_means_nothing_fails_without_a_retry(feed: Feed, bucket: Bucket) -> None:
    with pytest.raises(AirflowFailException, match=r"reload_from \(2026-11-02\) is after reload_to"):
        new_sensor(feed, bucket.name).execute(run_of("manual", reload_from="2026-11-02", reload_to="2026-11-01"))


@pytest.mark.parametrize("name", ["source/readme.txt", "source/other_2026_11_20.csv", f"{NAME}.gz", "source/old/x.csv"])
def test_names_of_no_feed_start_nothing(feed: Feed, bucket: Bucket, name: str) -> None:
    trigger = waiting_trigger(feed, bucket.name)
    bucket.blob(name).upload_from_string("x")
    trigger.deadline = datetime.now(UTC).isoformat()
    assert first_event(trigger) == TaskSkippedEvent()


def test_a_file_that_was_moved_and_could_not_be_deleted_starts_nothing(feed: Feed, bucket: Bucket) -> None:
    blob = bucket.blob(NAME)
    blob.upload_from_string("x")
    write_note(bucket, feed, "moved", (NAME, blob.generation), "a hold", "archive/copy")
    with pytest.raises(AirflowSkipException, match="No file of this feed"):
        new_sensor(feed, bucket.name).execute(run_of("manual"))
    trigger = waiting_trigger(feed, bucket.name)
    event = first_event(trigger, meanwhile=lambda: blob.upload_from_string("delivered again"))
    assert event == TaskSuccessEvent(xcoms={"return_value": [NAME]})


def test_an_unreadable_file_starts_a_run_again_after_an_hour_or_by_hand(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = bucket.blob(NAME)
    blob.upload_from_string("x")
    write_note(bucket, feed, "unreadable", (NAME, blob.generation), "forbidden")
    assert new_sensor(feed, bucket.name).execute(run_of("manual")) == [NAME]
    trigger = waiting_trigger(feed, bucket.name)
    event = first_event(
        trigger, meanwhile=lambda: monkeypatch.setattr(left_behind, "TRY_AGAIN_AFTER", timedelta(seconds=0))
    )
    assert event == TaskSuccessEvent(xcoms={"return_value": [NAME]})
    assert new_sensor(feed, bucket.name).execute(run_of("scheduled")) == [NAME]


def test_a_waiting_run_makes_way_and_says_so(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trigger = waiting_trigger(feed, bucket.name)
    monkeypatch.setattr(detect_new_files, "another_run_waits", lambda dag_id: dag_id == "order_tracking")
    assert first_event(trigger) == TaskSkippedEvent()
    assert "this one makes way" in capsys.readouterr().out  # of Airflow's logger, which is not Python's


@pytest.mark.parametrize(
    ("queued", "waits"),
    [
        ([], False),
        (["backfill__2026-11-01T00:00:00+00:00", "backfill__2019-12-31T00:00:00+00:00"], False),
        (["backfill__2026-11-01T00:00:00+00:00", "manual__2026-11-20T00:00:00+00:00"], True),
        (["scheduled__2026-11-20T09:00:00+00:00"], True),
    ],
)
def test_a_live_run_makes_way_for_all_but_backfill_runs(
    queued: list[str], waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With made-up counts; tests/e2e/test_side_by_side.py has Airflow's own."""

    def count(dag_id: str, states: list[str], run_ids: list[str] | None = None) -> int:
        return len(queued) if run_ids is None else len(set(queued) & set(run_ids))

    monkeypatch.setattr(detect_new_files.RuntimeTaskInstance, "get_dr_count", count)
    assert another_run_waits("order_tracking") is waits


def test_a_backfill_run_that_starts_between_two_counts_is_no_manual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    queued = ["backfill__2026-11-01T00:00:00+00:00", "backfill__2026-11-02T00:00:00+00:00"]

    def count(dag_id: str, states: list[str], run_ids: list[str] | None = None) -> int:
        found = len(queued) if run_ids is None else len(set(queued) & set(run_ids))
        if run_ids is None:
            del queued[1:]
        return found

    monkeypatch.setattr(detect_new_files.RuntimeTaskInstance, "get_dr_count", count)
    assert another_run_waits("order_tracking") is False


def test_a_bucket_that_is_gone_fails_the_task_and_says_which(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = waiting_trigger(feed, bucket.name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed_port = listener.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{closed_port}")
    event = first_event(trigger)
    assert type(event) is TriggerEvent  # one that goes to a worker, which fails and is tried again
    with pytest.raises(AirflowException, match=rf"gs://{bucket.name}/source/ cannot be listed: .*google_cloud_default"):
        new_sensor(feed, bucket.name).execute_complete(run_of("scheduled"), event.payload)


def test_one_failed_look_costs_nothing(feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = waiting_trigger(feed, bucket.name)
    bucket.blob(NAME).upload_from_string("x")
    to_bucket, looks = trigger._bucket, []

    async def fail_once(session: ClientSession) -> StorageBucket:
        looks.append(1)
        if len(looks) == 1:
            raise TimeoutError
        return await to_bucket(session)

    monkeypatch.setattr(trigger, "_bucket", fail_once)
    assert isinstance(first_event(trigger), TaskSuccessEvent)
