"""Staged rows that nothing needs any more: those of batches that were merged, and long ago.

They serve only a merge that is done again. `stage` stages any batch anew from the archive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.manifest import Tables
from ingestion_jobs.names import quoted_table, sql_string
from ingestion_jobs.tables import table_if_exists

# A first maintenance may find years of batches, and each is named in the statement.
_BATCHES_IN_ONE_DELETE = 1000
# Rows that an older version has staged do not say when: then by the time that the id of a batch of plan_batch begins
# with. NULL for an id of another form, whose rows then stay.
_TIME_IN_ID = sql_string("yyyyMMdd'T'HHmmssX")
_STAGED_AT = f"coalesce(_staged_at, try_to_timestamp(left(_batch_id, 16), {_TIME_IN_ID}))"


@dataclass(frozen=True)
class OldBatches:
    """How many batches were dropped, and which of that age were not, as they wait for their merge."""

    dropped: int = 0
    waiting: tuple[str, ...] = ()


def drop_old_batches(spark: SparkSession, tables: Tables, older_than: datetime) -> OldBatches:
    """Drop what was staged before that time, of batches of which every file was merged, by that batch or a later one.

    A batch that is not merged may hold the only rows of a file that its producer has replaced since, so it stays.
    """
    staging = table_if_exists(spark, tables.staging)
    if staging is None or "_staged_at" not in staging.columns or table_if_exists(spark, tables.log) is None:
        return OldBatches()
    old = spark.sql(_old_batches(tables, older_than)).collect()
    merged = sorted(row["_batch_id"] for row in old if row["is_merged"])
    for first in range(0, len(merged), _BATCHES_IN_ONE_DELETE):
        _drop(spark, tables.staging, merged[first : first + _BATCHES_IN_ONE_DELETE], older_than)
    return OldBatches(len(merged), tuple(sorted(row["_batch_id"] for row in old if not row["is_merged"])))


def _old_batches(tables: Tables, older_than: datetime) -> str:
    """SQL: each batch of which all was staged before that time, and whether each of its files was merged since.

    The log has a row for each file that was merged. What another batch merged before this one was staged does not
    count: this one may be to fill a table anew. Its own merge counts whenever it was, for it may be staged again later.
    """
    feed = tables.target.rpartition(".")[2]
    return f"""
        WITH files AS (
            SELECT _batch_id, _source_file, _generation, max({_STAGED_AT}) AS staged_at
            FROM {quoted_table(tables.staging)} GROUP BY ALL
        ), judged AS (
            SELECT f._batch_id, f.staged_at,
                coalesce(bool_or(l.batch_id = f._batch_id OR l.merged_at >= f.staged_at), false) AS is_merged
            FROM files AS f LEFT JOIN {quoted_table(tables.log)} AS l
                ON l.feed = {sql_string(feed)} AND l.object = f._source_file AND l.generation = f._generation
            GROUP BY f._batch_id, f._source_file, f._generation, f.staged_at
        )
        SELECT _batch_id, bool_and(is_merged) AS is_merged FROM judged
        GROUP BY _batch_id HAVING max(staged_at) < {_timestamp(older_than)}
    """  # noqa: S608 - every name and value in it is quoted


def _drop(spark: SparkSession, staging: str, batches: Sequence[str], older_than: datetime) -> None:
    """Delete what these batches have that old: one that is staged again at this moment keeps its new rows."""
    named = ", ".join(map(sql_string, batches))
    statement = (
        f"DELETE FROM {quoted_table(staging)} WHERE _batch_id IN ({named}) AND {_STAGED_AT} < {_timestamp(older_than)}"  # noqa: S608 - quoted
    )
    repeat_on_conflict(f"dropping old batches of {staging}", lambda: spark.sql(statement).collect())


def _timestamp(time: datetime) -> str:
    """SQL: the time, in a session whose time zone is UTC."""
    return f"TIMESTAMP '{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
