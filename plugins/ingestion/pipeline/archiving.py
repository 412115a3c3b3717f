"""Archive a merged batch, and take one back from there.

`archive` is the only place that removes anything from `source/`: by generation, after a verified copy.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import StoredObject
from ingestion.pipeline.left_behind import MOVED, UNREADABLE, identity_of, is_moved, is_refused, list_notes, write_note
from ingestion.pipeline.manifest import REASON, BatchFile, Manifest, RejectedFile, batch_prefix

PARALLEL = 8
OnLeaving = Callable[[BatchFile | RejectedFile], None]

log = logging.getLogger(__name__)


class ArchiveError(RuntimeError):
    """A file of the batch that is neither in the archive nor pinned. Nothing of it was deleted."""


def archive(bucket: Bucket, manifest: Manifest, on_leaving: OnLeaving = lambda file: None) -> list[str]:
    """Move every file of the batch to its place, then remove the pinned copies. May be run again at any point.

    Returns a line for each object that the bucket does not let go. A file under a hold, or in its retention, is in
    its place by then: a note keeps later runs from loading it, and their `archive` tries to delete it again.
    `on_leaving` is called for each file that leaves `source/` by this call, from several threads.
    Raises ArchiveError or storage.CopyMismatchError with `source/` still holding the file.
    """
    with ThreadPoolExecutor(PARALLEL) as pool:
        notes = _left_behind(bucket, manifest.feed)
        list(pool.map(lambda item: _let_go(bucket, *item, has_merged=bool(manifest.files)), notes))
        kept = list(pool.map(partial(_archive_file, bucket, manifest.feed, on_leaving), manifest.files))
        kept += pool.map(partial(_move_rejected, bucket, manifest.feed, on_leaving), manifest.rejected)
        inputs = storage.list_objects(bucket, batch_prefix(manifest.feed, manifest.batch_id) + "input/")
        kept += pool.map(partial(_remove_input, bucket), inputs)
    return [line for line in kept if line]


def restore_inputs(bucket: Bucket, manifest: Manifest) -> list[str]:
    """Copy what is no longer pinned back from the archive, so that a merged batch can be staged again.

    Returns the archive names of what was put back; normally nothing is missing. Raises ArchiveError for a file that is
    in neither place, storage.CopyMismatchError for one that has changed since.
    """
    prefix = batch_prefix(manifest.feed, manifest.batch_id) + "input/"
    pinned = {item.name for item in storage.list_objects(bucket, prefix)}
    missing = [file for file in manifest.files if _input_name(bucket, file) not in pinned]
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(partial(_restore, bucket), missing))
    return [file.archive for file in missing]


def _restore(bucket: Bucket, file: BatchFile) -> None:
    archived = storage.find(bucket, file.archive)
    if archived is None:
        raise ArchiveError(_nowhere(file))
    _check_content(file, archived)
    if not storage.copy(bucket, archived, _input_name(bucket, file)):
        raise ArchiveError(_nowhere(file))


def _archive_file(bucket: Bucket, feed: Feed, on_leaving: OnLeaving, file: BatchFile) -> str | None:
    pinned = storage.find(bucket, _input_name(bucket, file))
    if pinned is not None:
        storage.copy(bucket, pinned, file.archive, _first_identity(file))
    archived = storage.find(bucket, file.archive)
    if archived is None:
        raise ArchiveError(_nowhere(file))
    _check_content(file, archived)
    refused = [_remove_rejected(bucket, file.from_rejected, archived)] if file.from_rejected else []
    refused.append(_remove_from_source(bucket, feed, on_leaving, file, file.archive))
    return " ".join(line for line in refused if line) or None


def _move_rejected(bucket: Bucket, feed: Feed, on_leaving: OnLeaving, file: RejectedFile) -> str | None:
    source = storage.find(bucket, file.object)
    if source is not None and source.generation == file.generation:
        try:
            storage.copy(bucket, source, file.to, _first_identity(file))
        except storage.BucketRefusedError as refusal:  # an empty file was rejected unread: this is the first request
            write_note(bucket, feed, UNREADABLE, (file.object, file.generation), str(refusal))
            return str(refusal)
    elif storage.find(bucket, file.to) is None:
        return None  # Replaced by its producer, and the next run judges the new one; or accepted by a later run.
    storage.write_json(bucket, f"{file.to}{REASON}", file.model_dump(mode="json"))
    return _remove_from_source(bucket, feed, on_leaving, file, file.to)


def _first_identity(file: BatchFile | RejectedFile) -> dict[str, str]:
    """Kept on the copy, so that the file is loaded from there under its first identity."""
    identity = {"object": file.object, "generation": str(file.generation)}
    return identity | ({"delivered-at": file.delivered_at.isoformat()} if file.delivered_at else {})


def _remove_rejected(bucket: Bucket, name: str, archived: StoredObject) -> str | None:
    """Remove what was accepted at last from `rejected/`, with its reason."""
    rejected, reason = (storage.find(bucket, item) for item in (name, f"{name}{REASON}"))
    if rejected is not None and not storage.same_content(rejected, archived):
        return f"gs://{bucket.name}/{name} is no longer what was loaded and archived at {archived.name}; it was left."
    try:
        for item in (rejected, reason):
            if item is not None:
                storage.delete_generation(bucket, item.name, item.generation)
    except storage.BucketRefusedError as refusal:
        return f"{refusal} It is loaded, and its copy is at {archived.name}."
    return None


def _remove_from_source(
    bucket: Bucket, feed: Feed, on_leaving: OnLeaving, file: BatchFile | RejectedFile, copy: str
) -> str | None:
    """The last step of a file whose verified copy is in its place. What was refused, if it was."""
    try:
        if storage.delete_generation(bucket, file.object, file.generation):
            on_leaving(file)
    except storage.BucketRefusedError as refusal:
        write_note(bucket, feed, MOVED, (file.object, file.generation), str(refusal), copy)
        return f"{refusal} Its copy is at {copy}; no run loads it again, later ones try to delete it."
    return None


def _remove_input(bucket: Bucket, pinned: StoredObject) -> str | None:
    try:
        storage.delete_generation(bucket, pinned.name, pinned.generation)
    except storage.BucketRefusedError as refusal:
        return f"{refusal} Nothing reads it any more."
    return None


def _left_behind(bucket: Bucket, feed: Feed) -> list[tuple[StoredObject, StoredObject | None]]:
    """Each note of an earlier batch, with the file it is about if that is still in `source/`."""
    notes = list_notes(bucket, feed)
    objects = storage.list_objects(bucket, feed.prefix) if notes else []
    in_source = {(item.name, item.generation): item for item in objects}
    return [(note, in_source.get(identity_of(feed, note.name))) for note in notes]


def _let_go(bucket: Bucket, note: StoredObject, source: StoredObject | None, has_merged: bool) -> None:
    """Delete a file that an earlier batch moved and had to leave in `source/`; then, or if it is gone, its note.

    Of a refused file only the note, once a batch was merged: the next run takes the file.
    """
    try:
        if source is not None and not (has_merged and is_refused(note.name)):
            if not is_moved(note.name):
                return
            copied = storage.find(bucket, note.metadata["copy"])
            if copied is None or not storage.same_content(source, copied):
                log.warning("%s stays: %s is no copy of it any more", source.name, note.metadata["copy"])
                return
            storage.delete_generation(bucket, source.name, source.generation)
        storage.delete_generation(bucket, note.name, note.generation)
    except storage.BucketRefusedError as refusal:
        log.warning("Still in source/: %s", refusal)


def _input_name(bucket: Bucket, file: BatchFile) -> str:
    return file.input.removeprefix(f"gs://{bucket.name}/")


def _nowhere(file: BatchFile) -> str:
    return (
        f"{file.object} generation {file.generation} is neither at {file.archive} nor at {file.input}. "
        f"Nothing of it was deleted: if it is still in the bucket, clear plan_batch of this run to plan it anew."
    )


def _check_content(file: BatchFile, archived: StoredObject) -> None:
    planned = StoredObject(file.input, 0, file.size, file.delivered_at, file.crc32c, file.md5)
    if not storage.same_content(planned, archived):
        raise storage.CopyMismatchError(
            f"{file.archive} differs from what was planned ({file.size} bytes, crc32c {file.crc32c} in the manifest; "
            f"{archived.size} bytes, crc32c {archived.crc32c} there). Nothing was copied or deleted; look at both."
        )
