"""Archiving against a real bucket: what leaves `source/`, when, and what comes back from the archive."""

import json
from collections.abc import Callable

import pytest
from google.cloud.storage import Blob, Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.archiving import ArchiveError, archive, restore_inputs
from ingestion.pipeline.feeds import Feed
from tests.ingestion.pipeline.batches import ARCHIVED, FIRST, NAME, SECOND, must_plan, names, put


def test_archive_moves_the_merged_generation_and_leaves_a_newer_one(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    put(bucket, NAME, SECOND)
    archive(bucket, manifest)
    assert bucket.blob(NAME).download_as_text() == SECOND
    assert bucket.blob(f"{ARCHIVED}.{generation}.csv").download_as_text() == FIRST
    assert names(bucket, "batches/") == ["batches/order_tracking/b1/manifest.json"]


def test_archive_empties_source_and_may_run_again(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    archive(bucket, manifest)
    expected = [f"{ARCHIVED}.{generation}.csv", "batches/order_tracking/b1/manifest.json"]
    assert names(bucket) == expected
    archive(bucket, manifest)
    assert names(bucket) == expected


@pytest.mark.parametrize("killed_at", ["copied", "deleted"])
def test_an_archive_killed_half_way_is_completed(bucket: Bucket, feed: Feed, killed_at: str) -> None:
    generation = put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    pinned = bucket.blob("batches/order_tracking/b1/input/00001.csv")
    bucket.copy_blob(pinned, bucket, f"{ARCHIVED}.{generation}.csv")
    if killed_at == "deleted":
        bucket.blob(NAME).delete()
    archive(bucket, manifest)
    assert names(bucket) == [f"{ARCHIVED}.{generation}.csv", "batches/order_tracking/b1/manifest.json"]


def test_an_archive_name_taken_by_other_content_stops_before_the_delete(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    put(bucket, f"{ARCHIVED}.{generation}.csv", "something else")
    with pytest.raises(storage.CopyMismatchError, match="Nothing was deleted"):
        archive(bucket, manifest)
    assert bucket.blob(NAME).download_as_text() == FIRST
    assert bucket.blob(f"{ARCHIVED}.{generation}.csv").download_as_text() == "something else"


def test_a_file_neither_pinned_nor_archived_keeps_its_source(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    bucket.blob("batches/order_tracking/b1/input/00001.csv").delete()
    with pytest.raises(ArchiveError, match="clear plan_batch"):
        archive(bucket, manifest)
    assert bucket.blob(NAME).download_as_text() == FIRST


def test_a_bad_file_is_moved_with_its_reason_and_does_not_hold_up_the_good_one(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    bad = put(bucket, "source/order_tracking_2026_11_21.csv", "who,knows\n1,2\n")
    empty = put(bucket, "source/order_tracking_2026_11_22.csv", "")
    manifest = must_plan(bucket, feed)
    assert [file.object for file in manifest.files] == [NAME]
    assert [(file.generation, file.code) for file in manifest.rejected] == [(bad, "no_header"), (empty, "empty")]
    archive(bucket, manifest)
    rejected = f"rejected/order_tracking/2026-11-21/order_tracking_2026_11_21.{bad}.csv"
    assert bucket.blob(rejected).download_as_text() == "who,knows\n1,2\n"
    assert json.loads(bucket.blob(f"{rejected}.reason.json").download_as_text())["code"] == "no_header"
    assert names(bucket, "source/") == []


def test_a_rejected_file_replaced_before_its_move_is_left_to_the_next_run(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, "")
    manifest = must_plan(bucket, feed)
    put(bucket, NAME, FIRST)
    archive(bucket, manifest)
    assert names(bucket) == ["batches/order_tracking/b1/manifest.json", NAME]


def test_an_archived_batch_is_pinned_again_from_the_archive(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    assert restore_inputs(bucket, manifest) == []
    archive(bucket, manifest)
    put(bucket, NAME, SECOND)
    assert restore_inputs(bucket, manifest) == [f"{ARCHIVED}.{generation}.csv"]
    assert bucket.blob("batches/order_tracking/b1/input/00001.csv").download_as_text() == FIRST
    archive(bucket, manifest)
    assert bucket.blob(NAME).download_as_text() == SECOND
    assert names(bucket, "batches/") == ["batches/order_tracking/b1/manifest.json"]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda blob: blob.delete(), ArchiveError, "neither at archive/.* nor at gs://"),
        (lambda blob: blob.upload_from_string("else"), storage.CopyMismatchError, "differs from what was planned"),
    ],
)
def test_an_archived_batch_without_its_archive_is_not_pinned_again(
    bucket: Bucket, feed: Feed, spoil: Callable[[Blob], None], error: type[Exception], message: str
) -> None:
    generation = put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    archive(bucket, manifest)
    spoil(bucket.blob(f"{ARCHIVED}.{generation}.csv"))
    with pytest.raises(error, match=message):
        restore_inputs(bucket, manifest)
    assert names(bucket, "batches/") == ["batches/order_tracking/b1/manifest.json"]
