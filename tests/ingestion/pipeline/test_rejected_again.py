"""Rejected files read anew: what is accepted leaves `rejected/` after its batch, what is not stays with its reason."""

import json
from datetime import datetime

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import Manifest
from ingestion.pipeline.planning import Planner, UnreadableError, plan
from ingestion.pipeline.run_request import Days, RunRequest
from tests.ingestion.pipeline.batches import ARCHIVED, FIRST, NAME, must_plan, names, november, put
from tests.refusals import HELD, NO_ACCESS, Refusals

EXTRA = "extra," + FIRST.replace("\n1,", "\nx,1,")
OTHER = "source/order_tracking_2026_11_21.csv"
IN_REJECTED = "rejected/order_tracking/2026-11-20/order_tracking_2026_11_20"


@pytest.fixture
def mended(feed: Feed) -> Feed:
    """The feed with the column that its files have had all along."""
    column = feed.columns[0].model_copy(update={"name": "extra"})
    return feed.model_copy(update={"columns": [*feed.columns, column]})


def again(bucket: Bucket, feed: Feed, batch_id: str, days: Days | None = None) -> Manifest | None:
    request = RunRequest("manual", days, None, again_rejected=True)
    return plan(bucket, feed, Planner(batch_id, feed.name, "run", "orders"), request)


def reject(bucket: Bucket, feed: Feed, name: str = NAME, content: str = EXTRA) -> int:
    """Have a file rejected by a batch of its own."""
    generation = put(bucket, name, content)
    archive(bucket, must_plan(bucket, feed, f"b{generation}"))
    assert names(bucket, "source/") == []
    return generation


def test_a_file_that_is_accepted_now_is_loaded_as_delivered_and_moves_to_the_archive(
    bucket: Bucket, feed: Feed, mended: Feed
) -> None:
    bucket.blob(NAME).upload_from_string(EXTRA)
    delivered = bucket.get_blob(NAME)
    archive(bucket, must_plan(bucket, feed, "b1"))
    manifest = again(bucket, mended, "b2")
    assert manifest
    (file,) = manifest.files
    assert (file.object, file.generation, file.delivered_at) == (NAME, delivered.generation, delivered.time_created)
    assert (str(file.date), file.columns[0]) == ("2026-11-20", "extra")
    assert names(bucket, "rejected/"), "nothing leaves before the merge"
    assert archive(bucket, manifest) == []
    archive(bucket, manifest)
    assert names(bucket, "rejected/") == []
    assert names(bucket, "archive/") == [f"{ARCHIVED}.{delivered.generation}.csv"]
    (reloaded,) = must_plan(bucket, mended, "b3", november(20)).files
    assert (reloaded.generation, reloaded.delivered_at) == (delivered.generation, delivered.time_created)


def test_a_file_that_is_rejected_again_stays_with_its_new_reason(bucket: Bucket, feed: Feed, mended: Feed) -> None:
    generation = reject(bucket, feed, content="who,knows\n1,2\n")
    kept = bucket.get_blob(f"{IN_REJECTED}.{generation}.csv").generation
    one_column = mended.columns[0].model_copy(update={"name": "who"})
    manifest = again(bucket, feed.model_copy(update={"columns": [*feed.columns, one_column]}), "b2")
    assert manifest
    assert ([file.code for file in manifest.rejected], manifest.files) == (["missing_column"], [])
    archive(bucket, manifest)
    archive(bucket, manifest)
    file = f"{IN_REJECTED}.{generation}.csv"
    assert names(bucket, "rejected/") == [file, f"{file}.reason.json"]
    assert bucket.get_blob(file).generation == kept
    reason = json.loads(bucket.blob(f"{file}.reason.json").download_as_text())
    assert (reason["code"], reason["object"], reason["generation"]) == ("missing_column", NAME, generation)


def test_a_file_that_is_rejected_again_stays_though_the_feed_dates_it_otherwise_now(bucket: Bucket, feed: Feed) -> None:
    place = "rejected/order_tracking/2026-11-19/order_tracking_2026_11_20.5.csv"
    put(bucket, place, "who,knows\n1,2\n")
    manifest = again(bucket, feed, "b1")
    assert manifest
    archive(bucket, manifest)
    assert names(bucket, "rejected/") == [place, f"{place}.reason.json"]


