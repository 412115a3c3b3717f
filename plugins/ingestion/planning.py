"""Plan a batch: list what is there, pin it by copies, write the manifest. The manifest is the commit point."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from google.cloud.storage import Bucket

from ingestion import storage
from ingestion.feeds import Feed
from ingestion.intake import Rejection, StoredObject, file_date, header, loadable, within_limits
from ingestion.manifest import (
    BatchFile,
    Manifest,
    RejectedFile,
    batch_prefix,
    final_name,
    first_identity,
    manifest_name,
    tables_of,
)

PARALLEL = 8
RunType = Literal["scheduled", "manual", "backfill"]


@dataclass(frozen=True)
class Request:
    """Who plans a batch, and of what: of everything in `source/`, or of one day from archive and source."""

    batch_id: str
    dag_id: str
    run_id: str
    run_type: RunType
    schema: str
    day: date | None = None


@dataclass(frozen=True)
class Candidate:
    """A file to plan: where its bytes are now, and the identity under which it was delivered."""

    stored: StoredObject
    object: str
    generation: int
    delivered_at: datetime

    @property
    def archived(self) -> bool:
        """Whether it comes from the archive: it has been planned and accepted before."""
        return self.stored.name != self.object


def plan(bucket: Bucket, feed: Feed, request: Request) -> Manifest | None:
    """Pin the files of this batch and write its manifest. None, and nothing written, when there are none."""
    candidates = _waiting(bucket, feed) if request.day is None else _of_day(bucket, feed, request.day)
    with ThreadPoolExecutor(PARALLEL) as pool:
        planned = list(pool.map(lambda item: _pin(bucket, feed, request, *item), enumerate(candidates, start=1)))
    files = [item for item in planned if isinstance(item, BatchFile)]
    rejected = [item for item in planned if isinstance(item, RejectedFile)]
    if not files and not rejected:
        return None
    manifest = Manifest(
        batch_id=request.batch_id,
        dag_id=request.dag_id,
        run_id=request.run_id,
        run_type=request.run_type,
        feed=feed,
        tables=tables_of(feed, request.schema),
        files=files,
        rejected=rejected,
    )
    storage.write_json(bucket, manifest_name(feed, request.batch_id), manifest.model_dump(mode="json"))
    return manifest


def read_manifest(bucket: Bucket, feed: Feed, batch_id: str) -> Manifest:
    """The manifest of a batch. Raises google.api_core.exceptions.NotFound when there is none."""
    return Manifest.model_validate_json(storage.read_text(bucket, manifest_name(feed, batch_id)))


def _waiting(bucket: Bucket, feed: Feed) -> list[Candidate]:
    return _delivered(within_limits(feed, _in_source(bucket, feed)))


def _of_day(bucket: Bucket, feed: Feed, day: date) -> list[Candidate]:
    archived = [_archived(feed, item) for item in storage.list_objects(bucket, f"archive/{feed.name}/{day:%Y-%m-%d}/")]
    known = {(item.object, item.generation) for item in archived}
    in_source = [item for item in _in_source(bucket, feed) if file_date(feed, item) == day]
    return archived + [item for item in _delivered(in_source) if (item.object, item.generation) not in known]


def _in_source(bucket: Bucket, feed: Feed) -> list[StoredObject]:
    objects = {item.name: item for item in storage.list_objects(bucket, feed.prefix)}
    return [objects[name] for name in loadable(feed, list(objects))]


def _delivered(objects: Iterable[StoredObject]) -> list[Candidate]:
    return [Candidate(item, item.name, item.generation, item.created) for item in objects]


def _archived(feed: Feed, item: StoredObject) -> Candidate:
    noted = item.metadata
    # A file laid into the archive by other means has its identity in its name alone.
    name, generation = (
        (noted["object"], int(noted["generation"]))
        if {"object", "generation"} <= noted.keys()
        else first_identity(feed, item.name)
    )
    delivered_at = datetime.fromisoformat(noted["delivered-at"]) if "delivered-at" in noted else item.created
    return Candidate(item, name, generation, delivered_at)


def _pin(
    bucket: Bucket, feed: Feed, request: Request, number: int, candidate: Candidate
) -> BatchFile | RejectedFile | None:
    """The manifest entry of one file, its copy made; None for a generation that is gone: its successor comes next."""
    stored = candidate.stored
    head = storage.read_head(bucket, stored)
    if head is None:
        return None
    day = request.day if candidate.archived and request.day else file_date(feed, stored)
    columns = day if isinstance(day, Rejection) else header(feed, stored, head)
    if isinstance(columns, Rejection):
        return _reject(feed, candidate, columns, day)
    name = f"{batch_prefix(feed, request.batch_id)}input/{number:05d}.csv"
    if not storage.copy(bucket, stored, name):
        return None
    return BatchFile(
        object=candidate.object,
        generation=candidate.generation,
        date=day,
        delivered_at=candidate.delivered_at,
        size=stored.size,
        crc32c=stored.crc32c,
        md5=stored.md5,
        columns=columns,
        input=f"gs://{bucket.name}/{name}",
        archive=final_name("archive", feed, day, candidate.object, candidate.generation),
    )


def _reject(feed: Feed, candidate: Candidate, rejection: Rejection, day: date | Rejection) -> RejectedFile:
    if candidate.archived:
        raise ValueError(
            f"{candidate.stored.name} was loaded once and cannot be read as feed {feed.name} any more: "
            f"{rejection.reason}. Has the feed's definition changed? Adapt it, or move this file out of the archive."
        )
    filed = candidate.delivered_at.date() if isinstance(day, Rejection) else day
    return RejectedFile(
        object=candidate.object,
        generation=candidate.generation,
        code=rejection.code,
        reason=rejection.reason,
        to=final_name("rejected", feed, filed, candidate.object, candidate.generation),
    )
