"""A bucket of its own for each test, in a real bucket server that is started once."""

import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client

from ingestion.feeds import Feed, load_feed

REPO = Path(__file__).resolve().parents[2]
START_SECONDS = 20


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a running fake-gcs-server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path_factory.mktemp("bucket")
    command = [REPO / ".local/bin/fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    with (folder.parent / "bucket.log").open("wb") as log:
        server = subprocess.Popen([*command, "-filesystem-root", folder], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert time.monotonic() < deadline, (folder.parent / "bucket.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket_server)
    client = Client(project="test", credentials=AnonymousCredentials())
    return client.create_bucket(f"orders-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def google_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Airflow connection to the bucket server."""
    extra = '{"is_anonymous": true, "project": "test"}'
    monkeypatch.setenv(
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", f'{{"conn_type": "google_cloud_platform", "extra": {extra}}}'
    )


@pytest.fixture
def feed() -> Feed:
    """The feed of the mission."""
    return load_feed(REPO / "dags/feeds/order_tracking.yaml")