def test_only_rejected_files_of_the_days_are_tried(bucket: Bucket, feed: Feed, mended: Feed) -> None:
    reject(bucket, feed)
    reject(bucket, feed, OTHER)
    put(bucket, "source/order_tracking_2026_11_22.csv", EXTRA)
    put(bucket, "rejected/order_tracking/2026-11-21/notes.txt", "not ours")
    manifest = again(bucket, mended, "b2", november(21))
    assert manifest
    assert [file.object for file in manifest.files] == [OTHER]
    everything = again(bucket, mended, "b3")
    assert everything
    assert [file.object for file in everything.files] == [NAME, OTHER]
    assert again(bucket, mended, "b4", november(19)) is None


def test_a_file_whose_name_has_no_date_is_found_under_the_day_of_its_delivery(bucket: Bucket, feed: Feed) -> None:
    name = "source/order_tracking_2026_02_30.csv"
    bucket.blob(name).upload_from_string(FIRST)
    delivered: datetime = bucket.get_blob(name).time_created
    archive(bucket, must_plan(bucket, feed, "b1"))
    manifest = again(bucket, feed, "b2", Days(delivered.date(), delivered.date()))
    assert manifest
    assert [file.code for file in manifest.rejected] == ["invalid_date"]


def test_a_file_rejected_by_an_old_version_has_its_identity_in_its_name(bucket: Bucket, mended: Feed) -> None:
    put(bucket, f"{IN_REJECTED}.17.csv", EXTRA)
    manifest = again(bucket, mended, "b1")
    assert manifest
    assert [(file.object, file.generation) for file in manifest.files] == [(NAME, 17)]


@pytest.mark.parametrize("killed_at", ["copied", "file removed"])
def test_an_archive_killed_half_way_is_completed(bucket: Bucket, feed: Feed, mended: Feed, killed_at: str) -> None:
    generation = reject(bucket, feed)
    manifest = again(bucket, mended, "b2")
    assert manifest
    pinned = bucket.blob("batches/order_tracking/b2/input/00001.csv")
    bucket.copy_blob(pinned, bucket, f"{ARCHIVED}.{generation}.csv")
    if killed_at == "file removed":
        bucket.blob(f"{IN_REJECTED}.{generation}.csv").delete()
    archive(bucket, manifest)
    assert names(bucket, "rejected/") == []
    assert names(bucket, "archive/") == [f"{ARCHIVED}.{generation}.csv"]


def test_a_rejected_file_under_a_hold_is_loaded_and_told(
    bucket: Bucket, feed: Feed, mended: Feed, refusals: Refusals
) -> None:
    generation = reject(bucket, feed)
    manifest = again(bucket, mended, "b2")
    assert manifest
    refusals.refuse("DELETE", f"{IN_REJECTED}.{generation}.csv", HELD)
    (line,) = archive(bucket, manifest)
    assert f"{IN_REJECTED}.{generation}.csv" in line
    assert "hold" in line
    assert names(bucket, "archive/") == [f"{ARCHIVED}.{generation}.csv"]


def test_other_content_under_the_name_is_not_removed(bucket: Bucket, feed: Feed, mended: Feed) -> None:
    generation = reject(bucket, feed)
    manifest = again(bucket, mended, "b2")
    assert manifest
    put(bucket, f"{IN_REJECTED}.{generation}.csv", "something else")
    (line,) = archive(bucket, manifest)
    assert "no longer what was loaded" in line
    assert bucket.blob(f"{IN_REJECTED}.{generation}.csv").download_as_text() == "something else"


def test_rejected_files_are_tried_all_or_none(
    bucket: Bucket, feed: Feed, mended: Feed, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = reject(bucket, feed)
    refusals.refuse("GET", f"{IN_REJECTED}.{generation}.csv", NO_ACCESS)
    with pytest.raises(UnreadableError, match="Nothing of all rejected files was loaded"):
        again(bucket, mended, "b2")
    refusals.relent()
    read_head = storage.read_head

    def removed_before(of: Bucket, stored: storage.StoredObject) -> bytes | None:
        of.blob(stored.name).delete()
        return read_head(of, stored)

    monkeypatch.setattr(storage, "read_head", removed_before)
    with pytest.raises(UnreadableError, match="was moved or replaced while all rejected files were planned"):
        again(bucket, mended, "b3")
