"""The tasks around the Databricks run of an erasure."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from google.cloud.storage import Bucket

from ingestion.pipeline.environments import ConfiguredFeed
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.erase import PlanErasureOperator, RemoveListOperator
from tests.ingestion.conftest import configured
from tests.ingestion.pipeline.batches import names, put

pytestmark = pytest.mark.usefixtures("bucket_environment")
LIST = "erase/order_tracking.txt"


class TaskInstance(SimpleNamespace):
    """Keeps what a task leaves for the others."""

    def xcom_push(self, key: str, value: object) -> None:
        self.xcom[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> object:
        assert task_ids == "plan_erasure"
        return self.xcom.get(key)


def planned(bucket: Bucket, feed: Feed, **form: object) -> TaskInstance:
    ti = TaskInstance(xcom={}, dag_id="ingestion_erase", run_id="run", try_number=1)
    params: dict[str, Any] = {"feed": feed.name, "keys": None, "finish": False, "search_archive": True} | form
    task = PlanErasureOperator(task_id="plan_erasure", feeds=feeds_of(bucket, feed))
    task.execute({"ti": ti, "params": params})
    return ti


def removed(bucket: Bucket, feed: Feed, ti: TaskInstance) -> None:
    task = RemoveListOperator(task_id="remove_list", planned_by="plan_erasure", feeds=feeds_of(bucket, feed))
    task.execute({"ti": ti, "params": {"feed": feed.name}})


def feeds_of(bucket: Bucket, feed: Feed) -> list[ConfiguredFeed]:
    """The feed, whose bucket and schema are its own, beside another one."""
    other = feed.model_copy(update={"name": "other"})
    return [configured(feed, bucket=bucket.name, schema="parcels"), configured(other, bucket="no-such-bucket")]


def test_what_is_planned_names_the_list_and_what_is_removed_is_the_list_alone(
    bucket: Bucket, feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    generation = put(bucket, LIST, "PERSON-1\n")
    ti = planned(bucket, feed)
    assert ti.xcom["keys"] == [LIST, generation]
    assert ti.xcom["request"].endswith(f"/erase/requests/order_tracking-{ti.xcom['erasure_id']}.json")
    request = ti.xcom["request"].removeprefix(f"gs://{bucket.name}/")
    assert '"target": "parcels.order_tracking"' in bucket.blob(request).download_as_text()
    removed(bucket, feed, ti)
    assert names(bucket) == [request]
    removed(bucket, feed, ti)  # cleared and done again
    assert "PERSON-1" not in str(ti.xcom) + capsys.readouterr().out


def test_a_run_without_its_list_fails_at_once_but_for_one_that_finishes(bucket: Bucket, feed: Feed) -> None:
    with pytest.raises(AirflowFailException, match=r"erase/other\.txt does not exist"):
        planned(bucket, feed, keys="erase/other.txt")
    ti = planned(bucket, feed, finish=True)
    assert ti.xcom["keys"] is None
    removed(bucket, feed, ti)
    assert len(names(bucket)) == 1
