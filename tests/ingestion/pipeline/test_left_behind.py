"""Files that the bucket does not let the pipeline read, and the notes that keep runs from starting for them."""

import re
from datetime import timedelta

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline import left_behind
from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.left_behind import leave_refused, write_note
from ingestion.pipeline.manifest import Manifest
from ingestion.pipeline.planning import UnreadableError
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, names, november, planned, put
from tests.refusals import ENCRYPTED, NO_ACCESS, Refusals

OTHER = "source/order_tracking_2026_11_21.csv"


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("GET", NO_ACCESS, r"cannot be read \(403: etl@example.iam does not have storage.objects.get .*needs storage"),
        ("GET", ENCRYPTED, r"cannot be read \(400: .* customer-supplied encryption key\)\. .*delivered anew without"),
        ("POST", ENCRYPTED, r"cannot be copied to batches/.* \(400: .*customer-supplied encryption key\)"),
    ],
)
def test_a_file_that_the_bucket_refuses_is_left_out_and_the_others_are_loaded(
    bucket: Bucket, feed: Feed, refusals: Refusals, method: str, answer: tuple[int, str], said: str
) -> None:
    generation = put(bucket, NAME, FIRST)
    put(bucket, OTHER, FIRST)
    refusals.refuse(method, NAME, answer)
    manifest = must_plan(bucket, feed)
    assert [file.object for file in manifest.files] == [OTHER]
    (unreadable,) = manifest.unreadable
    assert (unreadable.object, unreadable.generation) == (NAME, generation)
    assert re.match(rf"gs://{bucket.name}/{NAME} generation {generation} {said}", unreadable.reason)
    assert "%2F" not in unreadable.reason
    archive(bucket, manifest)
    assert names(bucket, "source/") == [NAME]


def test_unreadable_files_alone_make_no_batch(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    put(bucket, NAME, FIRST)
    refusals.refuse("GET", NAME, NO_ACCESS)
    assert len(must_plan(bucket, feed).unreadable) == 1
    assert names(bucket) == [NAME]


def test_an_unreadable_file_is_tried_by_hand_at_once_and_by_live_runs_after_an_hour(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = (NAME, put(bucket, NAME, FIRST))
    write_note(bucket, feed, "unreadable", identity, "forbidden")
    assert planned(bucket, feed, run_type="scheduled") is None
    assert len(must_plan(bucket, feed).files) == 1
    monkeypatch.setattr(left_behind, "TRY_AGAIN_AFTER", timedelta(seconds=0))
    manifest = planned(bucket, feed, "b2", run_type="scheduled")
    assert manifest
    archive(bucket, manifest)
    put(bucket, OTHER, FIRST)
    archive(bucket, must_plan(bucket, feed, "b3"))
    assert names(bucket, "batches/order_tracking/left/") == [], "the note goes once its file is gone"


def test_a_refused_file_is_tried_by_hand_for_a_changed_feed_and_after_another_batch_was_merged(
    bucket: Bucket, feed: Feed
) -> None:
    identity = (NAME, put(bucket, NAME, FIRST))
    assert leave_refused(bucket, feed, [identity, ("source/order_tracking_2026_01_01.csv", 1)], "a changed key") == [
        NAME
    ]
    assert planned(bucket, feed, run_type="scheduled") is None
    assert len(must_plan(bucket, feed).files) == 1
    in_other_words = feed.model_copy(
        update={
            "description": "Other words.",
            "columns": [column.model_copy(update={"description": "Too."}) for column in feed.columns],
        }
    )
    assert planned(bucket, in_other_words, run_type="scheduled") is None
    changed = feed.model_copy(update={"key": ["order_num"]})
    assert planned(bucket, changed, "b2", run_type="scheduled") is not None

    put(bucket, OTHER, "no header\n")
    archive(bucket, new_batch(bucket, feed, "b3"))
    assert planned(bucket, feed, "b4", run_type="scheduled") is None, "a rejected file has merged nothing"
    put(bucket, OTHER, FIRST)
    loaded = new_batch(bucket, feed, "b5")
    assert [file.object for file in loaded.files] == [OTHER]
    archive(bucket, loaded)
    assert [file.object for file in new_batch(bucket, feed, "b6").files] == [NAME]


def new_batch(bucket: Bucket, feed: Feed, batch_id: str) -> Manifest:
    """What a live run plans."""
    manifest = planned(bucket, feed, batch_id, run_type="scheduled")
    assert manifest is not None
    return manifest


def test_a_reload_fails_over_a_file_that_cannot_be_read(bucket: Bucket, feed: Feed, refusals: Refusals) -> None:
    put(bucket, NAME, FIRST)
    put(bucket, OTHER, FIRST)
    refusals.refuse("GET", NAME, NO_ACCESS)
    with pytest.raises(UnreadableError, match=rf"files of 2026-11-20 to 2026-11-21 was loaded.*{NAME} generation"):
        planned(bucket, feed, "b1", november(20, 21))
