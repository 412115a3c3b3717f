"""What the pipeline asks of the bucket is what docs/production.md says it must be let do, prefix by prefix, no more."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Bucket

from ingestion.pipeline import erasure, watching
from ingestion.pipeline.archiving import archive, restore_inputs
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.left_behind import write_note
from ingestion.pipeline.planning import Planner, plan, read_manifest
from ingestion.pipeline.run_request import RunRequest
from ingestion.pipeline.trimming import trim
from ingestion.pipeline.watching import Told
from tests.ingestion.pipeline.batches import FIRST, NAME, must_plan, november, planned, put
from tests.refusals import NO_ACCESS, Refusals

PAGE = Path(__file__).resolve().parents[3] / "docs" / "production.md"
PERMISSIONS = ("list", "get", "create", "delete")

Used = set[tuple[str, str]]


@pytest.fixture
def used(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Used:
    """What the requests of the storage client need, as (prefix, permission); the tests' own are `put` before it."""
    needed: Used = set()
    request: Callable[..., requests.Response] = AuthorizedSession.request

    def asked(session: AuthorizedSession, method: str, url: str, data: object = None, **kwargs: object) -> object:
        def is_there(name: str) -> bool:
            return request(session, "GET", f"{url.partition('/upload')[0].partition('/storage')[0]}{path(name)}").ok

        def path(name: str) -> str:
            return f"/storage/v1/b/{bucket.name}/o/{name.replace('/', '%2F')}"

        needed.update(needs(method, url, data, is_there))
        return request(session, method, url, data, **kwargs)

    monkeypatch.setattr(AuthorizedSession, "request", asked)
    return needed


def needs(method: str, url: str, data: object, is_there: Callable[[str], bool]) -> Used:
    """By https://cloud.google.com/storage/docs/access-control/iam-json: to overwrite an object is to delete it too."""
    parts = urlsplit(url)
    objects = [unquote(name) for name in re.findall(r"/o/([^/]+)", parts.path)]
    if parts.path.startswith("/upload"):
        assert isinstance(data, bytes)
        (name,) = re.findall(rb'"name": "([^"]+)"', data.partition(b"\r\n\r\n")[2].partition(b"\r\n")[0])
        return written(name.decode(), is_there)
    if "/rewriteTo/" in parts.path:
        source, destination = objects
        return {(prefix_of(source), "get")} | written(destination, is_there)
    if not objects:
        assert (method, parts.path.rpartition("/")[2]) == ("GET", "o"), url
        return {(prefix_of(parse_qs(parts.query)["prefix"][0]), "list")}
    return {(prefix_of(objects[0]), {"GET": "get", "DELETE": "delete"}[method])}


def written(name: str, is_there: Callable[[str], bool]) -> Used:
    return {(prefix_of(name), "create")} | ({(prefix_of(name), "delete")} if is_there(name) else set())


def prefix_of(name: str) -> str:
    return f"{name.partition('/')[0]}/"


def documented() -> Used:
    """The table of the page: a line for each prefix, `yes` for what is needed."""
    rows = re.findall(r"^\| `(\w+/)` \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    cells = {prefix: [cell.strip() for cell in line.split("|")[: len(PERMISSIONS)]] for prefix, line in rows}
    return {
        (prefix, name)
        for prefix, line in cells.items()
        for name, cell in zip(PERMISSIONS, line, strict=True)
        if cell == "yes"
    }


def test_what_is_documented_is_what_is_used(bucket: Bucket, feed: Feed, used: Used, refusals: Refusals) -> None:
    """Everything that any task does in the bucket: a file from source to archive, reloads, rejections, refusals."""
    wrong = NAME.replace("_20.", "_19.")

    def deliver(name: str, content: str) -> None:
        """As a producer does, whose needs are not counted."""
        before = set(used)
        put(bucket, name, content)
        used.intersection_update(before)

    deliver(NAME, FIRST)
    deliver(wrong, "no header\n")
    manifest = must_plan(bucket, feed)
    archive(bucket, read_manifest(bucket, feed, manifest.batch_id))
    restore_inputs(bucket, manifest)
    archive(bucket, manifest)
    again = must_plan(bucket, feed, batch_id="b2", days=november(1, 30))
    archive(bucket, again)

    mended = Feed.model_validate(feed.model_dump() | {"csv": feed.csv.model_dump() | {"header": False}})
    for definition, batch in ((feed, "b3"), (mended, "b4")):
        request = RunRequest("manual", None, None, again_rejected=True)
        rejected = plan(bucket, definition, Planner(batch, feed.name, "run", "orders"), request)
        assert rejected is not None
        archive(bucket, rejected)

    deliver(NAME, FIRST.replace("T1", "T2"))
    refusals.refuse("DELETE", NAME, NO_ACCESS)
    for batch in ("b5", "b6"):
        left = planned(bucket, feed, batch)
        if left:
            archive(bucket, left)
            archive(bucket, left)
    refusals.relent()
    write_note(bucket, feed, "unreadable", (wrong, 1), "forbidden")
    write_note(bucket, feed, "unreadable", (wrong, 1), "forbidden")
    archive(bucket, manifest)
    expecting = feed.model_copy(update={"expected_by": "10:00"})
    for _ in range(2):
        told = watching.read_told(bucket).told
        found = watching.silences(bucket, [expecting], timedelta(), datetime.now(UTC), told)
        watching.write_told(bucket, Told(told=found))

    deliver(erasure.default_list(feed.name), "T1\n")
    keys = erasure.find_list(bucket, erasure.default_list(feed.name))
    erasure.write_request(bucket, feed, erasure.Asker("e1", "ingestion_erase", "run", "orders"), keys, True)
    erasure.remove_list(bucket, keys)

    trimmed = trim(bucket, datetime.now(UTC) + timedelta(minutes=1))
    assert trimmed.removed

    assert used == documented()
