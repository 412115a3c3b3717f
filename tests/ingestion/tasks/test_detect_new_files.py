"""`detect_new_files` and its trigger against a real bucket, with the provider's own hooks.

Only the question whether another run is queued is answered here by the test: it takes a running Airflow, see tests/e2e.
"""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from ingestion.pipeline.environments import read_environment
from ingestion.pipeline.feed_files import load_feed
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.left_behind import write_note
from ingestion.runs.other_runs import QueuedRun
from ingestion.tasks import detect_new_files
from ingestion.tasks.detect_new_files import NewFilesSensor, NewFilesTrigger
from tests.conftest import REPO

NAME = "source/order_tracking_2026_11_20.csv"
LIMIT_SECONDS = 20
FEEDS = REPO / "dags" / "feeds"


@pytest.fixture(autouse=True)
def airflow(bucket_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection, and no other run queued."""
    monkeypatch.setattr(detect_new_files, "is_another_queued", lambda dag_id, passed_by: False)


def new_sensor(
    feed: Feed, bucket: str, feed_file: Path = Path("nowhere.yaml"), waits_with: dict[str, object] | None = None
) -> NewFilesSensor:
    with DAG(feed.name):
        return NewFilesSensor(
            task_id="detect_new_files",
            feed=feed,
            feed_file=feed_file,
            waits_with=waits_with,
            bucket=bucket,
            poke_interval=0.05,
            max_wait=timedelta(hours=1),
        )


def run_of(run_type: str, **params: object) -> Context:
    dag_run = SimpleNamespace(run_type=run_type, logical_date=datetime(2026, 11, 20, tzinfo=UTC))
    return cast("Context", {"dag_run": dag_run, "params": params})


def waiting_trigger(feed: Feed, bucket: str) -> NewFilesTrigger:
    """The trigger that a scheduled run defers to."""
    return deferred(lambda: new_sensor(feed, bucket).execute(run_of("scheduled")))


def deferred(execute: Callable[[], object]) -> NewFilesTrigger:
    """The trigger that a task defers to, made again from what it serializes to, as a triggerer does."""
    with pytest.raises(TaskDeferred) as deferral:
        execute()
    path, arguments = deferral.value.trigger.serialize()
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


MANUAL = "manual__2026-11-20T09:00:00+00:00"
YESTERDAY, TOMORROW = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)


def test_a_waiting_run_makes_way_for_one_that_can_start(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With made-up runs; tests/e2e/test_cannot_start.py has Airflow's own."""
    trigger = waiting_trigger(feed, bucket.name)
    monkeypatch.setattr(detect_new_files, "is_another_queued", lambda dag_id, passed_by: dag_id == feed.name)
    event = first_event(trigger)
    assert type(event) is TriggerEvent  # one that goes to a worker
    monkeypatch.setattr(detect_new_files, "queued_runs", lambda dag_id: [QueuedRun(MANUAL, YESTERDAY)])
    with pytest.raises(AirflowSkipException, match=f"{re.escape(MANUAL)} is queued; this one makes way"):
        new_sensor(feed, bucket.name).execute_complete(run_of("scheduled"), event.payload)


def test_a_waiting_run_makes_way_for_one_that_is_counted_and_cannot_be_found(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect_new_files, "queued_runs", lambda dag_id: [])
    event = {"deadline": TOMORROW.isoformat(), "is_queued": True}
    with pytest.raises(AirflowSkipException, match="A run is queued; this one makes way"):
        new_sensor(feed, bucket.name).execute_complete(run_of("scheduled"), event)


def test_a_waiting_run_waits_on_beside_runs_that_cannot_start(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [QueuedRun("manual__of_a_backfill", None), QueuedRun(MANUAL, TOMORROW)]
    monkeypatch.setattr(detect_new_files, "queued_runs", lambda dag_id: runs)
    sensor = new_sensor(feed, bucket.name)
    first = waiting_trigger(feed, bucket.name)
    event = {"deadline": first.deadline, "is_queued": True}
    trigger = deferred(lambda: sensor.execute_complete(run_of("scheduled"), event))
    assert trigger.deadline == first.deadline, "it waits no longer for having been asked"
    asked: list[list[str]] = []
    monkeypatch.setattr(detect_new_files, "is_another_queued", lambda dag_id, passed_by: bool(asked.append(passed_by)))
    found = first_event(trigger, meanwhile=lambda: bucket.blob(NAME).upload_from_string("x"))
    assert found == TaskSuccessEvent(xcoms={"return_value": [NAME]})
    assert asked[0] == ["manual__of_a_backfill", MANUAL]

    runs[1] = QueuedRun(MANUAL, datetime.now(UTC) + timedelta(seconds=0.3))
    bucket.blob(NAME).delete()
    trigger = deferred(lambda: sensor.execute_complete(run_of("scheduled"), event))
    assert type(first_event(trigger)) is TriggerEvent, "its time has come"


def test_a_changed_feed_reaches_a_waiting_run(
    feed: Feed, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect_new_files, "CHANGE_SECONDS", 0)
    file = Path(shutil.copy(FEEDS / "order_tracking.yaml", tmp_path))
    text = file.read_text()
    sensor = new_sensor(load_feed(file), bucket.name, file)
    trigger = deferred(lambda: sensor.execute(run_of("scheduled")))

    def change() -> None:
        file.write_text("description: [")  # half written, as an editor leaves it for a moment
        file.write_text(f"# another comment\n{text}")
        file.write_text(text.replace(r"order_tracking_(?P<date>", r"orders_(?P<date>"))

    event = first_event(trigger, meanwhile=change)
    monkeypatch.setattr(detect_new_files, "queued_runs", lambda dag_id: [])
    sensor = new_sensor(load_feed(file), bucket.name, file)
    trigger = deferred(lambda: sensor.execute_complete(run_of("scheduled"), event.payload))
    name = "source/orders_2026_11_20.csv"
    event = first_event(trigger, meanwhile=lambda: bucket.blob(name).upload_from_string("x"))
    assert event == TaskSuccessEvent(xcoms={"return_value": [name]})


@pytest.mark.parametrize("is_in_feed", [True, False])
def test_a_changed_bucket_reaches_a_waiting_run_and_other_settings_do_not(
    feed: Feed, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_feed: bool
) -> None:
    monkeypatch.setattr(detect_new_files, "CHANGE_SECONDS", 0)
    monkeypatch.setattr(detect_new_files, "queued_runs", lambda dag_id: [])
    (tmp_path / "feeds").mkdir()
    file = Path(shutil.copy(FEEDS / "order_tracking.yaml", tmp_path / "feeds"))
    text = file.read_text()

    def give(**settings: object) -> None:
        place = f"{text}settings: {json.dumps(settings)}" if is_in_feed else json.dumps(settings)
        (file if is_in_feed else tmp_path / "settings.yaml").write_text(place)

    def sensor() -> NewFilesSensor:
        (of_feed,) = read_environment(tmp_path, {"INGESTION_JOBS": "/jobs", "INGESTION_BUCKET": "another"}).feeds
        return new_sensor(of_feed.feed, of_feed.settings.bucket, of_feed.file, of_feed.waits_with)

    give(bucket=bucket.name)
    trigger = deferred(lambda: sensor().execute(run_of("scheduled")))
    assert trigger.bucket == bucket.name
    other = bucket.client.create_bucket(f"{bucket.name}-2")

    give(bucket=bucket.name, schema="orders_2", alert_email="somebody@example.com")
    found = first_event(trigger, meanwhile=lambda: bucket.blob(NAME).upload_from_string("x"))
    assert found == TaskSuccessEvent(xcoms={"return_value": [NAME]}), "it has looked at the changed file and waited on"

    bucket.blob(NAME).delete()
    trigger = deferred(lambda: sensor().execute(run_of("scheduled")))
    event = first_event(trigger, meanwhile=lambda: give(bucket=other.name))
    trigger = deferred(lambda: sensor().execute_complete(run_of("scheduled"), event.payload))
    assert trigger.bucket == other.name
    found = first_event(trigger, meanwhile=lambda: other.blob(NAME).upload_from_string("x"))
    assert found == TaskSuccessEvent(xcoms={"return_value": [NAME]})


@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda text: "description: [",
        lambda text: f"# a comment\n{text}",
        lambda text: text.replace("One row per shipment", "A shipment a row").replace("Number on", "What is on"),
    ],
    ids=["gone", "broken", "another comment", "other words for people"],
)
def test_a_feed_file_that_is_broken_gone_or_means_the_same_changes_nothing(
    feed: Feed, bucket: Bucket, tmp_path: Path, change: Callable[[str], str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect_new_files, "CHANGE_SECONDS", 0)
    file = Path(shutil.copy(FEEDS / "order_tracking.yaml", tmp_path))
    sensor = new_sensor(load_feed(file), bucket.name, file)
    trigger = deferred(lambda: sensor.execute(run_of("scheduled")))
    if change is None:
        file.unlink()
    else:
        file.write_text(change(file.read_text()))
    event = first_event(trigger, meanwhile=lambda: bucket.blob(NAME).upload_from_string("x"))
    assert event == TaskSuccessEvent(xcoms={"return_value": [NAME]})


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
