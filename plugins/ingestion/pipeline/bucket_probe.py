"""What tasks do under `batches/`, really done by a check, and undone."""

from collections.abc import Callable
from contextlib import suppress
from typing import Self

from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket

from ingestion.pipeline import storage
from ingestion.pipeline.bucket_check import BATCHES, named
from ingestion.pipeline.findings import Check, Finding, described, fail, ok
from ingestion.pipeline.storage import BucketRefusedError


class Probe:
    """Two small objects under `batches/`, written as tasks write there, and removed when the `with` block ends.

    :param bucket: the bucket
    :param check_id: names this check, in the names and the content of the objects
    """

    def __init__(self, bucket: Bucket, check_id: str) -> None:
        self._bucket = bucket
        self._check_id = check_id
        self._finding: Finding | None = None
        self._overwritten: int | None = None
        self.name = f"{BATCHES}ingestion_check-{check_id}.json"
        self._copy = f"{BATCHES}ingestion_check-{check_id}.copy.json"

    @property
    def uri(self) -> str:
        """Where Spark finds it."""
        return f"gs://{self._bucket.name}/{self.name}"

    def tried(self) -> Check[bool]:
        """Do all but the delete; returns whether the probe is there."""
        name = f"{named(self._bucket)}, {BATCHES}"
        content: dict[str, object] = {"ingestion_check": self._check_id}
        try:
            storage.write_json(self._bucket, self.name, content)
        except BucketRefusedError as error:
            yield fail(name, str(error))
            return False
        refused = [text for text in map(_refusal, (self._overwrite, self._read, self._listed, self._copied)) if text]
        for text in refused:
            yield fail(name, text)
        if not refused:
            yield ok(name, "list, get, create, overwrite and copy tried")
        return True

    def _overwrite(self) -> None:
        found = storage.find(self._bucket, self.name)
        self._overwritten = found.generation if found else None
        try:
            storage.write_json(self._bucket, self.name, {"ingestion_check": self._check_id, "written": "twice"})
        except BucketRefusedError as error:
            raise BucketRefusedError(f"{error} To write it anew, storage.objects.delete as well.") from error

    def _read(self) -> None:
        storage.read_text(self._bucket, self.name)

    def _listed(self) -> None:
        storage.list_objects(self._bucket, self.name)

    def _copied(self) -> None:
        found = storage.find(self._bucket, self.name)
        if found is not None:
            storage.copy(self._bucket, found, self._copy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        name = f"{named(self._bucket)}, delete in {BATCHES}"
        try:
            there = [found for found in (storage.find(self._bucket, n) for n in (self.name, self._copy)) if found]
            for found in there:
                storage.delete_generation(self._bucket, found.name, found.generation)
            self._remove_overwritten()
        except Exception as error:  # the block may have ended by an error of its own, which must not be lost
            text = str(error) if isinstance(error, BucketRefusedError) else described(error)
            self._finding = fail(name, f"{text} Then remove {self.uri} and what stands beside it by hand.")
        else:
            self._finding = ok(name, "tried, nothing is left") if there else None

    def _remove_overwritten(self) -> None:
        """In a bucket with versioning it is still there."""
        if self._overwritten is not None:
            with suppress(NotFound):
                self._bucket.blob(self.name, generation=self._overwritten).delete(retry=storage.RETRY)

    def removed(self) -> Check[None]:
        """After the block: how the removal went, if there was anything to remove."""
        if self._finding:
            yield self._finding


def _refusal(action: Callable[[], None]) -> str | None:
    try:
        action()
    except BucketRefusedError as error:
        return str(error)
    return None
