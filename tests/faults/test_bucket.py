"""Every request of the pipeline to its bucket meets every short fault, and does what it was asked to all the same."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Bucket, Client

from ingestion.pipeline import storage
from ingestion.pipeline.intake import StoredObject
from local.stack.services import PROJECT
from tests.bucket_server import BucketServer
from tests.faults import answers
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Fault, Reset, Stall, Truncate

NAME = "source/ä file.csv"
TEXT = "a,b\n" + "1,2\n" * 50_000
PATIENCE_SECONDS = 0.5

FAULTS = {
    "503": answers.gcs(503),
    "429": answers.gcs(429),
    "reset": Reset(),
    "truncated": Truncate(),
    "silent": Stall(),
}


def read_through(bucket: Bucket, stored: StoredObject) -> str:
    return b"".join(storage.read_through(bucket, stored)).decode()


def copy(bucket: Bucket, stored: StoredObject) -> str:
    assert storage.copy(bucket, stored, "archive/copy.csv")
    return bucket.blob("archive/copy.csv").download_as_text()


def delete(bucket: Bucket, stored: StoredObject) -> StoredObject | None:
    storage.delete_generation(bucket, stored.name, stored.generation)
    return storage.find(bucket, stored.name)


def write(bucket: Bucket, stored: StoredObject) -> str:
    storage.write_json(bucket, f"{stored.name}.json", {"of": stored.name})
    return bucket.blob(f"{stored.name}.json").download_as_text()


# What is asked for, by which request, and what it must come to.
REQUESTS: dict[str, tuple[str, str, Callable[[Bucket, StoredObject], object], Callable[[StoredObject], object]]] = {
    "list": ("GET", r"/o\?", lambda bucket, _: storage.list_objects(bucket, "source/"), lambda stored: [stored]),
    "list below": ("GET", r"/o\?", lambda bucket, _: storage.list_below(bucket, ""), lambda stored: [stored]),
    "get": ("GET", f"/o/{NAME}", lambda bucket, _: storage.find(bucket, NAME), lambda stored: stored),
    "read the head": ("GET", "alt=media", storage.read_head, lambda _: TEXT[: 64 * 1024].encode()),
    "read all": ("GET", "alt=media", read_through, lambda _: TEXT),
    "read text": ("GET", "alt=media", lambda bucket, _: storage.read_text(bucket, NAME), lambda _: TEXT),
    "rewrite": ("POST", "/rewriteTo/", copy, lambda _: TEXT),
    "delete": ("DELETE", f"/o/{NAME}", delete, lambda _: None),
    "upload": ("POST", "^/upload/", write, lambda _: f'{{\n  "of": "{NAME}"\n}}\n'),
}


@pytest.fixture(scope="module")
def proxy(bucket_server: BucketServer) -> Iterator[FaultProxy]:
    with FaultProxy(lambda: bucket_server.url).running() as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: FaultProxy, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The empty bucket, as a client without pauses and with little patience sees it through the proxy."""
    endpoint = {"api_endpoint": f"http://127.0.0.1:{proxy.port}"}
    client = Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=endpoint)
    hurried = SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic)
    monkeypatch.setattr("google.api_core.retry.retry_unary.time", hurried)
    request = AuthorizedSession.request
    monkeypatch.setattr(
        AuthorizedSession,
        "request",
        lambda *args, **options: request(*args, **options | {"timeout": PATIENCE_SECONDS}),
    )
    yield client.bucket(bucket.name)
    proxy.heal()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_short_fault_changes_nothing(
    proxy: FaultProxy,
    behind: Bucket,
    request_: tuple[str, str, Callable[[Bucket, StoredObject], object], Callable[[StoredObject], object]],
    fault: Fault,
) -> None:
    method, path, ask, expected = request_
    behind.blob(NAME).upload_from_string(TEXT)
    stored = storage.find(behind, NAME)
    assert stored is not None
    (rule,) = proxy.fail(method, path, fault)
    assert ask(behind, stored) == expected(stored)
    assert rule.left == 0


def test_the_proxy_passes_everything_on_as_it_is(proxy: FaultProxy, behind: Bucket) -> None:
    """A resumable upload is sent on to where the server says it is; ranges, odd names and binary bytes arrive."""
    content = bytes(range(256)) * 4096
    blob = behind.blob("source/odd name?&+%2F.bin")
    with blob.open("wb", chunk_size=256 * 1024) as file:
        file.write(content)
    assert blob.download_as_bytes(start=1000, end=1999) == content[1000:2000]
    assert blob.download_as_bytes() == content
    assert proxy.seen("PUT", "upload_id="), "its pieces came through the proxy too"
    with pytest.raises(Exception, match="404"):
        behind.blob("source/nothing").download_as_bytes()
