"""Plan a batch: list what is there, pin it by copies, write the manifest. The manifest is the commit point."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket

from ingestion.pipeline import gzip_files, storage
from ingestion.pipeline.candidates import Candidate, of_days, rejected_before, waiting
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.headers import Header, header
from ingestion.pipeline.intake import Rejection, StoredObject
from ingestion.pipeline.left_behind import UNREADABLE, write_note
from ingestion.pipeline.manifest import (
    BatchFile,
    Manifest,
    RejectedFile,
    UnreadableFile,
    batch_prefix,
    final_name,
    manifest_name,
    tables_of,
)
from ingestion.pipeline.run_request import RunRequest

PARALLEL = 8


class UnreadableError(RuntimeError):
    """A file that was listed and is not to be had. The message names it."""


class NoManifestError(RuntimeError):
    """A batch whose manifest is gone. The message says what to do."""


@dataclass(frozen=True)
class Planner:
    """Who plans a batch, for which schema."""

    batch_id: str
    dag_id: str
    run_id: str
    schema: str


def plan(bucket: Bucket, feed: Feed, planner: Planner, request: RunRequest) -> Manifest | None:
    """Pin the files of this batch and write its manifest. None, and nothing written, when there are none.

    A manifest of files alone that cannot be read is not written. Raises UnreadableError as `pin` does.
    """
    manifest = pin(bucket, feed, planner, request)
    if manifest.files or manifest.rejected:
        write_manifest(bucket, manifest)
    elif not manifest.unreadable:
        return None
    return manifest


def pin(bucket: Bucket, feed: Feed, planner: Planner, request: RunRequest) -> Manifest:
    """Pin the files of this batch, and what its manifest is to say, which is still to be written.

    A file that the bucket does not let it read is left out and listed as unreadable. Raises UnreadableError instead in
    a reload: one that leaves files out would look like a whole one.
    """
    candidates = _candidates(bucket, feed, request)
    with ThreadPoolExecutor(PARALLEL) as pool:
        planned = list(
            pool.map(lambda item: _pin_readable(bucket, feed, planner.batch_id, *item), enumerate(candidates, start=1))
        )
    unreadable = [item for item in planned if isinstance(item, UnreadableFile)]
    if request.reload and unreadable:
        reasons = " ".join(item.reason for item in unreadable)
        raise UnreadableError(f"Nothing of {request} was loaded, as some cannot be read: {reasons}")
    if request.reload and None in planned:
        # No other run would make up for it.
        gone = candidates[planned.index(None)].stored.name
        raise UnreadableError(
            f"gs://{bucket.name}/{gone} was moved or replaced while {request} were planned: the next try lists anew"
        )
    return Manifest(
        batch_id=planner.batch_id,
        dag_id=planner.dag_id,
        run_id=planner.run_id,
        run_type=request.run_type,
        feed=feed,
        tables=tables_of(feed, planner.schema),
        files=[item for item in planned if isinstance(item, BatchFile)],
        rejected=[item for item in planned if isinstance(item, RejectedFile)],
        unreadable=unreadable,
    )


def write_manifest(bucket: Bucket, manifest: Manifest) -> None:
    """Make the batch what its manifest says, for good."""
    storage.write_json(bucket, manifest_name(manifest.feed, manifest.batch_id), manifest.model_dump(mode="json"))


def note_unreadable(bucket: Bucket, manifest: Manifest) -> None:
    """Keep later runs from trying the batch's unreadable files again at once."""
    for file in manifest.unreadable:
        write_note(bucket, manifest.feed, UNREADABLE, (file.object, file.generation), file.reason)


def read_manifest(bucket: Bucket, feed: Feed, batch_id: str) -> Manifest:
    """The manifest of a batch. Raises NoManifestError when there is none."""
    name = manifest_name(feed, batch_id)
    manifest = manifest_at(bucket, name)
    if manifest is None:
        raise NoManifestError(
            f"gs://{bucket.name}/{name} is gone, so this batch cannot be done again: clear plan_batch to plan a new one"
        )
    return manifest


