"""Who may use the bucket stand-in, and which names it keeps: fake-gcs-server alone would take all of these."""

import json
from urllib.parse import quote

import httpx
import pytest
from google.cloud.storage import Bucket

from tests.bucket_server import BucketServer

# As a browser sends what a page of another site asks for, with and without a preflight, and what a form sends.
OF_A_WEB_PAGE = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:4443"},
]
# Out of the folder by any way in which a request can spell a name.
LEAVING = ["../up.csv", "source/../../up.csv", "source/..", "../../../up.csv", "a/../b.csv", "a\0b"]


@pytest.mark.parametrize("headers", OF_A_WEB_PAGE)
def test_a_web_page_can_neither_read_nor_write_nor_delete(
    bucket: Bucket, http: httpx.Client, headers: dict[str, str]
) -> None:
    bucket.blob("source/a.csv").upload_from_string("a\n1\n")
    objects = f"/storage/v1/b/{bucket.name}/o"
    requests = [
        ("POST", f"/upload{objects}?uploadType=media&name=source/b.csv"),
        ("DELETE", f"{objects}/source%2Fa.csv"),
        ("OPTIONS", f"{objects}/source%2Fa.csv"),
        ("POST", "/_internal/delete_all"),
        ("GET", objects),
        ("GET", f"/{bucket.name}/source/a.csv"),
    ]
    for method, path in requests:
        answer = http.request(method, path, headers={"Content-Type": "text/plain"} | headers, content=b"x")
        assert answer.status_code == 403, (method, path)
        assert "access-control-allow-origin" not in answer.headers
    assert [blob.name for blob in bucket.list_blobs()] == ["source/a.csv"]


@pytest.mark.parametrize("name", LEAVING)
def test_a_name_that_would_leave_the_folder_is_refused(
    bucket: Bucket, bucket_server: BucketServer, http: httpx.Client, name: str
) -> None:
    bucket.blob("source/a.csv").upload_from_string("a\n1\n")
    folder = bucket_server.home.root
    before = set(folder.rglob("*"))
    objects, encoded, body = f"/storage/v1/b/{bucket.name}/o", quote(name, safe=""), json.dumps({"name": name})
    part = f"--x\r\nContent-Type: application/json\r\n\r\n{body}\r\n--x\r\n\r\nescaped\r\n--x--\r\n"
    uploads = [
        ("POST", f"/upload{objects}?uploadType=media&name={encoded}", "text/plain", "escaped"),
        ("POST", f"/upload{objects}?uploadType=multipart", "multipart/related; boundary=x", part),
        ("POST", f"/upload{objects}?uploadType=resumable", "application/json", body),
        ("POST", f"/upload{objects}?uploadType=resumable&name={encoded}", "application/json", "{}"),
        ("POST", f"{objects}/source%2Fa.csv/rewriteTo/b/{bucket.name}/o/{encoded}", "application/json", "{}"),
        ("POST", f"{objects}/source%2Fa.csv/rewriteTo/b/{bucket.name}/o/{quote(encoded)}", "application/json", "{}"),
        ("POST", f"{objects}/{encoded}/compose", "application/json", '{"sourceObjects": [{"name": "source/a.csv"}]}'),
        ("GET", f"{objects}/{encoded}?alt=media", "text/plain", ""),
        ("DELETE", f"{objects}/{encoded}", "text/plain", ""),
    ]
    for method, path, kind, content in uploads:
        answer = http.request(method, path, headers={"Content-Type": kind}, content=content.encode())
        assert (answer.status_code, "cannot keep" in answer.text) == (400, True), (method, path, answer.text)
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/batch/storage/v1", "multipart/mixed; boundary=x"),
        ("/_internal/delete_all", "application/json"),
        ("/orders", "multipart/form-data; boundary=x"),
    ],
)
def test_what_it_does_not_look_into_it_does_not_do(http: httpx.Client, path: str, kind: str) -> None:
    assert http.post(path, headers={"Content-Type": kind}, content=b"").status_code == 501


@pytest.mark.parametrize(
    "name", ["source/..csv", "source/a..b.csv", "source/%2e%2e.csv", "source/...", "source/\u2025/x"]
)
def test_names_that_only_look_so_are_kept(bucket: Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string("a\n1\n")
    assert bucket.blob(name).download_as_bytes() == b"a\n1\n"
    assert [blob.name for blob in bucket.list_blobs()] == [name]
