"""The stage job: files of a batch to typed rows in staging, bad rows to quarantine too.

A file is parsed once: all rows, good and bad, are committed to the batch's partition of staging, and from there the bad
ones are copied to quarantine. Each step replaces what an earlier attempt left: running again heals a run killed
anywhere.
"""

from collections import Counter
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import FILE_COUNTS, Counts, check_staged, in_batch, in_generations, staged_counts
from ingestion_jobs.erased import IS_BAD, erased_keys, left_empty
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.manifest import Manifest, read_manifest
from ingestion_jobs.names import quoted_table
from ingestion_jobs.reading import files_by_layout, read_files
from ingestion_jobs.rows import HEADER_DIFFERS, LINEAGE, typed_rows
from ingestion_jobs.session import settle
from ingestion_jobs.tables import ensure_staging_tables

# Below what Spark counts for opening a file, so that no two files share a partition.
_FILE_PER_PARTITION = ("spark.sql.files.maxPartitionBytes", str(4 * 1024 * 1024))
_TASK_BYTES = 32 * 1024 * 1024
_FEWEST_TASKS = 8


def stage(spark: SparkSession, manifest_uri: str) -> dict[str, Any]:
    """Stage the batch of a manifest and return its counts, per file and per reason.

    Raises IngestionError when an input, the schema or a column is not as the manifest says, or rows are missing.
    """
    settle(spark)
    manifest = read_manifest(spark, manifest_uri)
    if not manifest.files:
        return _result(manifest, {})
    ensure_staging_tables(spark, manifest)
    _append(spark, manifest)
    counts = staged_counts(spark, manifest)
    if not all(of_file.complete for of_file in counts.values()):
        # An earlier attempt has staged the batch, or this Spark packs files as it likes. Both are rare, so they are
        # looked for in the counts, which are due anyway.
        _replace(spark, manifest)
        counts = staged_counts(spark, manifest)
    _check(spark, manifest, counts)
    if any(of_file.bad or of_file.quarantined for of_file in counts.values()):
        _replace_quarantine(spark, manifest)
    return _result(manifest, counts)


def _append(spark: SparkSession, manifest: Manifest) -> None:
    """Add the batch's rows to staging, each file read in a partition of its own."""
    name, value = _FILE_PER_PARTITION
    usual = spark.conf.get(name)
    spark.conf.set(name, value)
    try:
        _write(spark, manifest, file_per_partition=True, mode="append")
    finally:
        spark.conf.set(name, usual)


def _replace(spark: SparkSession, manifest: Manifest) -> None:
    """Put the batch's rows in the place of what staging has of it, numbered whatever partitions Spark makes."""
    _write(spark, manifest, file_per_partition=False, mode="overwrite", replaceWhere=in_batch(manifest))


def _write(spark: SparkSession, manifest: Manifest, file_per_partition: bool, mode: str, **options: str) -> None:
    staging = quoted_table(manifest.tables.staging)
    try:
        # Classic Spark looks for the files here, Spark Connect only when it writes.
        rows = _rows(spark, manifest, file_per_partition)
        repeat_on_conflict(
            f"writing {manifest.tables.staging}",
            lambda: rows.write.format("delta").mode(mode).options(**options).saveAsTable(staging),
        )
    except PySparkException as error:
        condition = error.getCondition() or ""
        if condition == "PATH_NOT_FOUND" or condition.startswith("FAILED_READ_FILE"):
            raise IngestionError(_unreadable(manifest, str(error))) from error
        raise


def _rows(spark: SparkSession, manifest: Manifest, file_per_partition: bool) -> DataFrame:
    groups = [
        typed_rows(read_files(spark, manifest.feed, layout, files, file_per_partition), manifest.feed, layout)
        for layout, files in files_by_layout(manifest).items()
    ]
    rows = reduce(DataFrame.unionByName, groups)
    of_batch = {"_batch_id": sf.lit(manifest.batch_id), "_staged_at": sf.lit(datetime.now(UTC))}
    rows = rows.withColumns(of_batch)
    if (keys := erased_keys(spark, manifest.tables)) is not None:
        rows = left_empty(rows, manifest.feed, keys)
    # Not a table file for each of many small files.
    tasks = max(_FEWEST_TASKS, sum(file.size for file in manifest.files) // _TASK_BYTES)
    return rows.coalesce(tasks) if file_per_partition and len(manifest.files) > tasks else rows


def _unreadable(manifest: Manifest, message: str) -> str:
    reason = message.strip().splitlines()[0]
    for file in manifest.files:
        if file.input.rsplit("://", 1)[-1] in message:
            return (
                f"cannot read {file.input}, pinned copy of {file.object}: clear plan_batch to pin it anew; "
                f"if that does not help, take {file.object} out of source/ and clear plan_batch ({reason})"
            )
    return f"cannot read an input of batch {manifest.batch_id}: clear plan_batch to pin it anew ({reason})"


def _check(spark: SparkSession, manifest: Manifest, counts: Counts) -> None:
    for file, of_file in counts.items():
        if HEADER_DIFFERS in of_file.reasons:
            raise IngestionError(
                f"the header of {file.input} is not {','.join(file.header)}, as the manifest says of {file.object}: "
                "clear plan_batch to pin it anew"
            )
    check_staged(spark, manifest, counts)


def _replace_quarantine(spark: SparkSession, manifest: Manifest) -> None:
    """The bad rows of the batch instead of what quarantine has of its file generations, also where none are left."""
    staging = spark.table(quoted_table(manifest.tables.staging)).where(in_batch(manifest)).where(IS_BAD)
    dates = [(file.object, file.generation, date.fromisoformat(file.date)) for file in manifest.files]
    files = spark.createDataFrame(dates, "_source_file string, _generation bigint, file_date date")
    bad = staging.join(sf.broadcast(files), ["_source_file", "_generation"]).select(
        *LINEAGE, "file_date", sf.col("_reasons").alias("reasons"), sf.col("_raw").alias("raw"), "_batch_id"
    )
    write = bad.write.format("delta").mode("overwrite").option("replaceWhere", in_generations(manifest))
    repeat_on_conflict(
        f"writing {manifest.tables.quarantine}", lambda: write.saveAsTable(quoted_table(manifest.tables.quarantine))
    )


def _result(manifest: Manifest, counts: Counts) -> dict[str, Any]:
    files = [
        {
            "object": file.object,
            "generation": file.generation,
            "rows_read": of_file.read,
            "rows_staged": of_file.good,
            "rows_quarantined": of_file.bad,
            "rows_erased": of_file.erased,
        }
        for file, of_file in counts.items()
    ]
    totals = {name: sum(file[name] for file in files) for name in FILE_COUNTS}
    reasons = sum((of_file.reasons for of_file in counts.values()), Counter())
    return {"step": "stage", "batch_id": manifest.batch_id, **totals, "files": files, "reasons": dict(reasons)}
