"""Pinned copies that no task will read: of tries of `plan_batch` that another try has followed."""

from contextlib import suppress
from pathlib import PurePosixPath

from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import BatchFile, is_of_try, manifest_name
from ingestion.pipeline.planning import Planner, manifest_at


def unpin_earlier_tries(bucket: Bucket, feed: Feed, planner: Planner, tries: range) -> list[str]:
    """Remove what these tries of a run have pinned, whose batches no task asks for any more. Returns its names.

    A try may have died before its manifest was written or, which Airflow takes for a failure too, right after it. Then
    a copy stays that may be the only one of its file, as one that its producer has replaced since.
    """
    removed = []
    for folder in storage.list_folders(bucket, f"batches/{feed.name}/"):
        batch_id = PurePosixPath(folder).name
        if not is_of_try(batch_id, planner.dag_id, planner.run_id, tries):
            continue
        manifest = manifest_at(bucket, manifest_name(feed, batch_id))
        if manifest is None or all(_is_elsewhere(bucket, file) for file in manifest.files):
            removed += unpin(bucket, folder)
    return removed


def unpin(bucket: Bucket, batch: str) -> list[str]:
    """Remove the pinned copies of a batch, by its prefix, and return their names."""
    removed = []
    for pinned in storage.list_objects(bucket, f"{batch}input/"):
        with suppress(storage.BucketRefusedError):  # the bucket's lifecycle rule is for what is left
            storage.delete_generation(bucket, pinned.name, pinned.generation)
            removed.append(pinned.name)
    return removed


def _is_elsewhere(bucket: Bucket, file: BatchFile) -> bool:
    delivered = storage.find(bucket, file.object)
    if delivered is not None and delivered.generation == file.generation:
        return True
    return any(storage.find(bucket, name) for name in (file.archive, file.from_rejected) if name)
