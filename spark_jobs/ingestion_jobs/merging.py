"""The merge job: the staged rows of a batch into the target, one row per key, the newest winning."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import Counts, check_staged, count_groups, counts_of, good_rows, in_batch
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.history import commits_of_batch
from ingestion_jobs.keys import Keys, in_ranges, staged_keys
from ingestion_jobs.log import MergedCounts, logged_counts, write_log
from ingestion_jobs.manifest import Manifest, read_manifest
from ingestion_jobs.names import quoted, quoted_table
from ingestion_jobs.rows import LINEAGE
from ingestion_jobs.session import settle
from ingestion_jobs.tables import ensure_target_tables


@dataclass(frozen=True)
class Staged:
    """What the tables hold of a batch before it is merged."""

    counts: Counts
    staged_at: datetime | None  # None without staged rows
    logged: MergedCounts | None  # if the batch was merged and logged before

    @property
    def rows(self) -> int:
        """All good rows of the batch."""
        return sum(of_file.good for of_file in self.counts.values())


def merge(spark: SparkSession, manifest_uri: str) -> dict[str, Any]:
    """Merge the staged batch of a manifest into its target, log it, and return its counts.

    Merging a batch again changes nothing and returns the counts of the first time. Raises IngestionError when the
    batch is not staged completely, or the target is not what the feed needs.
    """
    settle(spark)
    manifest = read_manifest(spark, manifest_uri)
    ensure_target_tables(spark, manifest)
    staged = _staged(spark, manifest)
    _check(spark, staged)
    merged = staged.logged
    if merged is None or not commits_of_batch(spark, manifest).still_hold:
        merged = _merge(spark, manifest, staged)
    if staged.logged is None:
        write_log(spark, manifest, staged.counts, merged, staged.staged_at)
    return {"step": "merge", "batch_id": manifest.batch_id, "rows_staged": staged.rows, **merged.by_name()}


def _staged(spark: SparkSession, manifest: Manifest) -> Staged:
    try:
        # One query for all of it: each costs a good part of a second, however little it reads.
        facts = logged_counts(spark, manifest).join(count_groups(spark, manifest), sf.lit(True), "left")
        rows = facts.collect()
    except AnalysisException as error:
        if error.getCondition() != "TABLE_OR_VIEW_NOT_FOUND":
            raise
        raise IngestionError(
            f"batch {manifest.batch_id} is not staged, its tables do not exist: run stage first"
        ) from error
    return Staged(
        counts=counts_of(manifest, [row for row in rows if row["rows"] is not None]),
        staged_at=max((row["staged_at"] for row in rows if row["staged_at"]), default=None),
        logged=MergedCounts(*rows[0]["logged"]) if rows[0]["logged"] else None,
    )


def _check(spark: SparkSession, staged: Staged) -> None:
    check_staged(spark, staged.counts)
    for file, of_file in staged.counts.items():
        if of_file.quarantined != of_file.bad:
            raise IngestionError(
                f"{file.object} (generation {file.generation}): {of_file.bad} bad rows staged, but "
                f"{of_file.quarantined} in quarantine: run stage to its end first"
            )


def _merge(spark: SparkSession, manifest: Manifest, staged: Staged) -> MergedCounts:
    """What this batch inserted and updated, now or when it was merged before, and what it did not."""
    if not staged.rows:
        return MergedCounts(0, 0, 0, 0)
    keys = staged_keys(spark, manifest)
    statement = merge_statement(manifest, keys, has_duplicates=keys.count < staged.rows)
    result = repeat_on_conflict(f"merging into {manifest.tables.target}", lambda: spark.sql(statement).collect()[0])
    inserted, updated = result["num_inserted_rows"], result["num_updated_rows"]
    if not inserted and not updated:
        if staged.logged:
            return staged.logged
        # A MERGE of this batch may have been committed by a job that was killed before it wrote the log.
        commits = commits_of_batch(spark, manifest)
        inserted, updated = commits.inserted, commits.updated
    stale = keys.count - inserted - updated
    if stale < 0:
        raise IngestionError(
            f"{staged.rows} staged rows with {keys.count} keys cannot insert {inserted} and update {updated}: "
            "report this"
        )
    return MergedCounts(inserted, updated, stale, duplicate=staged.rows - keys.count)


def merge_statement(manifest: Manifest, keys: Keys, has_duplicates: bool) -> str:
    """SQL: the newest staged row of each key into the target, if it is newer than the row there.

    Newest by (order column, _delivered_at, _generation, _source_file, _record), which no two rows share: so the target
    depends on the delivered files alone, not on the order or number of merges. The time comes before the generation
    because GCS promises that generations differ, not that they grow.
    """
    feed = manifest.feed
    columns = [*(quoted(column.name) for column in feed.columns), *LINEAGE]
    newest = [quoted(feed.order_by), "_delivered_at", "_generation", "_source_file", "_record"]
    key = feed.column(feed.key[0])
    same_key = [f"t.{quoted(name)} = s.{quoted(name)}" for name in feed.key]
    if ranges := in_ranges(f"t.{quoted(key.name)}", key.type, keys.ranges):
        same_key.append(f"({ranges})")
    return f"""
        MERGE INTO {quoted_table(manifest.tables.target)} AS t
        USING ({_source(manifest, newest, has_duplicates)}) AS s
        ON {" AND ".join(same_key)}
        WHEN MATCHED AND s.{in_batch(manifest)} AND
            struct({", ".join(f"s.{name}" for name in newest)}) > struct({", ".join(f"t.{name}" for name in newest)})
            THEN UPDATE SET {", ".join(f"t.{name} = s.{name}" for name in columns)}
        WHEN NOT MATCHED THEN INSERT ({", ".join(columns)}) VALUES ({", ".join(f"s.{name}" for name in columns)})
    """  # noqa: S608 - every name and value in it is quoted


def _source(manifest: Manifest, newest: list[str], has_duplicates: bool) -> str:
    """SQL: the newest good row of each key. Without duplicates a plain scan, which Delta need not store first."""
    good = f"SELECT * FROM {good_rows(manifest)}"  # noqa: S608 - quoted
    if not has_duplicates:
        return good
    keys = ", ".join(quoted(name) for name in manifest.feed.key)
    newest_first = ", ".join(f"{name} DESC" for name in newest)
    return f"""
        SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {newest_first}) AS _rank FROM ({good})
        ) WHERE _rank = 1
    """  # noqa: S608 - every name and value in it is quoted
