"""What comes of an example: its feed read by the plugin, its file typed by the jobs, by way of a real manifest."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion.pipeline import intake, manifest
from ingestion.pipeline.candidates import Candidate
from ingestion.pipeline.feed_files import load_feed
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.headers import Header, header
from ingestion.pipeline.intake import HEAD_BYTES, Rejection, StoredObject
from ingestion.pipeline.planning import planned_file
from ingestion_jobs.manifest import parse_manifest
from ingestion_jobs.reading import files_by_layout, read_files
from ingestion_jobs.rows import typed_rows
from tests.docs.examples import Example

DELIVERED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def feed_of(example: Example, folder: Path) -> Feed:
    """The feed that its YAML defines."""
    path = folder / "parcels.yaml"
    path.write_text(example.yaml, encoding="utf-8")
    return load_feed(path)


def day_of(feed: Feed, object_name: str) -> str:
    """What the page says of a file's name."""
    if not feed.match(object_name):
        return "not of this feed"
    day = intake.file_date(feed, _stored(object_name, 1))
    return f"rejected: {day.code}" if isinstance(day, Rejection) else str(day)


def rows_of(spark: SparkSession, example: Example, feed: Feed, folder: Path) -> list[str]:
    """What the page says of a file's content: a line for each row, or why there is none."""
    content = (example.content or "").encode(feed.csv.encoding)
    if feed.compression == "gzip":
        content = gzip.compress(content)
    name = example.names[0][0] if example.names else f"{feed.prefix}parcels_2026_11_20.csv"
    stored = _stored(name, len(content))
    found = header(feed, stored, content[:HEAD_BYTES])
    if isinstance(found, Rejection):
        return [f"rejected: {found.code}"]
    path = folder / ("00001.csv.gz" if feed.compression == "gzip" else "00001.csv")
    path.write_bytes(content)
    return _typed(spark, _manifest(feed, stored, found, path))


def _stored(name: str, size: int) -> StoredObject:
    return StoredObject(name, 1, size, DELIVERED_AT, "AAAAAA==", None)


def _manifest(feed: Feed, stored: StoredObject, found: Header, path: Path) -> dict[str, object]:
    """As plan_batch writes it, so that the models of the plugin are held against those of the jobs."""
    candidate = Candidate(stored, stored.name, stored.generation, stored.created, DELIVERED_AT.date())
    file = planned_file(feed, candidate, DELIVERED_AT.date(), found, str(path))
    written = manifest.Manifest(
        batch_id="example",
        dag_id=feed.name,
        run_id="example",
        run_type="manual",
        feed=feed,
        tables=manifest.tables_of(feed, "docs"),
        files=[file],
        rejected=[],
    )
    return json.loads(json.dumps(written.model_dump(mode="json")))


def _typed(spark: SparkSession, document: dict[str, object]) -> list[str]:
    read = parse_manifest(document)
    ((layout, files),) = files_by_layout(read).items()
    rows = typed_rows(read_files(spark, read.feed, layout, files, file_per_partition=True), read.feed, layout)
    names = [column.name for column in read.feed.columns]
    texts = [sf.coalesce(sf.col(name).cast("string"), sf.lit("NULL")).alias(name) for name in names]
    found = rows.select("_record", "_reasons", sf.array(*texts).alias("_texts")).collect()
    return [
        f"quarantined: {'; '.join(row['_reasons'])}" if row["_reasons"] else _shown(row["_texts"])
        for row in sorted(found, key=lambda row: row["_record"])
    ]


def _shown(texts: list[str]) -> str:
    return " | ".join(text.replace("\n", "\\n") for text in texts)
