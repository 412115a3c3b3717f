"""google-cloud-storage against the bucket stand-in: what works as it does on GCS, and what the pipeline stands on."""

import base64
import hashlib
import io
from collections.abc import Callable

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket

from tests.bucket_server import BucketServer, new_client

MIB = 1024 * 1024
NAME = "source/order_tracking_2026_11_20.csv"
NAMES = [
    "source/with space.csv",
    "source/h#sh.csv",
    "source/ünï códe.csv",
    "source/st*r.csv",
    "source/wh?t.csv",
    "source/100%20.csv",
    "source/a+b&c=d.csv",
    "source/[set]{brace}.csv",
    "source/new\nline.csv",
]


def put(bucket: Bucket, name: str = NAME, content: str | bytes = "x") -> Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(content)
    return blob


def found(bucket: Bucket, name: str = NAME) -> Blob:
    blob = bucket.get_blob(name)
    assert blob is not None
    return blob


def names(bucket: Bucket, **options: object) -> list[str]:
    return [blob.name for blob in bucket.client.list_blobs(bucket, **options)]


def crc32c(data: bytes) -> str:
    """Bit by bit from the polynomial, so that no library of Google's is the judge of its own."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return base64.b64encode((register ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def test_the_judge_of_checksums_knows_the_standard_check_value() -> None:
    assert crc32c(b"123456789") == base64.b64encode(bytes.fromhex("e3069283")).decode()


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 5], ids=["empty", "one byte", "binary"])
def test_size_and_checksums_are_those_of_the_bytes_stored(bucket: Bucket, content: bytes) -> None:
    put(bucket, content=content)
    for blob in (found(bucket), *bucket.client.list_blobs(bucket)):
        assert (blob.size, blob.crc32c, blob.md5_hash) == (len(content), crc32c(content), md5(content))
    assert found(bucket).download_as_bytes() == content


def test_a_listing_is_sorted_and_ends_at_its_prefix_and_delimiter(bucket: Bucket) -> None:
    for name in ("source/b.csv", "source/a.csv", "source/B.csv", "source/old/c.csv", "sourced/d.csv", "archive/e.csv"):
        put(bucket, name)
    assert names(bucket, prefix="source/") == ["source/B.csv", "source/a.csv", "source/b.csv", "source/old/c.csv"]
    listing = bucket.client.list_blobs(bucket, prefix="source/", delimiter="/")
    assert [blob.name for blob in listing] == ["source/B.csv", "source/a.csv", "source/b.csv"]
    assert listing.prefixes == {"source/old/"}
    assert names(bucket, start_offset="source/a.csv", end_offset="source/old/") == ["source/a.csv", "source/b.csv"]


def test_a_listing_can_be_read_in_pages_and_taken_up_at_a_token(bucket: Bucket) -> None:
    expected = [put(bucket, f"source/{number}.csv").name for number in range(5)]
    pages = [[blob.name for blob in page] for page in bucket.client.list_blobs(bucket, page_size=2).pages]
    assert pages == [expected[:2], expected[2:4], expected[4:]]
    first = bucket.client.list_blobs(bucket, max_results=3)
    assert [blob.name for blob in first] == expected[:3]
    assert names(bucket, page_token=first.next_page_token) == expected[3:]


def test_an_overwrite_has_a_greater_generation_and_a_later_time(bucket: Bucket) -> None:
    blobs = [put(bucket, content=str(number)) for number in range(20)]
    generations = [int(blob.generation) for blob in blobs]
    assert generations == sorted(set(generations))
    times = [blob.time_created for blob in blobs]
    assert times == sorted(set(times))
    assert int(found(bucket).generation) == generations[-1]


READS: dict[str, Callable[[Bucket, int], object]] = {
    "get": lambda bucket, generation: bucket.blob(NAME, generation=generation).reload(),
    "download": lambda bucket, generation: bucket.blob(NAME, generation=generation).download_as_bytes(),
    "range": lambda bucket, generation: bucket.blob(NAME, generation=generation).download_as_bytes(
        start=0, end=1, raw_download=True
    ),
    "rewrite": lambda bucket, generation: bucket.blob("copy").rewrite(bucket.blob(NAME, generation=generation)),
    "copy": lambda bucket, generation: bucket.copy_blob(
        bucket.blob(NAME), bucket, "copy", source_generation=generation
    ),
    "delete": lambda bucket, generation: bucket.blob(NAME, generation=generation).delete(),
}


@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_a_generation_that_is_gone_is_not_found_and_the_newer_one_stays(
    bucket: Bucket, call: Callable[[Bucket, int], object]
) -> None:
    old, new = put(bucket, content="old").generation, put(bucket, content="new").generation
    with pytest.raises(NotFound):
        call(bucket, old)
    assert names(bucket) == [NAME]
    assert found(bucket).download_as_bytes() == b"new"
    call(bucket, new)


def test_only_the_live_generation_can_be_deleted_by_its_number(bucket: Bucket) -> None:
    blob = put(bucket)
    bucket.blob(NAME, generation=blob.generation).delete()
    assert names(bucket) == []
    for call in READS.values():
        with pytest.raises(NotFound):
            call(bucket, blob.generation)


@pytest.mark.parametrize("method", ["rewrite", "copy"])
def test_a_copy_has_the_bytes_checksums_and_metadata_of_its_source(bucket: Bucket, method: str) -> None:
    source = bucket.blob(NAME)
    source.metadata = {"delivered-at": "2026-11-20T10:14:58+00:00", "ünï": "códe"}
    source.upload_from_string("abc", content_type="text/csv")
    READS[method](bucket, source.generation)
    copy = found(bucket, "copy")
    assert (copy.size, copy.crc32c, copy.md5_hash) == (3, crc32c(b"abc"), md5(b"abc"))
    assert (copy.metadata, copy.content_type) == (source.metadata, "text/csv")
    assert copy.download_as_bytes() == b"abc"
    assert int(copy.generation) > int(source.generation)


def test_a_copy_can_be_given_metadata_of_its_own(bucket: Bucket) -> None:
    put(bucket)
    copy = bucket.blob("copy")
    copy.metadata = {"delivered-at": "2026-11-20T10:14:58+00:00"}
    copy.rewrite(bucket.blob(NAME))
    assert found(bucket, "copy").metadata == {"delivered-at": "2026-11-20T10:14:58+00:00"}


@pytest.mark.parametrize("chunk", [None, MIB], ids=["in one request", "in chunks"])
def test_an_upload_that_must_not_overwrite_does_not(bucket: Bucket, chunk: int | None) -> None:
    put(bucket, content="first")
    with pytest.raises(PreconditionFailed):
        bucket.blob(NAME, chunk_size=chunk).upload_from_file(io.BytesIO(bytes(2 * MIB)), if_generation_match=0)
    assert found(bucket).download_as_bytes() == b"first"
    bucket.blob("other", chunk_size=chunk).upload_from_file(io.BytesIO(bytes(2 * MIB)), if_generation_match=0)
    assert found(bucket, "other").size == 2 * MIB


def test_a_big_file_sent_and_fetched_in_chunks_is_intact(bucket: Bucket) -> None:
    content = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(9 * MIB // 32))
    bucket.blob(NAME, chunk_size=MIB).upload_from_file(io.BytesIO(content))
    assert (found(bucket).size, found(bucket).md5_hash) == (9 * MIB, md5(content))
    assert bucket.blob(NAME, chunk_size=MIB).download_as_bytes() == content


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_kept_letter_by_letter(bucket: Bucket, name: str) -> None:
    generation = put(bucket, name, name).generation
    bucket.blob("copy").rewrite(bucket.blob(name, generation=generation))
    assert names(bucket, prefix=name) == [name]
    assert found(bucket, name).name == name
    assert found(bucket, "copy").download_as_text() == name
    bucket.blob(name, generation=generation).delete()
    assert names(bucket) == ["copy"]


def test_what_is_not_there_is_not_found(bucket: Bucket) -> None:
    assert bucket.get_blob("nothing") is None
    for call in READS.values():
        with pytest.raises(NotFound):
            call(bucket, 1)
    with pytest.raises(NotFound):
        list(bucket.client.list_blobs("no-such-bucket"))


def test_a_restart_changes_nothing_of_an_object(own_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", own_server.url)
    with own_server.running():
        blob = new_client().create_bucket("kept").blob(NAME)
        blob.metadata = {"delivered-at": "2026-11-20T10:14:58+00:00"}
        blob.upload_from_string("abc", content_type="text/csv")
        before = found(new_client().bucket("kept"))._properties
    with own_server.running():
        after = found(new_client().bucket("kept"))
        assert after._properties == before
        assert after.download_as_bytes() == b"abc"
