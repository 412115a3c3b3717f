"""The ingestion log: one row per file and one per batch, written once, after the merge."""

from datetime import UTC, datetime

from pyspark.sql import SparkSession

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.counts import Counts
from ingestion_jobs.manifest import Manifest
from ingestion_jobs.names import quoted_table, sql_string
from ingestion_jobs.tables import LOG


def logged_counts(manifest: Manifest) -> str:
    """SQL scalar: struct of the rows inserted and updated that the log has for the batch; NULL if it is not logged."""
    feed, batch = sql_string(manifest.feed.name), sql_string(manifest.batch_id)
    return (
        f"SELECT max(struct(rows_inserted, rows_updated)) FROM {quoted_table(manifest.tables.log)} "  # noqa: S608
        f"WHERE feed = {feed} AND batch_id = {batch} AND object IS NULL"
    )


def write_log(
    spark: SparkSession, manifest: Manifest, counts: Counts, merged: dict[str, int], staged_at: datetime | None
) -> None:
    """Append the rows of a batch; `merged` holds its rows_inserted, rows_updated, rows_stale and rows_duplicate."""
    shared = {
        "feed": manifest.feed.name,
        "batch_id": manifest.batch_id,
        "staged_at": staged_at,
        "merged_at": datetime.now(UTC),
        "dag_run_id": manifest.run_id,
    }
    of_files = [
        {
            "object": file.object,
            "generation": file.generation,
            "rows_read": of_file.good + of_file.quarantined,
            "rows_staged": of_file.good,
            "rows_quarantined": of_file.quarantined,
        }
        for file, of_file in counts.items()
    ]
    totals = {name: sum(row[name] for row in of_files) for name in ("rows_read", "rows_staged", "rows_quarantined")}
    rows = [shared | row for row in (*of_files, totals | merged)]
    schema = ", ".join(f"{name} {type_}" for name, type_, _ in LOG)
    frame = spark.createDataFrame([tuple(row.get(name) for name, _, _ in LOG) for row in rows], schema).coalesce(1)
    log = quoted_table(manifest.tables.log)
    repeat_on_conflict(
        f"writing {manifest.tables.log}", lambda: frame.write.format("delta").mode("append").saveAsTable(log)
    )
