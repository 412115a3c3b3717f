"""Trim `batches/`: what old batches have left there, once no task may need it any more.

By then a batch is over, and its folder holds a manifest alone, or its run has failed for good and left its pinned
copies. Notes on files that stay in `source/` lie beside the batches and are never touched.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from google.cloud.storage import Bucket
from pydantic import BaseModel, ValidationError

from ingestion.pipeline import storage
from ingestion.pipeline.intake import StoredObject
from ingestion.pipeline.left_behind import NOTES
from ingestion.pipeline.manifest import MANIFEST

PARALLEL = 8


class _File(BaseModel):
    object: str
    archive: str


class _Files(BaseModel):
    """As much of a manifest as is needed, whichever version has written it."""

    files: list[_File]


@dataclass(frozen=True)
class Trimmed:
    """The batches that were removed, by their prefix, and why others of that age were kept."""

    removed: list[str]
    kept: dict[str, str]


def trim(bucket: Bucket, older_than: datetime) -> Trimmed:
    """Remove the batches of all feeds, of former ones too, of which everything is older than this time.

    A batch stays as long as it may have the only copy of a file. One that was staged anew has young pinned copies, and
    stays with them. May be killed at any point and run again.
    """
    old = [(prefix, items) for prefix, items in _batches(bucket) if all(item.created < older_than for item in items)]
    with ThreadPoolExecutor(PARALLEL) as pool:
        reasons = list(pool.map(lambda batch: _trim(bucket, *batch), old))
    outcomes = [(prefix, reason) for (prefix, _), reason in zip(old, reasons, strict=True)]
    return Trimmed(
        removed=[prefix for prefix, reason in outcomes if not reason],
        kept={prefix: reason for prefix, reason in outcomes if reason},
    )


def _batches(bucket: Bucket) -> Iterator[tuple[str, list[StoredObject]]]:
    """The objects of each batch, by its prefix `batches/<feed>/<batch_id>/`."""
    objects = (item for item in storage.list_below(bucket, "batches/") if _is_of_batch(item.name))
    for prefix, items in groupby(objects, key=lambda item: "/".join(item.name.split("/")[:3]) + "/"):
        yield prefix, list(items)


def _is_of_batch(name: str) -> bool:
    _, *folders, _ = name.split("/")
    return len(folders) > 1 and folders[1] != NOTES


def _trim(bucket: Bucket, prefix: str, items: list[StoredObject]) -> str | None:
    """Remove a batch, its manifest last. Why it was kept, if it was."""
    manifest = prefix + MANIFEST
    # A try of plan_batch that came to nothing has no manifest, and its files are still in source/.
    is_planned = any(item.name == manifest for item in items)
    try:
        # The archive removes pinned copies last: without them all is where it belongs.
        if is_planned and len(items) > 1 and (reason := _not_archived(bucket, manifest)):
            return reason
        for item in sorted(items, key=lambda item: item.name == manifest):
            storage.delete_generation(bucket, item.name, item.generation)
    except storage.BucketRefusedError as refusal:
        return str(refusal)
    return None


def _not_archived(bucket: Bucket, manifest: str) -> str | None:
    try:
        files = _Files.model_validate_json(storage.read_text(bucket, manifest)).files
    except ValidationError:
        return f"{manifest} cannot be read, so nobody knows what is archived of its files: look at them, and delete it"
    missing = [file.object for file in files if storage.find(bucket, file.archive) is None]
    if not missing:
        return None
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (
        f"{missing[0]}{more} is not archived, and this may be its only copy: clear the failed run of the batch, or "
        "delete the batch if the file was delivered anew"
    )
