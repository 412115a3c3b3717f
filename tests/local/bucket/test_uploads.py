"""An upload under way: nobody sees an object before all of it is there, and a broken one leaves nothing."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from google.cloud.storage import Bucket

from tests.bucket_server import BucketServer
from tests.local.bucket.test_objects import found, names, put

QUARTER_MIB = 256 * 1024
Start = Callable[[httpx.Client, str], tuple[str, dict[str, str], bytes]]


def session(http: httpx.Client, bucket: str, **options: str) -> str:
    """The URL of a resumable upload just begun."""
    parameters = {"uploadType": "resumable", "name": "late.csv"} | options
    answer = http.post(f"/upload/storage/v1/b/{bucket}/o", params=parameters, json={})
    return answer.raise_for_status().headers["location"]


def send(http: httpx.Client, url: str, content: bytes, content_range: str) -> int:
    return http.put(url, content=content, headers={"Content-Range": f"bytes {content_range}"}).status_code


def multipart(http: httpx.Client, bucket: str) -> tuple[str, dict[str, str], bytes]:
    """The request google-cloud-storage makes for small objects, without its end."""
    body = (
        b'--b\r\nContent-Type: application/json\r\n\r\n{"name":"late.csv"}\r\n--b\r\nContent-Type: text/csv\r\n\r\nab'
    )
    headers = {"Content-Type": "multipart/related; boundary=b"}
    return f"POST /upload/storage/v1/b/{bucket}/o?uploadType=multipart", headers, body


def resumable(http: httpx.Client, bucket: str) -> tuple[str, dict[str, str], bytes]:
    """The request google-cloud-storage and the gcs-connector make for big ones, without its end."""
    url = urlsplit(session(http, bucket))
    return f"PUT {url.path}?{url.query}", {"Content-Range": "bytes 0-99/100"}, b"ab"


def media(http: httpx.Client, bucket: str) -> tuple[str, dict[str, str], bytes]:
    """The request gcloud-aio and curl make, without its end."""
    return f"POST /upload/storage/v1/b/{bucket}/o?uploadType=media&name=late.csv", {}, b"ab"


@contextmanager
def stalled(http: httpx.Client, bucket: str, start: Start) -> Iterator[None]:
    """An upload whose producer has sent a part of the body, and the server has begun to read it."""
    line, headers, part = start(http, bucket)
    headers |= {"Host": "127.0.0.1", "Content-Length": str(len(part) + 98), "Expect": "100-continue"}
    head = "\r\n".join([f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    with closing(socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=5)) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # sent when the server first reads from the body
        connection.sendall(part)
        yield


def test_a_file_sent_in_parts_appears_only_with_its_last_part(bucket: Bucket, http: httpx.Client) -> None:
    url = session(http, bucket.name)
    assert send(http, url, b"a" * QUARTER_MIB, f"0-{QUARTER_MIB - 1}/*") == 308
    assert names(bucket) == []
    assert bucket.get_blob("late.csv") is None
    assert send(http, url, b"b", f"{QUARTER_MIB}-{QUARTER_MIB}/{QUARTER_MIB + 1}") == 200
    assert [(blob.name, blob.size) for blob in bucket.client.list_blobs(bucket)] == [("late.csv", QUARTER_MIB + 1)]


def test_a_file_being_replaced_in_parts_stays_the_old_one_until_the_last(bucket: Bucket, http: httpx.Client) -> None:
    old = put(bucket, "late.csv", "old")
    url = session(http, bucket.name)
    send(http, url, b"a" * QUARTER_MIB, f"0-{QUARTER_MIB - 1}/*")
    assert found(bucket, "late.csv").generation == old.generation
    assert found(bucket, "late.csv").download_as_bytes() == b"old"


def test_an_upload_that_must_not_overwrite_is_judged_when_it_ends(bucket: Bucket, http: httpx.Client) -> None:
    url = session(http, bucket.name, ifGenerationMatch="0")
    put(bucket, "late.csv", "first")
    assert send(http, url, b"late", "0-3/4") == 412
    assert found(bucket, "late.csv").download_as_bytes() == b"first"


@pytest.mark.parametrize("start", [multipart, resumable])
def test_a_stalled_upload_hinders_nobody_and_leaves_nothing(bucket: Bucket, http: httpx.Client, start: Start) -> None:
    put(bucket, "other.csv")
    with stalled(http, bucket.name, start):
        assert names(bucket) == ["other.csv"]
        put(bucket, "another.csv")
    assert names(bucket) == ["another.csv", "other.csv"]


def test_a_stalled_media_upload_holds_up_every_other_request(
    bucket: Bucket, bucket_server: BucketServer, http: httpx.Client
) -> None:
    """GCS: others do not notice. Stand-in: holds its one lock while it reads the body; no client here uploads so."""
    with stalled(http, bucket.name, media), pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{bucket_server.url}/storage/v1/b/{bucket.name}/o", timeout=0.5, trust_env=False)
    assert names(bucket) == []
