"""What old batches leave under `batches/` goes; what may be the only copy of a file, or is no batch's, stays."""

from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline import storage, watching
from ingestion.pipeline.archiving import archive, restore_inputs
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.left_behind import MOVED, write_note
from ingestion.pipeline.planning import NoManifestError, read_manifest
from ingestion.pipeline.trimming import trim
from ingestion.pipeline.watching import Told
from tests.ingestion.pipeline.batches import FIRST, NAME, SECOND, must_plan, names, put
from tests.refusals import NO_ACCESS, Refusals

BATCHES = "batches/order_tracking/"


def now() -> datetime:
    """A time at which all that is there is old."""
    return datetime.now(UTC) + timedelta(seconds=2)


def test_a_batch_that_is_over_leaves_nothing_and_notes_stay(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    archive(bucket, must_plan(bucket, feed, "b1"))
    write_note(bucket, feed, MOVED, (NAME, 1), "on hold", "archive/copy")
    watching.write_told(bucket, Told(told={}))
    put(bucket, "batches/a_former_feed/b0/manifest.json", '{"version": 1, "files": [], "of": "an old version"}')
    kept = [*names(bucket, f"{BATCHES}left/"), "batches/ingestion_watch.json"]

    assert trim(bucket, datetime.now(UTC) - timedelta(days=1)).removed == [], "nothing is that old"
    trimmed = trim(bucket, now())

    assert (trimmed.removed, trimmed.kept) == (["batches/a_former_feed/b0/", f"{BATCHES}b1/"], {})
    assert names(bucket, "batches/") == sorted(kept)
    assert len(names(bucket, "archive/")) == 1
    # What a cleared task says then.
    with pytest.raises(NoManifestError, match="clear plan_batch"):
        read_manifest(bucket, feed, "b1")


def test_a_copy_that_may_be_the_only_one_stays_until_its_file_is_archived(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    failed = must_plan(bucket, feed, "failed")
    put(bucket, NAME, SECOND)  # its producer has replaced it: the pinned copy is all there is of the first
    trimmed = trim(bucket, now())
    assert trimmed.removed == []
    assert list(trimmed.kept) == [f"{BATCHES}failed/"]
    assert f"{NAME} is not archived" in trimmed.kept[f"{BATCHES}failed/"]
    assert len(names(bucket, f"{BATCHES}failed/")) == 2

    for file in failed.files:  # by another batch, which had it too
        pinned = storage.find(bucket, file.input.removeprefix(f"gs://{bucket.name}/"))
        assert pinned is not None
        storage.copy(bucket, pinned, file.archive)
    assert trim(bucket, now()).removed == [f"{BATCHES}failed/"]
    assert names(bucket, "batches/") == []
    assert names(bucket, "source/") == [NAME]


def test_a_batch_that_is_staged_again_stays_whole(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    manifest = must_plan(bucket, feed, "b1")
    archive(bucket, manifest)
    restore_inputs(bucket, manifest)
    (pinned,) = storage.list_objects(bucket, f"{BATCHES}b1/input/")
    assert trim(bucket, pinned.created).removed == [], "only the manifest is older"
    assert len(names(bucket, f"{BATCHES}b1/")) == 2


def test_what_a_failed_try_has_pinned_goes(bucket: Bucket, feed: Feed) -> None:
    put(bucket, f"{BATCHES}b1/input/00001.csv", FIRST)
    assert trim(bucket, now()).removed == [f"{BATCHES}b1/"]


def test_killed_in_between_it_goes_on_and_a_refusal_keeps_no_other_batch(
    bucket: Bucket, feed: Feed, refusals: Refusals
) -> None:
    for batch, day in (("b1", "20"), ("b2", "21")):
        put(bucket, NAME.replace("_20.", f"_{day}."), FIRST)
        manifest = must_plan(bucket, feed, batch)
        archive(bucket, manifest)
        restore_inputs(bucket, manifest)
    refusals.refuse("DELETE", f"{BATCHES}b1/input/00001.csv", NO_ACCESS)
    trimmed = trim(bucket, now())
    assert trimmed.removed == [f"{BATCHES}b2/"]
    assert "00001.csv" in trimmed.kept[f"{BATCHES}b1/"]
    assert len(names(bucket, f"{BATCHES}b1/")) == 2, "the manifest goes last: it says whether copies may go"
    refusals.relent()
    assert trim(bucket, now()).removed == [f"{BATCHES}b1/"]
    assert names(bucket, "batches/") == []


def test_a_manifest_that_cannot_be_read_keeps_its_copies(bucket: Bucket) -> None:
    put(bucket, f"{BATCHES}b1/manifest.json", "{}")
    put(bucket, f"{BATCHES}b1/input/00001.csv", FIRST)
    assert "cannot be read" in trim(bucket, now()).kept[f"{BATCHES}b1/"]
    assert len(names(bucket, BATCHES)) == 2
