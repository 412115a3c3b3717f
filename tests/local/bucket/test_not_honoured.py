"""What GCS does and the stand-in does not. A red test here is good news: take its row out of docs/contract.md.

Each test states what GCS does, and asserts what the stand-in does instead.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud.storage import Blob, Bucket

from tests.bucket_server import BucketServer, new_client
from tests.local.bucket.test_objects import NAME, found, names, put

Call = Callable[[Bucket, int], object]


def objects(bucket: Bucket, name: str = "") -> str:
    path = f"/storage/v1/b/{bucket.name}/o"
    return f"{path}/{name.replace('/', '%2F')}" if name else path


def upload(http: httpx.Client, bucket: Bucket, name: str, **headers: str) -> httpx.Response:
    """One upload request, for the stock client would repeat one that fails with 500 for two minutes."""
    parameters = {"uploadType": "media", "name": name}
    return http.post(f"/upload{objects(bucket)}", params=parameters, content=b"x", headers=headers)


# Each is given the generation that was overwritten. GCS answers 412 to all, and nothing changes.
IGNORED: dict[str, Call] = {
    "delete, generation": lambda b, old: b.blob(NAME).delete(if_generation_match=old),
    "delete, metageneration": lambda b, old: b.blob(NAME).delete(if_metageneration_match=99),
    "rewrite, target": lambda b, old: b.blob("target").rewrite(b.blob(NAME), if_generation_match=0),
    "rewrite, source": lambda b, old: b.blob("target").rewrite(b.blob(NAME), if_source_generation_match=old),
    "copy, target": lambda b, old: b.copy_blob(b.blob(NAME), b, "target", if_generation_match=0),
    "copy, source": lambda b, old: b.copy_blob(b.blob(NAME), b, "target", if_source_generation_match=old),
    "compose": lambda b, old: b.blob("target").compose([b.blob(NAME)], if_generation_match=0),
    "upload, metageneration": lambda b, old: b.blob("target").upload_from_string("new", if_metageneration_match=99),
}


@pytest.mark.parametrize("call", IGNORED.values(), ids=IGNORED)
def test_a_precondition_that_does_not_hold_stops_no_write(bucket: Bucket, call: Call) -> None:
    """GCS: 412, nothing changes. Stand-in: the write is done."""
    put(bucket, "target", "kept on GCS")
    old = put(bucket, content="old").generation
    put(bucket, content="new")
    call(bucket, old)
    assert names(bucket) == ["target"] or found(bucket, "target").download_as_bytes() == b"new"


READS: dict[str, Callable[[Blob, int], object]] = {
    "get": lambda blob, old: blob.reload(if_generation_match=old),
    "get, metageneration": lambda blob, old: blob.reload(if_metageneration_match=99),
    "download": lambda blob, old: blob.download_as_bytes(if_generation_match=old),
}


@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_a_precondition_that_does_not_hold_stops_no_read(bucket: Bucket, call: Callable[[Blob, int], object]) -> None:
    """GCS: 412. Stand-in: answers with the newer object."""
    old = put(bucket, content="old").generation
    put(bucket, content="new")
    call(bucket.blob(NAME), old)


@pytest.mark.parametrize(
    ("options", "gcs"),
    [
        ({"match_glob": "source/*.csv"}, ["source/a.csv"]),
        ({"match_glob": "nothing*"}, []),
        ({"soft_deleted": True}, []),
    ],
)
def test_a_listing_is_not_narrowed(bucket: Bucket, options: dict[str, Any], gcs: list[str]) -> None:
    """GCS: lists `gcs`. Stand-in: lists everything, as if it had not been asked."""
    everything = [put(bucket, name).name for name in ("archive/a.csv", "source/a.csv", "source/a.txt")]
    assert names(bucket, **options) == everything != gcs


def test_a_field_mask_is_ignored(bucket: Bucket, http: httpx.Client) -> None:
    """GCS: only the fields asked for. Stand-in: all of them, which hides a mask that leaves out too much."""
    put(bucket)
    assert "generation" in http.get(objects(bucket, NAME), params={"fields": "name"}).json()


def test_a_folder_marker_is_accepted_and_not_kept(bucket: Bucket) -> None:
    """GCS: an object of 0 bytes like any other. Stand-in: says so too, but there is none."""
    assert put(bucket, "source/", "").size == 0
    assert bucket.get_blob("source/") is None
    assert names(bucket) == []


@pytest.mark.parametrize("pair", [("a", "a/b"), ("a/b", "a")])
def test_no_object_can_be_named_as_the_folder_of_another(
    bucket: Bucket, http: httpx.Client, pair: tuple[str, str]
) -> None:
    """GCS: names are no paths, both are kept. Stand-in: 500, which clients repeat until their patience ends."""
    assert [upload(http, bucket, name).status_code for name in pair] == [200, 500]


@pytest.mark.parametrize(("name", "kept_as"), [("source//a.csv", "source/a.csv"), ("source/./a.csv", "source/a.csv")])
def test_a_name_is_resolved_as_a_path(bucket: Bucket, name: str, kept_as: str) -> None:
    """GCS: kept letter by letter. Stand-in: cleaned as a path, so two names can be one object; `..` is refused."""
    put(bucket, name)
    assert names(bucket) == [kept_as]


@pytest.mark.parametrize(("length", "status"), [(235, 200), (240, 400)])
def test_a_part_of_a_name_has_less_than_240_bytes(bucket: Bucket, http: httpx.Client, length: int, status: int) -> None:
    """GCS: 1,024 bytes for the whole name, its parts of any length. Stand-in: what a file name can hold."""
    assert upload(http, bucket, "source/" + "n" * length).status_code == status


def test_a_file_laid_into_the_bucket_s_folder_makes_the_bucket_unlistable(
    own_server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GCS has no folder to lay files into. Stand-in: 404 for the whole listing, though the bucket is there."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", own_server.url)
    with own_server.running(), httpx.Client(base_url=own_server.url, trust_env=False) as http:
        bucket = new_client().create_bucket("spoiled")
        put(bucket)
        (own_server.home.bucket / bucket.name / "by_hand.csv").write_text("x")
        assert http.get(objects(bucket)).status_code == 404
        assert bucket.exists()


def test_only_the_newest_version_exists_and_versioning_is_refused(bucket: Bucket, http: httpx.Client) -> None:
    """GCS: a versioned bucket keeps old generations, and deletes one for good when named. Stand-in: 500."""
    put(bucket, content="old")
    new = put(bucket, content="new")
    assert [blob.generation for blob in bucket.client.list_blobs(bucket, versions=True)] == [new.generation]
    assert http.patch(f"/storage/v1/b/{bucket.name}", json={"versioning": {"enabled": True}}).status_code == 500


@pytest.mark.parametrize("protection", ["hold", "retention"])
def test_nothing_is_protected_from_deletion(bucket: Bucket, http: httpx.Client, protection: str) -> None:
    """GCS: 403 on the delete. Stand-in: accepts the protection, then deletes."""
    put(bucket)
    path, body = {
        "hold": (objects(bucket, NAME), {"temporaryHold": True}),
        "retention": (f"/storage/v1/b/{bucket.name}", {"retentionPolicy": {"retentionPeriod": "1000"}}),
    }[protection]
    assert http.patch(path, json=body).status_code == 200
    bucket.blob(NAME).delete()
    assert names(bucket) == []


def test_a_change_of_metadata_has_no_metageneration(bucket: Bucket) -> None:
    """GCS: the metageneration goes up by one. Stand-in: it is 1 for ever."""
    blob = put(bucket)
    blob.metadata = {"key": "value"}
    blob.patch()
    assert found(bucket).metadata == {"key": "value"}
    assert found(bucket).metageneration == 1


def test_a_move_is_refused(bucket: Bucket) -> None:
    """GCS: moves in one step. Stand-in: 400, for the request has no body. See also test_spark."""
    with pytest.raises(BadRequest):
        bucket.move_blob(bucket.blob(put(bucket).name), "target", retry=None)
    assert names(bucket) == [NAME]


def test_a_composed_object_has_an_md5(bucket: Bucket) -> None:
    """GCS: composed objects have a crc32c and no MD5. Stand-in: both."""
    put(bucket)
    bucket.blob("target").compose([bucket.blob(NAME)])
    assert found(bucket, "target").md5_hash is not None


def test_a_wrong_crc32c_sent_along_is_accepted(bucket: Bucket) -> None:
    """GCS: 400, nothing is stored. Stand-in: stores the bytes with their true crc32c; it checks an MD5 only."""
    blob = bucket.blob(NAME)
    blob.crc32c = "AAAAAA=="
    blob.upload_from_string("x")
    assert found(bucket).crc32c != "AAAAAA=="
    blob = bucket.blob("md5")
    blob.md5_hash = "1B2M2Y8AsgTpgAmY7PhCfg=="
    with pytest.raises(BadRequest, match="MD5"):
        blob.upload_from_string("x")


def test_a_rewrite_ends_in_one_call(bucket: Bucket, http: httpx.Client) -> None:
    """GCS: a big one gives a token to go on with. Stand-in: always done, so the token loop never turns here."""
    put(bucket, content=bytes(2 * 1024 * 1024))
    path = f"{objects(bucket, NAME)}/rewriteTo/b/{bucket.name}/o/target"
    assert http.post(path, params={"maxBytesRewrittenPerCall": 1024 * 1024}, json={}).json()["done"] is True


def test_nobody_is_asked_who_they_are(bucket: Bucket, http: httpx.Client) -> None:
    """GCS: 401. Stand-in: answers."""
    assert http.get(objects(bucket), headers={"Authorization": "Bearer nonsense"}).status_code == 200
