"""The watch tells of each thing once, and once more when it is over."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket

from ingestion import alerts
from ingestion.pipeline.environments import ConfiguredFeed
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.watching import told_name
from ingestion.tasks import watch
from ingestion.tasks.watch import WatchOperator
from tests.ingestion.conftest import configured
from tests.ingestion.pipeline.batches import FIRST, NAME, put

pytestmark = pytest.mark.usefixtures("bucket_environment")
Message = tuple[str, list[str]]
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What people are told."""
    told: list[Message] = []
    monkeypatch.setattr(alerts, "tell", lambda context, subject, lines, feed: told.append((subject, lines)))
    return told


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """DAGs that are paused. Outside of a running Airflow nobody answers for them; tests/e2e has one that does."""
    names: set[str] = set()
    answer = lambda dag_id: SimpleNamespace(is_paused=dag_id in names)  # noqa: E731 - a method of a class for a test
    monkeypatch.setattr(watch.RuntimeTaskInstance, "get_dag", staticmethod(answer))
    monkeypatch.setattr(watch, "last_runs", lambda dag_id: "No run has failed.")
    monkeypatch.setattr(watch, "queued_backfill_days", lambda dag_id: 0)
    return names


def look(bucket: Bucket, feed: Feed) -> list[str]:
    return new_watch(configured(feed, bucket=bucket.name)).execute({})


def new_watch(*feeds: ConfiguredFeed, dag_prefix: str = "") -> WatchOperator:
    return WatchOperator(task_id="watch", feeds=feeds, dag_prefix=dag_prefix, patience=MICROSECOND)


def test_each_thing_is_told_once_and_once_more_when_it_is_over(
    bucket: Bucket, feed: Feed, messages: list[Message], paused: set[str]
) -> None:
    assert look(bucket, feed) == []
    assert messages == []
    put(bucket, "source/misspelt.csv", FIRST)
    put(bucket, NAME, FIRST)
    (misspelt, waiting) = look(bucket, feed)
    assert messages.pop() == ("ingestion_watch: 2 thing(s) need a look", [misspelt, waiting])
    assert look(bucket, feed) == [misspelt, waiting]
    assert messages == []
    bucket.delete_blob("source/misspelt.csv")
    paused.add(feed.name)
    (still, pause) = look(bucket, feed)
    assert still == waiting
    assert pause.startswith(
        "DAG order_tracking is paused, by somebody or for failed runs in a row: no file of the feed"
    )
    assert f"No run has failed. 1 file(s) wait in gs://{bucket.name}/source/, the oldest since 20" in pause
    assert "`airflow dags unpause order_tracking`" in pause
    assert messages.pop() == ("ingestion_watch: 1 thing(s) need a look, 1 over", [pause, f"Over: {misspelt}"])
    bucket.delete_blob(NAME)
    paused.clear()
    assert look(bucket, feed) == []
    assert messages.pop() == ("ingestion_watch: 2 over", [f"Over: {waiting}", f"Over: {pause}"])
    assert messages == []


@pytest.mark.usefixtures("paused")
def test_a_backfill_that_stands_still_for_two_looks_is_told(
    bucket: Bucket, feed: Feed, messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "queued_backfill_days", lambda dag_id: 3)
    assert look(bucket, feed) == [], "it may be between two days"
    (stands,) = look(bucket, feed)
    assert stands.startswith("A backfill of order_tracking stands still: 3 of its days are queued and none runs.")
    assert look(bucket, feed) == [stands]
    monkeypatch.setattr(watch, "queued_backfill_days", lambda dag_id: 0)
    look(bucket, feed)
    assert [subject for subject, _ in messages] == [
        "ingestion_watch: 1 thing(s) need a look",
        "ingestion_watch: 1 over",
    ]


def test_every_bucket_is_looked_at_and_each_thing_told_to_the_people_of_its_feeds(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch, paused: set[str]
) -> None:
    told: dict[str | None, tuple[str, list[str]]] = {}
    monkeypatch.setattr(
        alerts, "tell", lambda context, subject, lines, feed: told.update({feed: (subject, sorted(lines))})
    )
    web = feed.model_copy(update={"name": "web", "pattern": "web_.*"})
    app = feed.model_copy(update={"name": "app", "pattern": "app_.*"})
    other = bucket.client.create_bucket(f"{bucket.name}-2")
    put(bucket, "source/web_1.csv", FIRST)
    put(bucket, "source/misspelt.csv", FIRST)
    put(other, "source/web_1.csv", FIRST)
    paused.add("dev_app")
    watch = new_watch(
        configured(feed, bucket=bucket.name),
        configured(web, "web", bucket=bucket.name),
        configured(app, "web", bucket=other.name),
        configured(feed.model_copy(update={"name": "gone"}), bucket="no-such-bucket"),
        dag_prefix="dev_",
    )
    with pytest.raises(NotFound):  # of the bucket that is not there, when the others are told of
        watch.execute({})
    assert set(told) == {None, "web"}
    (_, (misspelt,)) = told[None]
    assert misspelt.startswith(f"gs://{bucket.name}/source/misspelt.csv")
    assert [item.name for item in (bucket, other) if item.get_blob("batches/dev_ingestion_watch.json")] == [
        bucket.name,
        other.name,
    ]
    subject, (pause, unrecognised) = told["web"]  # those of the second bucket came last
    assert subject == "dev_ingestion_watch: 2 thing(s) need a look"
    assert pause.startswith("DAG dev_app is paused")
    assert "`airflow dags unpause dev_app`" in pause
    assert unrecognised.startswith(f"gs://{other.name}/source/web_1.csv"), "its feed is delivered to another bucket"


@pytest.mark.usefixtures("paused")
def test_what_is_not_told_is_told_by_the_next_try(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch, messages: list[Message]
) -> None:
    put(bucket, "source/misspelt.csv", FIRST)
    with monkeypatch.context() as killed:
        killed.setattr(alerts, "tell", lambda *_, **__: pytest.exit("killed"))
        with pytest.raises(pytest.exit.Exception):
            look(bucket, feed)
    assert bucket.get_blob(told_name("")) is None
    look(bucket, feed)
    assert len(messages) == 1


@pytest.mark.usefixtures("paused")
def test_a_message_names_the_first_of_many(bucket: Bucket, feed: Feed, messages: list[Message]) -> None:
    for number in range(23):
        put(bucket, f"source/misspelt_{number:02}.csv", FIRST)
    assert len(look(bucket, feed)) == 23
    ((subject, lines),) = messages
    assert subject == "ingestion_watch: 23 thing(s) need a look"
    assert (len(lines), lines[-1]) == (21, "... and 3 more, in the task's return value")
