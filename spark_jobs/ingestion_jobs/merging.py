"""The merge job: the staged rows of a batch into the target, one row per key, the newest winning."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import (
    Counts,
    check_empty_files,
    check_sum,
    counts_of,
    in_batch,
    quarantine_groups,
    staging_groups,
)
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.log import logged_counts, write_log
from ingestion_jobs.manifest import Manifest, read_manifest
from ingestion_jobs.names import quoted, quoted_table
from ingestion_jobs.rows import LINEAGE
from ingestion_jobs.tables import ensure_target_tables

# Enough to find a MERGE of this batch that was committed before its job was killed, without reading years of history.
_RECENT_COMMITS = 100


@dataclass(frozen=True)
class Staged:
    """What the tables hold of a batch before it is merged: `winners` is its number of keys."""

    counts: Counts
    winners: int
    staged_at: datetime | None  # None without staged rows
    logged: tuple[int, int] | None  # rows inserted and updated, if the batch was merged and logged before

    @property
    def rows(self) -> int:
        """All staged rows of the batch."""
        return sum(of_file.good for of_file in self.counts.values())


def merge(spark: SparkSession, manifest_uri: str) -> dict[str, Any]:
    """Merge the staged batch of a manifest into its target, log it, and return its counts.

    Merging a batch again changes nothing and returns the counts of the first time. Raises IngestionError when the
    batch is not staged completely, or the target is not what the feed needs.
    """
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    manifest = read_manifest(spark, manifest_uri)
    ensure_target_tables(spark, manifest)
    staged = _staged(spark, manifest)
    _check(spark, staged)
    inserted, updated = _merge(spark, manifest, staged) if staged.rows else (0, 0)
    merged = {
        "rows_inserted": inserted,
        "rows_updated": updated,
        "rows_stale": staged.winners - inserted - updated,
        "rows_duplicate": staged.rows - staged.winners,
    }
    if min(merged.values()) < 0:
        raise IngestionError(f"{staged.rows} staged rows with {staged.winners} keys cannot give {merged}: report this")
    if staged.logged is None:
        write_log(spark, manifest, staged.counts, merged, staged.staged_at)
    return {"step": "merge", "batch_id": manifest.batch_id, "rows_staged": staged.rows, **merged}


def _staged(spark: SparkSession, manifest: Manifest) -> Staged:
    keys = ", ".join(quoted(name) for name in manifest.feed.key)
    staging = quoted_table(manifest.tables.staging)
    batch = (
        f"SELECT count(DISTINCT {keys}) AS winners, max(_metadata.file_modification_time) AS staged_at, "  # noqa: S608
        f"({logged_counts(manifest)}) AS logged FROM {staging} WHERE {in_batch(manifest)}"
    )
    try:
        groups = staging_groups(spark, manifest).union(quarantine_groups(spark, manifest))
        # One query for all of it: each costs a good part of a second, however little it reads.
        rows = spark.sql(batch).join(groups, sf.lit(True), "left").collect()
    except AnalysisException as error:
        if error.getCondition() != "TABLE_OR_VIEW_NOT_FOUND":
            raise
        raise IngestionError(
            f"batch {manifest.batch_id} is not staged, its tables do not exist: run stage first"
        ) from error
    return Staged(
        counts=counts_of(manifest, [row for row in rows if row["rows"] is not None]),
        winners=rows[0]["winners"],
        staged_at=rows[0]["staged_at"],
        logged=tuple(rows[0]["logged"]) if rows[0]["logged"] else None,
    )


def _check(spark: SparkSession, staged: Staged) -> None:
    for file, of_file in staged.counts.items():
        if of_file.bad:
            raise IngestionError(
                f"staging still holds {of_file.bad} bad rows of {file.object}: run stage to its end first"
            )
        read = max(of_file.last_staged, of_file.last_quarantined)
        check_sum(file, read=read, staged=of_file.good, quarantined=of_file.quarantined)
    empty = [file for file, of_file in staged.counts.items() if not of_file.good + of_file.quarantined]
    check_empty_files(spark, empty)


def _merge(spark: SparkSession, manifest: Manifest, staged: Staged) -> tuple[int, int]:
    """Rows that this batch inserted and updated, now or when it was merged before."""
    statement = merge_statement(manifest)
    result = repeat_on_conflict(f"merging into {manifest.tables.target}", lambda: spark.sql(statement).collect()[0])
    counts = (result["num_inserted_rows"], result["num_updated_rows"])
    return counts if any(counts) else staged.logged or _unlogged_merge(spark, manifest)


def _unlogged_merge(spark: SparkSession, manifest: Manifest) -> tuple[int, int]:
    """Rows inserted and updated by a MERGE of this batch whose job was killed before it wrote the log."""
    history = spark.sql(f"DESCRIBE HISTORY {quoted_table(manifest.tables.target)} LIMIT {_RECENT_COMMITS}")
    # The batch id stands in the condition of the MERGE, and that in the commit.
    ours = history.where("operation = 'MERGE'").where(
        sf.col("operationParameters")["matchedPredicates"].contains(manifest.batch_id)
    )
    metrics = [row["operationMetrics"] for row in ours.select("operationMetrics").collect()]
    return (
        sum(int(of_commit["numTargetRowsInserted"]) for of_commit in metrics),
        sum(int(of_commit["numTargetRowsUpdated"]) for of_commit in metrics),
    )


def merge_statement(manifest: Manifest) -> str:
    """SQL: the newest staged row of each key into the target, if it is newer than the row there.

    Newest by (order column, _generation, _source_file, _record), which no two rows share: so the target depends on the
    delivered files alone, not on the order or number of merges.
    """
    feed, tables = manifest.feed, manifest.tables
    keys = [quoted(name) for name in feed.key]
    columns = [*(quoted(column.name) for column in feed.columns), *LINEAGE]
    newest = [quoted(feed.order_by), "_generation", "_source_file", "_record"]
    return f"""
        MERGE INTO {quoted_table(tables.target)} AS t
        USING (
            SELECT * FROM (
                SELECT *, row_number() OVER (
                    PARTITION BY {", ".join(keys)} ORDER BY {", ".join(f"{name} DESC" for name in newest)}
                ) AS _rank
                FROM {quoted_table(tables.staging)} WHERE {in_batch(manifest)}
            ) WHERE _rank = 1
        ) AS s
        ON {" AND ".join(f"t.{name} = s.{name}" for name in keys)}
        WHEN MATCHED AND s.{in_batch(manifest)} AND
            struct({", ".join(f"s.{name}" for name in newest)}) > struct({", ".join(f"t.{name}" for name in newest)})
            THEN UPDATE SET {", ".join(f"t.{name} = s.{name}" for name in columns)}
        WHEN NOT MATCHED THEN INSERT ({", ".join(columns)}) VALUES ({", ".join(f"s.{name}" for name in columns)})
    """  # noqa: S608 - every name and value in it is quoted
