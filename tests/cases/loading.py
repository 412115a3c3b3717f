"""All cases through the real code, together: planned, staged, merged and archived, batch by batch."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from google.cloud.storage import Bucket

from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import Manifest, manifest_name
from ingestion.pipeline.planning import Planner, plan, read_manifest
from ingestion.pipeline.run_request import Days, RunRequest
from tests.cases.engines import Engine, Rows
from tests.cases.suite import Case, CaseError, Delivery, Row

# Batches of one step, in case a feed's limits make several of it.
MAX_BATCHES = 5


@dataclass
class Suite:
    """The cases on their way through the real code, and what it said of them."""

    bucket: Bucket
    engine: Engine
    feeds: dict[str, Feed]
    generations: dict[tuple[str, int], Delivery] = field(default_factory=dict)
    delivered_at: dict[tuple[str, int], datetime] = field(default_factory=dict)
    manifests: list[Manifest] = field(default_factory=list)
    staged: list[dict[str, Any]] = field(default_factory=list)
    replay_writes: dict[date, int] = field(default_factory=dict)
    _read: dict[str, Rows] = field(default_factory=dict)

    def load(self, cases: list[Case]) -> None:
        """Deliver and load all of them, step by step."""
        for step in range(1, max(case.steps for case in cases) + 1):
            for delivery in (item for case in cases for item in case.deliveries if item.step == step):
                blob = self.bucket.blob(delivery.object)
                blob.upload_from_string(delivery.content, content_type="text/csv")
                self.generations[delivery.object, int(blob.generation)] = delivery
                self.delivered_at[delivery.object, int(blob.generation)] = blob.time_created
            for feed in self.feeds.values():
                self._live(feed, step)
            for feed_name, day in ((case.feed_name, day) for case in cases for day in case.replays(step)):
                writes = self._batch(self.feeds[feed_name], f"s{step}-replay-{day}", day)
                if writes is None:
                    raise CaseError(f"nothing of {day} is in the archive to be replayed")
                self.replay_writes[day] = writes

    def _live(self, feed: Feed, step: int) -> None:
        """Run batches until nothing waits, as the DAG does."""
        for number in range(1, MAX_BATCHES + 1):
            if self._batch(feed, f"s{step}-{number}") is None:
                return
        raise CaseError(f"after {MAX_BATCHES} batches files of {feed.name} still wait in source/")

    def _batch(self, feed: Feed, batch_id: str, day: date | None = None) -> int | None:
        """Rows that a batch wrote to the target; None if there was nothing to load."""
        request = RunRequest("backfill", Days(day, day), None) if day else RunRequest("scheduled", None, None)
        if plan(self.bucket, feed, Planner(batch_id, feed.name, "run", self.engine.schema), request) is None:
            return None
        manifest = read_manifest(self.bucket, feed, batch_id)
        self.manifests.append(manifest)
        written = 0
        if manifest.files:  # else the DAG skips both jobs
            uri = f"gs://{self.bucket.name}/{manifest_name(feed, batch_id)}"
            self.staged += self.engine.run("stage", uri)["files"]
            merged = self.engine.run("merge", uri)
            written = merged["rows_inserted"] + merged["rows_updated"]
        archive(self.bucket, manifest)
        return written

    def rows(self, table: str) -> Rows:
        """All rows of a table; none if there is no such table."""
        if not self._read:
            names = (name + suffix for name in self.feeds for suffix in ("", "_staging", "_quarantine"))
            self._read = self.engine.read(["ingestion_log", *names])
        return self._read[table]

    def named(self, object_name: str, generation: int) -> Row:
        """A generation as the cases call it."""
        delivery = self.generations.get((object_name, generation))
        if delivery is None:
            return (("file", object_name), ("delivery", f"unknown generation {generation}"))
        return (("file", delivery.file), ("delivery", str(delivery.step)))
