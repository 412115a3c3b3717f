"""What the pipeline does to objects of the bucket, always by generation. Speaks google-cloud-storage, knows no Airflow.

The preconditions sent are what the real service needs; nothing relies on a service that ignores them: every copy is
compared with its source afterwards, and a generation that is gone answers 404 everywhere.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket
from google.cloud.storage.retry import DEFAULT_RETRY

from ingestion.pipeline.intake import HEAD_BYTES, StoredObject

# google-cloud-storage retries only what it knows to be repeatable; each call below is, for it names a generation.
RETRY = DEFAULT_RETRY.with_timeout(60)
_PIECE = 4 * 1024 * 1024

# What a refusal may be about, for the person who can do something.
LIST_NEEDS = "The pipeline's account needs storage.objects.list on the bucket."
READ_NEEDS = (
    "The pipeline's account needs storage.objects.get on it. If it is encrypted with a key of the producer's own, it "
    "must be delivered anew without; if with one of Cloud KMS, the key must be enabled and open to the bucket."
)
WRITE_NEEDS = "The pipeline's account needs storage.objects.create and storage.objects.get there."
DELETE_NEEDS = (
    "Release its hold, wait for the end of its retention, or give the pipeline's account storage.objects.delete, "
    "whichever it is (`gcloud storage objects describe` shows holds and retention)."
)


class BucketRefusedError(RuntimeError):
    """The bucket refused a request (403, 400). The message names the object, what was refused, and what it needs."""


class CopyMismatchError(RuntimeError):
    """An object that should be a copy has other content. The message names both objects."""


def list_objects(bucket: Bucket, prefix: str) -> list[StoredObject]:
    """The live objects directly under a prefix."""
    with _refusal(f"gs://{bucket.name}/{prefix} cannot be listed", LIST_NEEDS):
        return [_stored(blob) for blob in bucket.client.list_blobs(bucket, prefix=prefix, delimiter="/", retry=RETRY)]


def list_below(bucket: Bucket, prefix: str) -> list[StoredObject]:
    """The live objects anywhere under a prefix."""
    with _refusal(f"gs://{bucket.name}/{prefix} cannot be listed", LIST_NEEDS):
        return [_stored(blob) for blob in bucket.client.list_blobs(bucket, prefix=prefix, retry=RETRY)]


def list_folders(bucket: Bucket, prefix: str) -> list[str]:
    """The prefixes directly under a prefix, each with the slash at its end."""
    found = bucket.client.list_blobs(bucket, prefix=prefix, delimiter="/", retry=RETRY)
    with _refusal(f"gs://{bucket.name}/{prefix} cannot be listed", LIST_NEEDS):
        list(found)  # the pages, for their prefixes
    return sorted(found.prefixes)


def list_between(bucket: Bucket, prefix: str, start: str, end: str) -> list[StoredObject]:
    """The live objects anywhere under a prefix whose names sort from `start` on and before `end`."""
    found = bucket.client.list_blobs(bucket, prefix=prefix, start_offset=start, end_offset=end, retry=RETRY)
    with _refusal(f"gs://{bucket.name}/{prefix} cannot be listed", LIST_NEEDS):
        return [_stored(blob) for blob in found]


def find(bucket: Bucket, name: str) -> StoredObject | None:
    """The live object of this name, or None."""
    with _refusal(f"gs://{bucket.name}/{name} cannot be looked at", READ_NEEDS):
        blob = bucket.get_blob(name, retry=RETRY)
    return None if blob is None else _stored(blob)


def read_head(bucket: Bucket, source: StoredObject) -> bytes | None:
    """The first bytes of exactly this generation, or None when it is gone."""
    if source.size == 0:
        return b""
    blob = bucket.blob(source.name, generation=source.generation)
    try:
        with _refusal(f"{_generation(bucket, source.name, source.generation)} cannot be read", READ_NEEDS):
            # raw: as stored, for a decompressed range of a gzip-encoded object does not exist.
            return blob.download_as_bytes(start=0, end=HEAD_BYTES - 1, raw_download=True, retry=RETRY)
    except NotFound:
        return None


def read_through(bucket: Bucket, source: StoredObject) -> Iterator[bytes]:
    """All bytes of exactly this generation, in pieces. Raises google.api_core.exceptions.NotFound when it is gone."""
    blob = bucket.blob(source.name, generation=source.generation)
    with (
        _refusal(f"{_generation(bucket, source.name, source.generation)} cannot be read", READ_NEEDS),
        blob.open("rb", chunk_size=_PIECE, raw_download=True, retry=RETRY) as file,
    ):
        yield from iter(lambda: file.read(_PIECE), b"")


def copy(bucket: Bucket, source: StoredObject, destination: str, metadata: dict[str, str] | None = None) -> bool:
    """Copy exactly this generation to a name of its own and verify it. False when the generation is gone.

    A destination that is there already is left as it is if it has the same content, so that a copy can be repeated.
    Raises CopyMismatchError when it has other content: nothing is ever overwritten.
    """
    existing = find(bucket, destination)
    if existing is None:
        target = bucket.blob(destination)
        target.metadata = metadata or {}
        copying = f"{_generation(bucket, source.name, source.generation)} cannot be copied to {destination}"
        try:
            with _refusal(copying, f"{READ_NEEDS} On the copy: {WRITE_NEEDS}"):
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
        with _refusal(f"{_generation(bucket, name, generation)} cannot be deleted", DELETE_NEEDS):
            bucket.blob(name, generation=generation).delete(if_generation_match=generation, retry=RETRY)
    except (NotFound, PreconditionFailed):
        return False
    return True


def write_json(bucket: Bucket, name: str, content: dict[str, object], metadata: dict[str, str] | None = None) -> None:
    """Write a small JSON object for programs and people."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    blob = bucket.blob(name)
    blob.metadata = metadata
    with _refusal(f"gs://{bucket.name}/{name} cannot be written", WRITE_NEEDS):
        blob.upload_from_string(text, content_type="application/json", retry=RETRY)


def read_text(bucket: Bucket, name: str) -> str:
    """The text of an object. Raises google.api_core.exceptions.NotFound."""
    with _refusal(f"gs://{bucket.name}/{name} cannot be read", READ_NEEDS):
        return bucket.blob(name).download_as_text(encoding="utf-8", retry=RETRY)


def same_content(one: StoredObject, other: StoredObject) -> bool:
    """Whether two objects hold the same bytes: by size and crc32c, and md5 where both have one (composites do not)."""
    md5_differs = one.md5 is not None and other.md5 is not None and one.md5 != other.md5
    return one.size == other.size and one.crc32c == other.crc32c and not md5_differs


@contextmanager
def _refusal(what: str, needs: str) -> Iterator[None]:
    """Say what was refused, why, and what it needs: the client's own message is an encoded address and a number."""
    try:
        yield
    except (Forbidden, BadRequest) as error:
        raise BucketRefusedError(f"{what} ({error.code}: {reason_of(error)}). {needs}") from error


def reason_of(error: GoogleAPICallError) -> str:
    """What the bucket itself said: JSON from most requests, plain text when contents are asked for."""
    text: str = error.message if error.response is None else error.response.text
    try:
        said = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        said = text
    return " ".join(str(said).split()).rstrip(".") or "no reason given"


def _generation(bucket: Bucket, name: str, generation: int) -> str:
    return f"gs://{bucket.name}/{name} generation {generation}"


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