def manifest_at(bucket: Bucket, name: str) -> Manifest | None:
    """The manifest that is the object of this name; None when there is none."""
    try:
        return Manifest.model_validate_json(storage.read_text(bucket, name))
    except NotFound:
        return None


def _candidates(bucket: Bucket, feed: Feed, request: RunRequest) -> list[Candidate]:
    if request.again_rejected:
        return rejected_before(bucket, feed, request.days)
    if request.days:
        return of_days(bucket, feed, request.days, request.max_files)
    return waiting(bucket, feed, request)


def _pin_readable(
    bucket: Bucket, feed: Feed, batch_id: str, number: int, candidate: Candidate
) -> BatchFile | RejectedFile | UnreadableFile | None:
    try:
        return _pin(bucket, feed, batch_id, number, candidate)
    except storage.BucketRefusedError as refusal:
        return UnreadableFile(object=candidate.object, generation=candidate.generation, reason=str(refusal))


def _pin(
    bucket: Bucket, feed: Feed, batch_id: str, number: int, candidate: Candidate
) -> BatchFile | RejectedFile | None:
    """The manifest entry of one file, its copy made; None for a generation that is gone: its successor comes next."""
    stored, day = candidate.stored, candidate.date
    head = storage.read_head(bucket, stored)
    if head is None:
        return _gone(bucket, stored)
    found = day if isinstance(day, Rejection) else header(feed, stored, head)
    if isinstance(found, Header) and feed.compression == "gzip":
        try:
            gzip_files.check_whole(storage.read_through(bucket, stored))
        except gzip_files.DamagedError as damage:
            # Spark would fail the batch, with all its other files.
            found = Rejection("damaged", f"the file cannot be unpacked: {damage}; deliver it anew")
        except NotFound:
            return _gone(bucket, stored)
    if isinstance(day, Rejection) or isinstance(found, Rejection):
        return _reject(feed, candidate, found)
    # Spark tells by the name what is compressed.
    suffix = ".csv.gz" if feed.compression == "gzip" else ".csv"
    name = f"{batch_prefix(feed, batch_id)}input/{number:05d}{suffix}"
    if not storage.copy(bucket, stored, name):
        return _gone(bucket, stored)
    return planned_file(feed, candidate, day, found, f"gs://{bucket.name}/{name}")


def planned_file(feed: Feed, candidate: Candidate, day: date, found: Header, pinned: str) -> BatchFile:
    """The manifest entry of an accepted file, which is read from its pinned copy."""
    return BatchFile(
        object=candidate.object,
        generation=candidate.generation,
        date=day,
        delivered_at=candidate.delivered_at,
        size=candidate.stored.size,
        crc32c=candidate.stored.crc32c,
        md5=candidate.stored.md5,
        columns=found.columns,
        header=found.texts,
        header_record=found.record,
        input=pinned,
        archive=final_name("archive", feed, day, candidate.object, candidate.generation),
        from_rejected=candidate.stored.name if candidate.was_rejected else None,
    )


def _gone(bucket: Bucket, stored: StoredObject) -> None:
    # Left out in silence, a file that is still there would end this run green and start the next one at once.
    now = storage.find(bucket, stored.name)
    if now is not None and now.generation == stored.generation:
        raise UnreadableError(
            f"gs://{bucket.name}/{stored.name} generation {stored.generation} is listed, but cannot be read (404). "
            "Look at the object; nothing of this run was loaded."
        )


def _reject(feed: Feed, candidate: Candidate, rejection: Rejection) -> RejectedFile:
    if candidate.was_accepted:
        raise ValueError(
            f"{candidate.stored.name} was loaded once and cannot be read as feed {feed.name} any more: "
            f"{rejection.reason}. Has the feed's definition changed? Adapt it, or move this file out of the archive."
        )
    day = candidate.date
    filed = candidate.delivered_at.date() if isinstance(day, Rejection) else day
    return RejectedFile(
        object=candidate.object,
        generation=candidate.generation,
        code=rejection.code,
        reason=rejection.reason,
        to=candidate.stored.name
        if candidate.was_rejected
        else final_name("rejected", feed, filed, candidate.object, candidate.generation),
        delivered_at=candidate.delivered_at,
    )
