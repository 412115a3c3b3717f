"""Archive a merged batch: the only place that removes anything from `source/`, by generation, after a verified copy."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from google.cloud.storage import Bucket

from ingestion import storage
from ingestion.intake import StoredObject
from ingestion.manifest import BatchFile, Manifest, RejectedFile, batch_prefix

PARALLEL = 8


class ArchiveError(RuntimeError):
    """A file of the batch that is neither in the archive nor pinned. Nothing of it was deleted."""


def archive(bucket: Bucket, manifest: Manifest) -> None:
    """Move every file of the batch to its place, then remove the pinned copies. May be run again at any point.

    Raises ArchiveError or storage.CopyMismatchError with `source/` still holding the file.
    """
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(partial(_archive_file, bucket), manifest.files))
        list(pool.map(partial(_move_rejected, bucket), manifest.rejected))
        inputs = storage.list_objects(bucket, batch_prefix(manifest.feed, manifest.batch_id) + "input/")
        list(pool.map(lambda item: storage.delete_generation(bucket, item.name, item.generation), inputs))


def _archive_file(bucket: Bucket, file: BatchFile) -> None:
    merged = StoredObject(file.input, 0, file.size, file.delivered_at, file.crc32c, file.md5)
    pinned = storage.find(bucket, file.input.removeprefix(f"gs://{bucket.name}/"))
    if pinned is not None:
        # Kept on the copy, so that a backfill from the archive loads the file under its first identity.
        identity = {"object": file.object, "generation": str(file.generation)}
        storage.copy(bucket, pinned, file.archive, identity | {"delivered-at": file.delivered_at.isoformat()})
    archived = storage.find(bucket, file.archive)
    if archived is None:
        raise ArchiveError(
            f"{file.object} generation {file.generation} is neither at {file.archive} nor at {file.input}. "
            f"Its rows are merged and it stays in the bucket where it is: clear plan_batch of this run to plan it anew."
        )
    if not storage.same_content(merged, archived):
        raise storage.CopyMismatchError(
            f"{file.archive} differs from what was merged ({file.size} bytes, crc32c {file.crc32c} in the manifest; "
            f"{archived.size} bytes, crc32c {archived.crc32c} there). {file.object} was not deleted."
        )
    storage.delete_generation(bucket, file.object, file.generation)


def _move_rejected(bucket: Bucket, file: RejectedFile) -> None:
    source = storage.find(bucket, file.object)
    if source is None or source.generation != file.generation:
        return  # Moved by an earlier try, or replaced by its producer: the next run judges the new one.
    storage.copy(bucket, source, file.to)
    storage.write_json(bucket, f"{file.to}.reason.json", file.model_dump())
    storage.delete_generation(bucket, file.object, file.generation)
