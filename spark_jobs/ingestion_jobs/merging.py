"""The merge job: the staged rows of a batch into the target, one row per key, the newest winning."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import Counts, check_staged, good_rows, in_batch, staged_counts
from ingestion_jobs.erased import drop_quarantined, empty_staged
from ingestion_jobs.errors import IngestionError, RefusedError
from ingestion_jobs.history import commits_of_batch
from ingestion_jobs.keys import Keys, in_ranges, staged_keys
from ingestion_jobs.log import MergedCounts, logged_counts, of_batch, write_log
from ingestion_jobs.manifest import Manifest, read_manifest
from ingestion_jobs.names import quoted, quoted_table
from ingestion_jobs.rows import LINEAGE
from ingestion_jobs.session import settle
from ingestion_jobs.tables import NO_TABLE, ensure_target_tables, table_if_exists

_SHOWN_KEYS = 5


def merge(spark: SparkSession, manifest_uri: str) -> dict[str, Any]:
    """Merge the staged batch of a manifest into its target, log it, and return its counts.

    Merging a batch again changes nothing and returns the counts of the first time. Raises IngestionError when the
    batch is not staged completely, or the target is not what the feed needs.
    """
    settle(spark)
    manifest = read_manifest(spark, manifest_uri)
    days = [file.date for file in manifest.files]
    result = {
        "step": "merge",
        "batch_id": manifest.batch_id,
        "file_count": len(days),
        "first_day": min(days, default=None),
        "last_day": max(days, default=None),
    }
    if not days:
        return result | of_batch({}, MergedCounts(0, 0, 0, 0))
    if (counts := _merged_before(spark, manifest)) is not None:
        return result | counts
    _leave_out_erased(spark, manifest)
    staged, keys, without_comments = _prepare(spark, manifest)
    merged = _merge(spark, manifest, staged, keys)
    write_log(spark, manifest, staged, merged)
    return result | of_batch(staged, merged) | ({"without_comments": without_comments} if without_comments else {})


def _merged_before(spark: SparkSession, manifest: Manifest) -> dict[str, int] | None:
    """What a merge of this batch did that the target still holds and that is logged: then nothing is left to do."""
    try:
        still_hold = commits_of_batch(spark, manifest).still_hold
    except AnalysisException as error:
        if error.getCondition() != NO_TABLE:
            raise
        return None
    return logged_counts(spark, manifest) if still_hold else None


def _leave_out_erased(spark: SparkSession, manifest: Manifest) -> None:
    """Take the rows of keys that were erased since the batch was staged out of it."""
    tables = manifest.tables
    if any(table_if_exists(spark, name) is None for name in (tables.erased, tables.staging)):
        return
    if empty_staged(spark, manifest.feed, tables, f"t.{in_batch(manifest)}"):
        drop_quarantined(spark, tables, in_batch(manifest))


def _prepare(spark: SparkSession, manifest: Manifest) -> tuple[Counts, Keys, str]:
    """What is staged, and the tables it goes to as the feed needs them: looked at together, none waits for another.

    The last is why the target's comments are not the feed's, if so.
    """
    with ThreadPoolExecutor() as pool:
        target = pool.submit(ensure_target_tables, spark, manifest)
        counts = pool.submit(_staged, spark, manifest)
        keys = pool.submit(staged_keys, spark, manifest)
    without_comments = target.result()
    return counts.result(), keys.result(), without_comments


def _staged(spark: SparkSession, manifest: Manifest) -> Counts:
    """The counts of the batch. Raises IngestionError if it is not staged to its end."""
    try:
        counts = staged_counts(spark, manifest)
    except AnalysisException as error:
        if error.getCondition() != NO_TABLE:
            raise
        raise IngestionError(
            f"batch {manifest.batch_id} is not staged, its tables do not exist: clear stage"
        ) from error
    check_staged(spark, manifest, counts)
    for file, of_file in counts.items():
        if of_file.quarantined != of_file.bad:
            raise IngestionError(
                f"{file.object} (generation {file.generation}): {of_file.bad} bad rows staged, but "
                f"{of_file.quarantined} in quarantine: clear stage"
            )
    return counts


def _merge(spark: SparkSession, manifest: Manifest, counts: Counts, keys: Keys) -> MergedCounts:
    """What this batch inserted and updated, now or when it was merged before, and what it did not."""
    rows = sum(of_file.good for of_file in counts.values())
    if not rows:
        return MergedCounts(0, 0, 0, 0)
    statement = merge_statement(manifest, keys, has_duplicates=keys.count < rows)
    result = repeat_on_conflict(f"merging into {manifest.tables.target}", lambda: spark.sql(statement).collect()[0])
    inserted, updated = result["num_inserted_rows"], result["num_updated_rows"]
    if not inserted and not updated:
        _staged(spark, manifest)  # maintenance may have dropped an old batch between its counts and its MERGE
        if logged := logged_counts(spark, manifest):
            return MergedCounts.of(logged)
        # A MERGE of this batch may have been committed by a job that was killed before it wrote the log.
        commits = commits_of_batch(spark, manifest)
        inserted, updated = commits.inserted, commits.updated
    if inserted > keys.count:
        raise IngestionError(
            f"{rows} staged rows with {keys.count} keys cannot insert {inserted} and update {updated}: report this"
        )
    if inserted + updated > keys.count:
        _refuse_doubled_keys(spark, manifest)
        # A key that the target had twice, and has no more, was updated twice.
        updated = keys.count - inserted
    stale = keys.count - inserted - updated
    return MergedCounts(inserted, updated, stale, duplicate=rows - keys.count)


def _refuse_doubled_keys(spark: SparkSession, manifest: Manifest) -> None:
    """Raise RefusedError if the target has more than one row of a key, which no merge of a batch can bring about."""
    target, columns = manifest.tables.target, ", ".join(quoted(name) for name in manifest.feed.key)
    doubled = spark.sql(
        f"SELECT {columns} FROM {quoted_table(target)} GROUP BY {columns} HAVING count(*) > 1 LIMIT {_SHOWN_KEYS}"  # noqa: S608 - quoted
    ).collect()
    if doubled:
        shown = "; ".join(", ".join(f"{name} {row[name]}" for name in manifest.feed.key) for row in doubled)
        raise RefusedError(
            f"{target} has more than one row of the same key ({shown}), which no batch does: something else writes to "
            "it. Delete all but one row of each key, then clear merge; this batch is in the table already"
        )


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
