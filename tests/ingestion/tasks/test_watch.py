"""The watch tells of each thing once, and once more when it is over."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from google.cloud.storage import Bucket

from ingestion import alerts
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.watching import TOLD
from ingestion.tasks import watch
from ingestion.tasks.watch import WatchOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, put

pytestmark = pytest.mark.usefixtures("bucket_environment")
Message = tuple[str, list[str]]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What people are told."""
    told: list[Message] = []
    monkeypatch.setattr(alerts, "tell", lambda context, subject, lines: told.append((subject, lines)))
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
    task = WatchOperator(task_id="watch", feeds=[feed], bucket=bucket.name, patience=timedelta(microseconds=1))
    return task.execute({})


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


@pytest.mark.usefixtures("paused")
def test_what_is_not_told_is_told_by_the_next_try(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch, messages: list[Message]
) -> None:
    put(bucket, "source/misspelt.csv", FIRST)
    with monkeypatch.context() as killed:
        killed.setattr(alerts, "tell", lambda *_: pytest.exit("killed"))
        with pytest.raises(pytest.exit.Exception):
            look(bucket, feed)
    assert bucket.get_blob(TOLD) is None
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
