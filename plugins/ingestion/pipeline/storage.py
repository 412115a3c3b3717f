"""What the pipeline does to objects of the bucket, always by generation. Speaks google-cloud-storage, knows no Airflow.

The preconditions sent are what the real service needs; nothing relies on a service that ignores them: every copy is
compared with its source afterwards, and a generation that is gone answers 404 everywhere.
"""

import json

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket
from google.cloud.storage.retry import DEFAULT_RETRY

from ingestion.pipeline.intake import HEAD_BYTES, StoredObject

# google-cloud-storage retries only what it knows to be repeatable; each call below is, for it names a generation.
RETRY = DEFAULT_RETRY.with_timeout(60)


class CopyMismatchError(RuntimeError):
    """An object that should be a copy has other content. The message names both objects."""


def list_objects(bucket: Bucket, prefix: str) -> list[StoredObject]:
    """The live objects directly under a prefix."""
    return [_stored(blob) for blob in bucket.client.list_blobs(bucket, prefix=prefix, delimiter="/", retry=RETRY)]


def list_between(bucket: Bucket, prefix: str, start: str, end: str) -> list[StoredObject]:
    """The live objects anywhere under a prefix whose names sort from `start` on and before `end`."""
    found = bucket.client.list_blobs(bucket, prefix=prefix, start_offset=start, end_offset=end, retry=RETRY)
    return [_stored(blob) for blob in found]


def find(bucket: Bucket, name: str) -> StoredObject | None:
    """The live object of this name, or None."""
    blob = bucket.get_blob(name, retry=RETRY)
    return None if blob is None else _stored(blob)


def read_head(bucket: Bucket, source: StoredObject) -> bytes | None:
    """The first bytes of exactly this generation, or None when it is gone."""
    if source.size == 0:
        return b""
    try:
        # raw: as stored, for a decompressed range of a gzip-encoded object does not exist.
        return bucket.blob(source.name, generation=source.generation).download_as_bytes(
            start=0, end=HEAD_BYTES - 1, raw_download=True, retry=RETRY
        )
    except NotFound:
        return None


def copy(bucket: Bucket, source: StoredObject, destination: str, metadata: dict[str, str] | None = None) -> bool:
    """Copy exactly this generation to a name of its own and verify it. False when the generation is gone.

    A destination that is there already is left as it is if it has the same content, so that a copy can be repeated.
    Raises CopyMismatchError when it has other content: nothing is ever overwritten.
    """
    existing = find(bucket, destination)
    if existing is None:
        target = bucket.blob(destination)
        target.metadata = metadata or {}
        try:
            _rewrite(target, bucket.blob(source.name, generation=source.generation))
        except NotFound:
            return False
        except PreconditionFailed:
            pass  # Somebody wrote it since; compared below.
        existing = find(bucket, destination)
    if existing is None or not same_content(source, existing):
        raise CopyMismatchError(
            f"{destination} is not a copy of {source.name} generation {source.generation}: "
            f"{source.size} bytes, crc32c {source.crc32c} against "
            + ("no object" if existing is None else f"{existing.size} bytes, crc32c {existing.crc32c}")
            + ". Nothing was deleted; look at both objects and move the wrong one away."
        )
    return True


def delete_generation(bucket: Bucket, name: str, generation: int) -> bool:
    """Delete exactly this generation. False when it is gone already, also when a newer one took its name."""
    try:
        bucket.blob(name, generation=generation).delete(if_generation_match=generation, retry=RETRY)
    except (NotFound, PreconditionFailed):
        return False
    return True


def write_json(bucket: Bucket, name: str, content: dict[str, object]) -> None:
    """Write a small JSON object for programs and people."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    bucket.blob(name).upload_from_string(text, content_type="application/json", retry=RETRY)


def read_text(bucket: Bucket, name: str) -> str:
    """The text of an object. Raises google.api_core.exceptions.NotFound."""
    return bucket.blob(name).download_as_text(encoding="utf-8", retry=RETRY)


def same_content(one: StoredObject, other: StoredObject) -> bool:
    """Whether two objects hold the same bytes: by size and crc32c, and md5 where both have one (composites do not)."""
    md5_differs = one.md5 is not None and other.md5 is not None and one.md5 != other.md5
    return one.size == other.size and one.crc32c == other.crc32c and not md5_differs


def _rewrite(target: Blob, source: Blob) -> None:
    token = None
    while True:
        token, _, _ = target.rewrite(source, token=token, if_generation_match=0, retry=RETRY)
        if token is None:
            return


def _stored(blob: Blob) -> StoredObject:
    return StoredObject(
        name=blob.name,
        generation=int(blob.generation),
        size=int(blob.size),
        created=blob.time_created,
        crc32c=blob.crc32c,
        md5=blob.md5_hash,
        content_encoding=blob.content_encoding or None,
        metadata=dict(blob.metadata or {}),
    )
