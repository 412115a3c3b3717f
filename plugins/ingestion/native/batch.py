"""The batch of a job run: named after the run, so that a repaired run is the same batch."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from google.cloud.storage import Bucket

from ingestion.pipeline import messages
from ingestion.pipeline.archiving import archive, restore_inputs
from ingestion.pipeline.feed_files import FeedError, feed_files, read_feed_files
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import Manifest
from ingestion.pipeline.planning import Planner, manifest_at, note_unreadable, pin, write_manifest
from ingestion.pipeline.run_request import RunRequest
from ingestion.pipeline.unpinning import unpin

_MANIFEST = re.compile(
    r"gs://(?P<bucket>[^/{}]+)/batches/(?P<feed>[^/{}]+)/(?P<batch_id>job-(?P<run_id>\d+))/manifest\.json"
)
MERGED = "success"


class NotMergedError(RuntimeError):
    """A batch that is to be archived and was not merged. Nothing of it was moved."""


@dataclass(frozen=True)
class JobBatch:
    """Where the manifest of a job run lies, `gs://<bucket>/batches/<feed>/job-<run id>/manifest.json`."""

    bucket: str
    feed: str
    batch_id: str
    run_id: str

    @classmethod
    def at(cls, uri: str) -> Self:
        """The batch of a manifest's URI. Raises ValueError for another URI."""
        match = _MANIFEST.fullmatch(uri)
        if match is None:
            raise ValueError(
                f"{uri} names no batch of a job run: it must be gs://<bucket>/batches/<feed>/job-<run id>/"
                "manifest.json, as databricks.yml has it with {{job.run_id}}"
            )
        return cls(**match.groupdict())

    @property
    def prefix(self) -> str:
        """Where the batch lies in the bucket."""
        return f"batches/{self.feed}/{self.batch_id}/"

    @property
    def manifest(self) -> str:
        """The object that holds its manifest."""
        return f"{self.prefix}manifest.json"


def plan(bucket: Bucket, batch: JobBatch, feed: Feed, schema: str, request: RunRequest) -> Manifest:
    """Pin what is to be loaded and write the manifest, also an empty one. A batch that has one is left as it is.

    Whatever was pinned for it and is gone is put back from the archive then: a repaired run may stage it again. Raises
    UnreadableError as planning.pin does, and archiving.ArchiveError for a file that is nowhere.
    """
    known = manifest_at(bucket, batch.manifest)
    if known is not None:
        restored = restore_inputs(bucket, known)
        print(
            f"Batch {batch.batch_id} was planned before; put back from the archive: {', '.join(restored) or 'nothing'}"
        )
        return known
    # A try that was killed may have pinned other files under the names that this one needs.
    unpin(bucket, batch.prefix)
    manifest = pin(bucket, feed, Planner(batch.batch_id, feed.name, batch.run_id, schema), request)
    if manifest.unreadable:
        # Told before it is noted, and noted before the batch is final: killed in between, this tells twice.
        tell(messages.of_unreadable(manifest))
        note_unreadable(bucket, manifest)
    if manifest.rejected:
        tell(messages.of_rejected(manifest))
    write_manifest(bucket, manifest)
    print(f"Batch {batch.batch_id}: {len(manifest.files)} file(s) to load of {request}")
    for file in manifest.files:
        print(f"  {file.object} generation {file.generation}, {file.size} bytes")
    return manifest


def archive_merged(bucket: Bucket, batch: JobBatch, merge_result: str) -> list[str]:
    """Move the files of a batch to their places and return those. `merge_result` is that of the task `merge`.

    Raises NotMergedError: the order of the tasks alone says nothing where somebody disabled `merge`, or had only some
    tasks of the job run.
    """
    manifest = manifest_at(bucket, batch.manifest)
    if manifest is None:
        raise NotMergedError(f"gs://{bucket.name}/{batch.manifest} does not exist: run the task plan of this run again")
    if manifest.files and merge_result != MERGED:
        raise NotMergedError(
            f"Batch {batch.batch_id} was not merged by this run (the result of merge is {merge_result!r}), so nothing "
            "was moved: repair the run with all its tasks"
        )
    kept = archive(bucket, manifest) if manifest.moves else []
    if kept:
        tell(messages.of_kept(manifest, kept))
    for source, destination in manifest.moves:
        print(f"{source} -> {destination}")
    return [destination for _, destination in manifest.moves]


def feed_of(folder: Path, name: str) -> Feed:
    """The feed of this name among those of a folder, which knows those beside it. Raises FeedError."""
    usable, problems = read_feed_files(feed_files(folder))
    feeds = [file.feed for file in usable]
    feed = next((feed for feed in feeds if feed.name == name), None)
    if feed is None:
        raise FeedError("\n".join(problems) or f"{folder} has no {name}.yaml")
    return feed.beside(feeds)


def tell(message: messages.Message) -> None:
    """Say it in the output of the task: people are told by the alerts of the bundle, which look at what is written."""
    print(f"ATTENTION {message.subject}")
    for line in message.lines:
        print(f"  {line}")
