"""What `plan_batch` makes of a batch beside its manifest: which task comes next, and what people are told."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest
from airflow.sdk import DAG, Context
from google.api_core.exceptions import ServiceUnavailable
from google.cloud.storage import Bucket

from ingestion import alerts
from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.plan_batch import PlanBatchOperator
from tests.ingestion.pipeline.batches import FIRST, NAME, SECOND, names, put
from tests.operators import TaskInstance
from tests.refusals import NO_ACCESS, Refusals

pytestmark = pytest.mark.usefixtures("bucket_environment")

OTHER = "source/order_tracking_2026_11_21.csv"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Subject and lines of every message."""
    messages: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(alerts, "tell", lambda context, subject, lines: messages.append((subject, lines)))
    return messages


def plan(
    feed: Feed, bucket: Bucket, run_type: str = "scheduled", run_id: str = "run", try_number: int = 1, **params: object
) -> object:
    """What comes next after a run of this kind."""
    with DAG(feed.name):
        task = PlanBatchOperator(task_id="plan_batch", feed=feed, bucket=bucket.name, schema="orders")
    instance = TaskInstance()
    vars(instance).update(dag_id=feed.name, run_id=run_id, try_number=try_number)
    dag_run = SimpleNamespace(run_type=run_type, logical_date=datetime(2026, 11, 20, tzinfo=UTC))
    return task.choose_branch(cast("Context", {"ti": instance, "dag_run": dag_run, "params": params}))


def test_an_unreadable_file_is_told_and_ends_the_run_green_once_an_hour(
    feed: Feed, bucket: Bucket, refusals: Refusals, told: list[tuple[str, list[str]]]
) -> None:
    put(bucket, NAME, FIRST)
    refusals.refuse("GET", NAME, NO_ACCESS)
    assert plan(feed, bucket) is None
    ((subject, (reason, what_next)),) = told
    assert subject == "order_tracking: 1 file(s) cannot be read"
    assert f"gs://{bucket.name}/{NAME} generation" in reason
    assert "tried again within the hour" in what_next
    assert plan(feed, bucket) is None
    assert len(told) == 1
    refusals.relent()
    assert plan(feed, bucket, "manual") == "stage"


def test_the_others_are_loaded_beside_an_unreadable_file(
    feed: Feed, bucket: Bucket, refusals: Refusals, told: list[tuple[str, list[str]]]
) -> None:
    put(bucket, NAME, FIRST)
    put(bucket, OTHER, FIRST)
    refusals.refuse("GET", NAME, NO_ACCESS)
    assert plan(feed, bucket) == "stage"
    assert len(told) == 1


def test_a_bucket_that_takes_no_note_fails_the_task(
    feed: Feed, bucket: Bucket, refusals: Refusals, told: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one the next run would start at once, and so on."""
    generation = put(bucket, NAME, FIRST)
    refusals.refuse("GET", NAME, NO_ACCESS)
    note = f"batches/order_tracking/left/order_tracking_2026_11_20.{generation}.csv.unreadable.json"
    refusals.refuse("UPLOAD", note, NO_ACCESS)
    with pytest.raises(Exception, match=rf"{note} cannot be written \(403.*storage.objects.create"):
        plan(feed, bucket)
    assert names(bucket) == [NAME]


def test_what_earlier_tries_of_a_run_have_pinned_is_removed_by_the_next_one(
    feed: Feed, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, NAME, FIRST)
    assert plan(feed, bucket, try_number=1) == "stage"  # and died before Airflow heard of it
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_json", Mock(side_effect=ServiceUnavailable("down")))
        for run_id, try_number in (("run", 2), ("run", 3), ("another", 1)):
            with pytest.raises(ServiceUnavailable):
                plan(feed, bucket, run_id=run_id, try_number=try_number)
    assert len(pinned(bucket)) == 2, "each try has removed what the one before had pinned"
    assert plan(feed, bucket, try_number=4) == "stage"
    assert len(pinned(bucket)) == 2, "another run's, and its own"


def test_what_an_earlier_try_has_pinned_stays_where_it_is_the_only_copy(feed: Feed, bucket: Bucket) -> None:
    put(bucket, NAME, FIRST)
    assert plan(feed, bucket, try_number=1) == "stage"
    (only_copy,) = pinned(bucket)
    put(bucket, NAME, SECOND)
    assert plan(feed, bucket, try_number=2) == "stage"
    assert only_copy in pinned(bucket)
    assert bucket.blob(only_copy).download_as_text() == FIRST


def pinned(bucket: Bucket) -> list[str]:
    return [name for name in names(bucket, "batches/") if "/input/" in name]
