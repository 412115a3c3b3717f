"""The stage job: files of a batch to typed rows in staging, bad rows to quarantine.

A file is parsed once: all rows, good and bad, are committed to the batch's partition of staging, and from there the bad
ones move to quarantine. Each step replaces what an earlier attempt left: running again heals a run killed anywhere.
"""

from collections import Counter
from datetime import date
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import (
    Counts,
    check_empty_files,
    check_sum,
    counts_of,
    in_batch,
    in_generations,
    quarantine_groups,
    staging_groups,
)
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.manifest import Manifest, read_manifest
from ingestion_jobs.names import quoted_table
from ingestion_jobs.reading import read_files
from ingestion_jobs.rows import HEADER_DIFFERS, LINEAGE, typed_rows
from ingestion_jobs.tables import ensure_staging_tables


def stage(spark: SparkSession, manifest_uri: str) -> dict[str, Any]:
    """Stage the batch of a manifest and return its counts, per file and per reason.

    Raises IngestionError when an input, the schema or a column is not as the manifest says, or rows are missing.
    """
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    manifest = read_manifest(spark, manifest_uri)
    ensure_staging_tables(spark, manifest)
    _write_staging(spark, manifest)
    groups = staging_groups(spark, manifest).union(quarantine_groups(spark, manifest)).collect()
    counts = counts_of(manifest, groups)
    _check(spark, counts)
    has_bad = any(of_file.bad for of_file in counts.values())
    if has_bad or any(of_file.quarantined for of_file in counts.values()):
        _replace_quarantine(spark, manifest)
    if has_bad:
        _drop_bad_rows(spark, manifest)
    return _result(manifest, counts)


def _write_staging(spark: SparkSession, manifest: Manifest) -> None:
    try:
        # Classic Spark looks for the files here, Spark Connect only when it writes.
        rows = typed_rows(read_files(spark, manifest), manifest.feed).withColumn("_batch_id", sf.lit(manifest.batch_id))
        repeat_on_conflict(
            f"writing {manifest.tables.staging}", lambda: _overwrite(rows, manifest.tables.staging, in_batch(manifest))
        )
    except PySparkException as error:
        condition = error.getCondition() or ""
        if condition == "PATH_NOT_FOUND" or condition.startswith("FAILED_READ_FILE"):
            raise IngestionError(_unreadable(manifest, str(error))) from error
        raise


def _overwrite(rows: DataFrame, table: str, condition: str) -> None:
    """Replace the rows of `table` that meet the SQL condition, in one commit."""
    rows.write.format("delta").mode("overwrite").option("replaceWhere", condition).saveAsTable(quoted_table(table))


def _unreadable(manifest: Manifest, message: str) -> str:
    reason = message.strip().splitlines()[0]
    for file in manifest.files:
        if file.input.rsplit("://", 1)[-1] in message:
            return (
                f"cannot read {file.input}, pinned copy of {file.object}: clear plan_batch to pin it anew; "
                f"if that does not help, take {file.object} out of source/ and clear plan_batch ({reason})"
            )
    return f"cannot read an input of batch {manifest.batch_id}: clear plan_batch to pin it anew ({reason})"


def _check(spark: SparkSession, counts: Counts) -> None:
    for file, of_file in counts.items():
        if HEADER_DIFFERS in of_file.reasons:
            raise IngestionError(
                f"the header of {file.input} is not {','.join(file.columns)}, as the manifest says of {file.object}: "
                "clear plan_batch to pin it anew"
            )
        check_sum(file, read=of_file.last_staged, staged=of_file.good, quarantined=of_file.bad)
    check_empty_files(spark, [file for file, of_file in counts.items() if of_file.last_staged == 0])


def _replace_quarantine(spark: SparkSession, manifest: Manifest) -> None:
    """The bad rows of the batch instead of what quarantine has of its file generations, also where none are left."""
    staging = spark.table(quoted_table(manifest.tables.staging)).where(in_batch(manifest)).where("_reasons IS NOT NULL")
    dates = [(file.object, file.generation, date.fromisoformat(file.date)) for file in manifest.files]
    files = spark.createDataFrame(dates, "_source_file string, _generation bigint, file_date date")
    bad = staging.join(sf.broadcast(files), ["_source_file", "_generation"]).select(
        *LINEAGE, "file_date", sf.col("_reasons").alias("reasons"), sf.col("_raw").alias("raw"), "_batch_id"
    )
    repeat_on_conflict(
        f"writing {manifest.tables.quarantine}",
        lambda: _overwrite(bad, manifest.tables.quarantine, in_generations(manifest)),
    )


def _drop_bad_rows(spark: SparkSession, manifest: Manifest) -> None:
    staging = quoted_table(manifest.tables.staging)
    statement = f"DELETE FROM {staging} WHERE {in_batch(manifest)} AND _reasons IS NOT NULL"  # noqa: S608 - quoted
    repeat_on_conflict(f"writing {manifest.tables.staging}", lambda: spark.sql(statement))


def _result(manifest: Manifest, counts: Counts) -> dict[str, Any]:
    files = [
        {
            "object": file.object,
            "generation": file.generation,
            "rows_read": of_file.last_staged,
            "rows_staged": of_file.good,
            "rows_quarantined": of_file.bad,
        }
        for file, of_file in counts.items()
    ]
    totals = {name: sum(file[name] for file in files) for name in ("rows_read", "rows_staged", "rows_quarantined")}
    reasons = sum((of_file.reasons for of_file in counts.values()), Counter())
    return {"step": "stage", "batch_id": manifest.batch_id, **totals, "files": files, "reasons": dict(reasons)}
