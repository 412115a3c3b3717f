"""The request of an erasure: what the job reads is what the plugin wrote, and the list alone goes."""

import json

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline import erasure, storage
from ingestion.pipeline.erasure import Asker, KeyList, NoListError
from ingestion.pipeline.feeds import Feed
from ingestion_jobs.erasure import parse_erasure
from tests.ingestion.pipeline.batches import names, put

ASKER = Asker("20261120T101500Z-1f3a9c2b", "ingestion_erase", "run", "orders")


def test_the_job_reads_what_was_written_and_no_key_stands_in_it(bucket: Bucket, feed: Feed) -> None:
    put(bucket, "erase/order_tracking.txt", "PERSON-1\n")
    keys = erasure.find_list(bucket, erasure.default_list(feed.name))
    uri = erasure.write_request(bucket, feed, ASKER, keys, search_archive=True)
    name = "erase/requests/order_tracking-20261120T101500Z-1f3a9c2b.json"
    assert uri == f"gs://{bucket.name}/{name}"
    text = storage.read_text(bucket, name)
    assert "PERSON-1" not in text
    request = parse_erasure(json.loads(text))
    assert request.erasure_id == ASKER.erasure_id
    assert (request.feed.name, request.feed.key) == ("order_tracking", ("tracking_num",))
    assert (request.tables.target, request.tables.erased) == ("orders.order_tracking", "orders.order_tracking_erased")
    assert request.keys == f"gs://{bucket.name}/erase/order_tracking.txt"
    assert request.archive == f"gs://{bucket.name}/archive/order_tracking/"


def test_a_request_without_a_list_finishes_earlier_ones(bucket: Bucket, feed: Feed) -> None:
    uri = erasure.write_request(bucket, feed, ASKER, None, search_archive=False)
    text = storage.read_text(bucket, uri.removeprefix(f"gs://{bucket.name}/"))
    request = parse_erasure(json.loads(text))
    assert (request.keys, request.archive) == (None, None)


def test_a_list_that_is_not_there_is_named(bucket: Bucket) -> None:
    with pytest.raises(NoListError, match=r"/erase/x\.txt does not exist: upload"):
        erasure.find_list(bucket, "erase/x.txt")


def test_exactly_the_list_that_was_read_is_removed(bucket: Bucket) -> None:
    read = KeyList("erase/order_tracking.txt", put(bucket, "erase/order_tracking.txt", "T1\n"))
    newer = put(bucket, "erase/order_tracking.txt", "T2\n")
    assert not erasure.remove_list(bucket, read), "another list is another request"
    assert names(bucket) == ["erase/order_tracking.txt"]
    assert erasure.remove_list(bucket, KeyList(read.name, newer))
    assert names(bucket) == []
    assert not erasure.remove_list(bucket, KeyList(read.name, newer)), "a second try finds it gone"
