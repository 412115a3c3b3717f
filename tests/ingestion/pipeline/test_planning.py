"""Planning against a real bucket: what is pinned, from where, and what a reload takes."""

import gzip
import json
from datetime import UTC, date, datetime

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.archiving import archive
from ingestion.pipeline.candidates import TooManyFilesError
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import StoredObject
from ingestion.pipeline.manifest import first_identity, name_with_generation, new_batch_id
from ingestion.pipeline.planning import NoManifestError, UnreadableError, read_manifest
from ingestion.pipeline.run_request import Days
from tests.ingestion.pipeline.batches import (
    ARCHIVED,
    FIRST,
    HEADER,
    NAME,
    SECOND,
    must_plan,
    names,
    november,
    planned,
    put,
)


def test_nothing_to_load_writes_nothing(bucket: Bucket, feed: Feed) -> None:
    put(bucket, "source/readme.txt", "not ours")
    assert planned(bucket, feed) is None
    assert names(bucket) == ["source/readme.txt"]


def test_the_manifest_pins_each_file_by_generation_and_content(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    created = bucket.get_blob(NAME).time_created
    must_plan(bucket, feed)
    put(bucket, NAME, SECOND)
    written = json.loads(bucket.blob("batches/order_tracking/b1/manifest.json").download_as_text())
    (file,) = written["files"]
    assert (file["object"], file["generation"], file["date"]) == (NAME, generation, "2026-11-20")
    assert datetime.fromisoformat(file["delivered_at"]) == created
    assert file["size"] == len(FIRST)
    assert file["columns"] == HEADER.strip().split(",")
    assert file["archive"] == f"{ARCHIVED}.{generation}.csv"
    assert file["input"] == f"gs://{bucket.name}/batches/order_tracking/b1/input/00001.csv"
    assert written["tables"]["target"] == "orders.order_tracking"
    pinned = bucket.blob("batches/order_tracking/b1/input/00001.csv").download_as_text()
    assert pinned == FIRST, "an overwrite after planning must not change what the jobs read"


def test_a_backfill_of_a_day_takes_archive_and_source_of_that_day_only(bucket: Bucket, feed: Feed) -> None:
    first = put(bucket, NAME, FIRST)
    archive(bucket, must_plan(bucket, feed, "b1"))
    second = put(bucket, NAME, SECOND)
    put(bucket, "source/order_tracking_2026_11_21.csv", FIRST)
    manifest = must_plan(bucket, feed, "b2", november(20))
    assert [(file.object, file.generation) for file in manifest.files] == [(NAME, first), (NAME, second)]
    archive(bucket, manifest)
    assert names(bucket, "source/") == ["source/order_tracking_2026_11_21.csv"]
    assert names(bucket, "archive/") == [f"{ARCHIVED}.{first}.csv", f"{ARCHIVED}.{second}.csv"]


def test_a_file_from_the_archive_keeps_its_first_identity(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    live = must_plan(bucket, feed, "b1")
    archive(bucket, live)
    again = must_plan(bucket, feed, "b2", november(20))
    identities = [
        [(file.object, file.generation, file.delivered_at, file.date, file.crc32c) for file in batch.files]
        for batch in (live, again)
    ]
    assert identities[0] == identities[1]
    assert planned(bucket, feed, "b3", november(19)) is None


def test_the_first_identity_survives_a_name_that_looks_like_a_generation(bucket: Bucket, feed: Feed) -> None:
    dated = feed.model_copy(update={"pattern": r"orders\.(?P<date>\d{8})"})
    generation = put(bucket, "source/orders.20261120", FIRST)
    archive(bucket, must_plan(bucket, dated, "b1"))
    assert names(bucket, "archive/") == [f"archive/order_tracking/2026-11-20/orders.{generation}.20261120"]
    (again,) = must_plan(bucket, dated, "b2", november(20)).files
    assert (again.object, again.generation) == ("source/orders.20261120", generation)


def test_a_source_file_already_archived_is_planned_once_in_a_backfill(bucket: Bucket, feed: Feed) -> None:
    generation = put(bucket, NAME, FIRST)
    bucket.copy_blob(bucket.blob(NAME), bucket, f"{ARCHIVED}.{generation}.csv")
    manifest = must_plan(bucket, feed, days=november(20))
    assert [(file.object, file.generation) for file in manifest.files] == [(NAME, generation)]
    archive(bucket, manifest)
    assert names(bucket, "source/") == []


def test_days_are_loaded_again_as_one_batch_from_archive_and_source(bucket: Bucket, feed: Feed) -> None:
    for day in (18, 19, 20, 21):
        put(bucket, f"source/order_tracking_2026_11_{day}.csv", FIRST)
    live = must_plan(bucket, feed, "b1")
    archive(bucket, live)
    put(bucket, "source/order_tracking_2026_11_20.csv", SECOND)
    put(bucket, "source/order_tracking_2026_11_22.csv", SECOND)
    put(bucket, "archive/order_tracking/2026-11-20/further/down.1.csv", FIRST)
    put(bucket, "archive/order_tracking/readme.txt", "not ours")
    manifest = must_plan(bucket, feed, "b2", november(19, 20))
    assert [(file.object[-6:-4], file.input[-9:-4]) for file in manifest.files] == [
        ("19", "00001"),
        ("20", "00002"),
        ("20", "00003"),
    ]
    assert [file.generation for file in manifest.files[:2]] == [file.generation for file in live.files[1:3]]
    archive(bucket, manifest)
    assert names(bucket, "source/") == ["source/order_tracking_2026_11_22.csv"]


def test_what_others_laid_into_the_archive_is_passed_over_and_named(
    bucket: Bucket, feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    put(bucket, NAME, FIRST)
    archive(bucket, must_plan(bucket, feed, "b1"))
    foreign = [
        "archive/order_tracking/2026-11-20/_SUCCESS",
        "archive/order_tracking/2026-11-20/notes.txt",
        "archive/order_tracking/2026-11-20/order_tracking_2026_11_20.csv",
        "archive/order_tracking/2026-11-20/further/down.1.csv",
        "archive/order_tracking/2026-11-31/order_tracking_2026_11_31.5.csv",
    ]
    for name in foreign:
        put(bucket, name, FIRST)
    other = bucket.blob("archive/order_tracking/2026-11-20/order_tracking_2026_11_20.7.csv")
    other.metadata = {"object": "somebody's", "generation": "unknown"}
    other.upload_from_string(FIRST)
    before = [name for name in names(bucket) if name.startswith("archive/")]
    manifest = must_plan(bucket, feed, "b2", Days(date(2026, 11, 20), date(2026, 12, 1)))
    assert [file.object for file in manifest.files] == [NAME]
    (warning,) = caplog.messages
    assert all(name in warning for name in [*foreign, other.name])
    archive(bucket, manifest)
    assert names(bucket, "archive/") == before


def test_more_files_than_asked_for_are_refused_in_a_reload_and_left_waiting_otherwise(
    bucket: Bucket, feed: Feed
) -> None:
    for day in (19, 20, 20, 21):
        put(bucket, f"source/order_tracking_2026_11_{day}.csv", FIRST)
        if day == 20:
            archive(bucket, must_plan(bucket, feed, "b1"))
    put(bucket, "source/order_tracking_2026_11_22.csv", FIRST)
    before = names(bucket)
    with pytest.raises(TooManyFilesError, match=r"has 5 files, more than max_files 4.* 2026-11-19 to 2026-11-21 would"):
        planned(bucket, feed, "b2", november(19, 22), max_files=4)
    with pytest.raises(TooManyFilesError, match="2026-11-20 alone has more"):
        planned(bucket, feed, "b2", november(20), max_files=1)
    assert names(bucket) == before
    (oldest,) = must_plan(bucket, feed, "b2", max_files=1).files
    assert oldest.object == "source/order_tracking_2026_11_21.csv"


def test_a_file_that_is_listed_and_cannot_be_read_is_no_green_run(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No local bucket loses what it lists, so the 404 is made up here."""
    put(bucket, NAME, FIRST)
    monkeypatch.setattr(storage, "read_head", lambda bucket, stored: None)
    with pytest.raises(UnreadableError, match=rf"{NAME} generation \d+ is listed"):
        planned(bucket, feed)


def test_a_file_replaced_while_it_is_planned_is_left_to_the_next_run(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, NAME, FIRST)
    read_head = storage.read_head

    def replaced_before(of: Bucket, stored: StoredObject) -> bytes | None:
        put(of, NAME, SECOND)
        return read_head(of, stored)

    monkeypatch.setattr(storage, "read_head", replaced_before)
    assert planned(bucket, feed) is None
    assert names(bucket) == [NAME]


def test_a_file_archived_while_days_are_planned_is_not_left_out(
    bucket: Bucket, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run archives it after the listing: the reload fails, and finds it at the next try."""
    put(bucket, NAME, FIRST)
    live = must_plan(bucket, feed, "b1")
    read_head = storage.read_head

    def archived_before(of: Bucket, stored: StoredObject) -> bytes | None:
        archive(of, live)
        return read_head(of, stored)

    monkeypatch.setattr(storage, "read_head", archived_before)
    with pytest.raises(UnreadableError, match=f"{NAME} was moved or replaced while .* 2026-11-20 were planned"):
        planned(bucket, feed, "b2", november(20))
    (again,) = must_plan(bucket, feed, "b3", november(20)).files
    assert (again.object, again.generation) == (NAME, live.files[0].generation)


def test_a_damaged_file_is_rejected_and_the_others_are_loaded(bucket: Bucket, feed: Feed) -> None:
    zipped = feed.model_copy(update={"compression": "gzip"})
    whole = gzip.compress(FIRST.encode())
    put(bucket, NAME, whole)
    put(bucket, NAME.replace("20.csv", "21.csv"), whole[:-1])
    manifest = must_plan(bucket, zipped)
    assert [file.object for file in manifest.files] == [NAME]
    (rejected,) = manifest.rejected
    assert (rejected.object, rejected.code) == (NAME.replace("20.csv", "21.csv"), "damaged")
    assert rejected.reason == "the file cannot be unpacked: its end is missing; deliver it anew"


def test_a_batch_whose_manifest_is_gone_says_what_to_do(bucket: Bucket, feed: Feed) -> None:
    with pytest.raises(NoManifestError, match=r"b9/manifest.json is gone.*clear plan_batch"):
        read_manifest(bucket, feed, "b9")


def test_an_archived_file_that_no_longer_fits_the_feed_is_not_moved(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    archive(bucket, must_plan(bucket, feed, "b1"))
    fewer = feed.model_copy(update={"columns": [c for c in feed.columns if c.name != "address"]})
    before = names(bucket)
    with pytest.raises(ValueError, match="unknown column address"):
        planned(bucket, fewer, "b2", november(20))
    assert [name for name in names(bucket) if "/b2/" not in name] == before


def test_a_manifest_is_read_back_as_it_was_written(bucket: Bucket, feed: Feed) -> None:
    put(bucket, NAME, FIRST)
    assert read_manifest(bucket, feed, must_plan(bucket, feed).batch_id) == planned(bucket, feed)


def test_batch_ids_sort_by_time_and_differ_by_try() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    first, second = (new_batch_id(noon, "order_tracking", "run", number) for number in (1, 2))
    assert first != second
    assert first.startswith("20261120T120000Z-")
    assert len(first) == len("20261120T101500Z-1f3a9c2b")


@pytest.mark.parametrize(
    ("archived", "identity"),
    [
        ("archive/order_tracking/2026-11-20/order_tracking_2026_11_20.179.csv", (NAME, 179)),
        ("archive/order_tracking/2026-11-20/no_suffix.12", ("source/no_suffix", 12)),
        ("archive/order_tracking/2026-11-20/v1.2.34.csv", ("source/v1.2.csv", 34)),
        ("archive/order_tracking/2026-11-20/part.34.7", ("source/part.7", 34)),
        ("archive/order_tracking/2026-11-20/.hidden.34", ("source/.hidden", 34)),
        ("archive/order_tracking/2026-11-20/..34.csv", ("source/..csv", 34)),
    ],
)
def test_the_first_identity_is_in_the_archived_name(feed: Feed, archived: str, identity: tuple[str, int]) -> None:
    assert first_identity(feed, archived) == identity
    assert name_with_generation(feed, *identity) == archived.rpartition("/")[2]
