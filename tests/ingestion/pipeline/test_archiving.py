"""Archiving against a real bucket: what leaves `source/`, when, and what comes back from the archive."""

import json
from collections.abc import Callable

import pytest
from google.cloud.storage import Blob, Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.archiving import ArchiveError, archive, restore_inputs
from ingestion.pipeline.feeds import Feed
from tests.ingestion.pipeline.batches import ARCHIVED, FIRST, NAME, SECOND, must_plan, names, planned, put
from tests.refusals import ENCRYPTED, HELD, NO_ACCESS, Refusals

OTHER = "source/order_tracking_2026_11_21.csv"
NOTES = "batches/order_tracking/left/"


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


def test_a_file_under_a_hold_stays_and_all_others_leave(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    held = put(bucket, NAME, FIRST)
    put(bucket, OTHER, FIRST)
    put(bucket, "source/order_tracking_2026_11_22.csv", "")
    manifest = must_plan(bucket, feed)
    refusals.refuse("DELETE", NAME, HELD)
    (line,) = archive(bucket, manifest)
    assert line.startswith(
        f"gs://{bucket.name}/{NAME} generation {held} cannot be deleted (403: Object 'orders/x' is under"
    )
    assert "Release its hold" in line
    assert "storage.objects.delete" in line
    assert f"Its copy is at {ARCHIVED}.{held}.csv" in line
    assert "%2F" not in line
    assert names(bucket, "source/") == [NAME]
    assert len(names(bucket, "archive/")) == 2
    assert names(bucket, "batches/order_tracking/b1/") == ["batches/order_tracking/b1/manifest.json"]


def test_an_empty_file_that_cannot_be_copied_is_left_in_source(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    put(bucket, NAME, "")
    put(bucket, OTHER, FIRST)
    refusals.refuse("POST", NAME, ENCRYPTED)
    (line,) = archive(bucket, must_plan(bucket, feed))
    assert "customer-supplied encryption key" in line
    assert names(bucket, "source/") == [NAME]
    assert planned(bucket, feed, "b2", run_type="scheduled") is None


def test_a_file_that_could_not_be_deleted_is_not_loaded_again_but_a_new_one_of_its_name_is(
    bucket: Bucket, feed: Feed, refusals: Refusals
) -> None:
    put(bucket, NAME, FIRST)
    bad = put(bucket, OTHER, "")
    refusals.refuse("DELETE", NAME, HELD)
    refusals.refuse("DELETE", OTHER, HELD)
    assert len(archive(bucket, must_plan(bucket, feed, "b1"))) == 2
    assert planned(bucket, feed, "b2") is None
    assert f"rejected/order_tracking/2026-11-21/order_tracking_2026_11_21.{bad}.csv" in names(bucket)
    newer = put(bucket, NAME, SECOND)
    assert [file.generation for file in must_plan(bucket, feed, "b3").files] == [newer]


def test_a_file_leaves_with_the_next_batch_once_its_hold_is_released(
    bucket: Bucket, feed: Feed, refusals: Refusals
) -> None:
    put(bucket, NAME, FIRST)
    refusals.refuse("DELETE", NAME, HELD)
    archive(bucket, must_plan(bucket, feed, "b1"))
    put(bucket, OTHER, FIRST)
    assert archive(bucket, must_plan(bucket, feed, "b2")) == [], "told once"
    assert names(bucket, "source/") == [NAME]
    refusals.relent()
    put(bucket, OTHER, FIRST)
    archive(bucket, must_plan(bucket, feed, "b3"))
    assert names(bucket, "source/") == []
    assert names(bucket, NOTES) == []


def test_a_file_whose_archived_copy_is_gone_is_not_deleted_for_its_note(
    bucket: Bucket, feed: Feed, refusals: Refusals
) -> None:
    held = put(bucket, NAME, FIRST)
    refusals.refuse("DELETE", NAME, HELD)
    archive(bucket, must_plan(bucket, feed, "b1"))
    refusals.relent()
    bucket.blob(f"{ARCHIVED}.{held}.csv").delete()
    put(bucket, OTHER, FIRST)
    archive(bucket, must_plan(bucket, feed, "b2"))
    assert bucket.blob(NAME).download_as_text() == FIRST


def test_the_note_of_a_file_that_its_producer_replaced_goes(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    put(bucket, NAME, FIRST)
    refusals.refuse("DELETE", NAME, HELD)
    archive(bucket, must_plan(bucket, feed, "b1"))
    refusals.relent()
    put(bucket, NAME, SECOND)
    archive(bucket, must_plan(bucket, feed, "b2"))
    assert names(bucket, "source/") == []
    assert names(bucket, NOTES) == []


def test_pinned_copies_under_a_hold_stop_nothing(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    put(bucket, NAME, FIRST)
    refusals.refuse("DELETE", "batches/order_tracking/b1/input/00001.csv", HELD)
    (line,) = archive(bucket, must_plan(bucket, feed))
    assert "batches/order_tracking/b1/input/00001.csv" in line
    assert names(bucket, "source/") == []


def test_an_archive_that_cannot_be_written_keeps_the_source(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed)
    refusals.refuse("POST", "batches/order_tracking/b1/input/00001.csv", NO_ACCESS)
    with pytest.raises(storage.BucketRefusedError, match=rf"cannot be copied to {ARCHIVED}.*storage.objects.create"):
        archive(bucket, manifest)
    assert names(bucket, "source/") == [NAME]
