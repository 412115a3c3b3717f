"""The ingestion log: one row per file and one per batch, written once, after the merge."""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import FILE_COUNTS, Counts, FileCounts
from ingestion_jobs.manifest import Manifest
from ingestion_jobs.names import quoted_table
from ingestion_jobs.tables import LOG


@dataclass(frozen=True)
class MergedCounts:
    """What became of the good rows of a batch."""

    inserted: int
    updated: int
    stale: int
    duplicate: int

    @classmethod
    def of(cls, logged: dict[str, int]) -> "MergedCounts":
        """From the counts by the log's column names."""
        return cls(**{count.name: logged[f"rows_{count.name}"] for count in fields(cls)})

    def by_name(self) -> dict[str, int]:
        """The counts by the log's column names."""
        return {f"rows_{name}": count for name, count in asdict(self).items()}


def of_batch(counts: Counts, merged: MergedCounts) -> dict[str, int]:
    """The counts of a whole batch, by the log's column names."""
    rows = [_of_file(of_file) for of_file in counts.values()]
    return {name: sum(row[name] for row in rows) for name in FILE_COUNTS} | merged.by_name()


def _of_file(of_file: FileCounts) -> dict[str, int]:
    return {
        "rows_read": of_file.good + of_file.quarantined + of_file.erased,
        "rows_staged": of_file.good,
        "rows_quarantined": of_file.quarantined,
        "rows_erased": of_file.erased,
    }


def logged_counts(spark: SparkSession, manifest: Manifest) -> dict[str, int] | None:
    """What `of_batch` gave when the batch was logged; None if it was not."""
    log = spark.table(quoted_table(manifest.tables.log))
    found = log.where(
        (sf.col("feed") == manifest.feed.name) & (sf.col("batch_id") == manifest.batch_id) & sf.col("object").isNull()
    )
    logged = found.select(*FILE_COUNTS, *(f"rows_{count.name}" for count in fields(MergedCounts))).first()
    # A batch that was logged before erased rows were counted has NULL there.
    return {name: count or 0 for name, count in logged.asDict().items()} if logged else None


def write_log(spark: SparkSession, manifest: Manifest, counts: Counts, merged: MergedCounts) -> None:
    """Append the rows of a batch, once: Delta leaves out a write whose application has written this version before."""
    shared = {
        "feed": manifest.feed.name,
        "batch_id": manifest.batch_id,
        "staged_at": max((of_file.staged_at for of_file in counts.values() if of_file.staged_at), default=None),
        "merged_at": datetime.now(UTC),
        "dag_run_id": manifest.run_id,
    }
    of_files = [
        {"object": file.object, "generation": file.generation} | _of_file(of_file) for file, of_file in counts.items()
    ]
    rows = [shared | row for row in (*of_files, of_batch(counts, merged))]
    schema = ", ".join(f"{name} {type_}" for name, type_, _ in LOG)
    frame = spark.createDataFrame([tuple(row.get(name) for name, _, _ in LOG) for row in rows], schema).coalesce(1)
    log = quoted_table(manifest.tables.log)
    attempt = {"txnAppId": f"{manifest.feed.name} {manifest.batch_id}", "txnVersion": 1}
    write = frame.write.format("delta").mode("append").options(**attempt)
    repeat_on_conflict(f"writing {manifest.tables.log}", lambda: write.saveAsTable(log))
