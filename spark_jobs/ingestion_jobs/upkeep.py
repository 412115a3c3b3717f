"""Upkeep of one table: small files compacted and clustered, marked rows purged, old files removed.

None of it changes a row. A load that rewrites the same files at the same time goes first: it is repeated when it loses,
and upkeep is not urgent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pyspark.sql import Row, SparkSession

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.errors import ConflictError
from ingestion_jobs.names import quoted_table, sql_string

# Each takes the work of a load that goes on meanwhile, so not many.
_ATTEMPTS = 3
# A tenth of the rows is read in vain: then it pays to rewrite their files, which may be all of the table's.
_MANY = 0.1
# The history has a file for each; what is older was marked long ago, and by a compaction since then mostly removed.
_RECENT_COMMITS = 1000
# Metrics of commits, of MERGE with `Target` in their names: files that got a vector of marked rows, or lost theirs.
_VECTORS_ADDED = ("numDeletionVectorsAdded", "numTargetDeletionVectorsAdded")
_VECTORS_REMOVED = ("numDeletionVectorsRemoved", "numTargetDeletionVectorsRemoved")
_ROWS_MARKED = ("numDeletedRows", "numUpdatedRows", "numTargetRowsDeleted", "numTargetRowsUpdated")


@dataclass(frozen=True)
class Size:
    """The files of a table's newest version."""

    files: int
    bytes: int


def size(spark: SparkSession, table: str) -> Size:
    """Number and bytes of the files that the table's newest version has."""
    detail = spark.sql(f"DESCRIBE DETAIL {quoted_table(table)}").collect()[0]
    return Size(detail["numFiles"], detail["sizeInBytes"])


def is_left_to_databricks(spark: SparkSession, table: str) -> bool:
    """Whether predictive optimization compacts and vacuums the table: it may, if managed by Unity Catalog.

    Elsewhere than on Databricks no table says so.
    """
    rows = spark.sql(f"DESCRIBE TABLE EXTENDED {quoted_table(table)}").collect()
    facts = {row["col_name"]: row["data_type"] for row in rows}  # columns first, so the table's own facts win
    # Such as `ENABLE (inherited from METASTORE main)`, also where the schema says it of a table that is external.
    return facts.get("Type") == "MANAGED" and (facts.get("Predictive Optimization") or "").startswith("ENABLE")


def compact(spark: SparkSession, table: str) -> bool:
    """Make few files of many, clustered where the table is. False if loads were faster every time."""
    return _unless_in_the_way(table, lambda: spark.sql(f"OPTIMIZE {quoted_table(table)}").collect())


def purge_if_it_pays(spark: SparkSession, table: str) -> bool:
    """Rewrite the files with marked rows if these are many, and `compact` has left some. False if loads were faster.

    Rows that are updated or deleted are only marked in their file, and read with it ever after. To compact a table
    rewrites the files it takes, but not those that are large or clustered already.
    """
    if not has_many_marked_rows(spark, table):
        return True
    return _unless_in_the_way(table, lambda: purge(spark, table))


def purge(spark: SparkSession, table: str) -> None:
    """Rewrite all files with marked rows."""
    name = quoted_table(table)
    spark.sql(f"REORG TABLE {name} APPLY (PURGE)").collect()
    if not _is_clustered(spark, table) or not _is_marked_since_rewritten(spark, table):
        return
    # Delta outside of Databricks passes over the files of a table that is clustered as a whole, here as in OPTIMIZE
    # (ZCube.filterOutSingleZCubes). With one file beside them it is not: a row that is updated to what it is.
    place = spark.sql(f"SELECT _source_file, _generation, _record FROM {name} LIMIT 1").collect()  # noqa: S608 - quoted
    for row in place:  # none of an empty table, which has no files either
        where = (
            f"_source_file = {sql_string(row['_source_file'])} AND _generation = {row['_generation']} "
            f"AND _record = {row['_record']}"
        )
        spark.sql(f"UPDATE {name} SET _record = _record WHERE {where}").collect()  # noqa: S608 - quoted
        spark.sql(f"OPTIMIZE {name}").collect()


def _is_clustered(spark: SparkSession, table: str) -> bool:
    detail = spark.sql(f"DESCRIBE DETAIL {quoted_table(table)}").collect()[0].asDict()
    return bool(detail.get("clusteringColumns"))


def _is_marked_since_rewritten(spark: SparkSession, table: str) -> bool:
    """Whether rows were marked since files were rewritten last."""
    since = takewhile(lambda commit: commit["operation"] not in ("OPTIMIZE", "REORG"), _commits(spark, table))
    return _total(since, _VECTORS_ADDED) > 0


def has_many_marked_rows(spark: SparkSession, table: str) -> bool:
    """Whether so many were marked since the last purge, as the table's history counts them, and some are left."""
    since = list(takewhile(lambda commit: commit["operation"] != "REORG", _commits(spark, table)))
    if _total(since, _VECTORS_ADDED) <= _total(since, _VECTORS_REMOVED):
        return False
    return _total(since, _ROWS_MARKED) > _MANY * spark.table(quoted_table(table)).count()


def _commits(spark: SparkSession, table: str) -> list[Row]:
    """Operation and metrics of each, the newest first."""
    history = spark.sql(f"DESCRIBE HISTORY {quoted_table(table)} LIMIT {_RECENT_COMMITS}")
    return history.select("operation", "operationMetrics").collect()


def _total(commits: Iterable[Row], metrics: Sequence[str]) -> int:
    return sum(int((commit["operationMetrics"] or {}).get(name, 0)) for commit in commits for name in metrics)


def vacuum(spark: SparkSession, table: str) -> None:
    """Remove files that no version within the table's retention has, by default those older than 7 days.

    Without RETAIN: a shorter retention takes files from readers and jobs under way.
    """
    spark.sql(f"VACUUM {quoted_table(table)}").collect()


def _unless_in_the_way(table: str, action: Callable[[], object]) -> bool:
    try:
        repeat_on_conflict(f"upkeep of {table}", action, attempts=_ATTEMPTS)
    except ConflictError:
        return False
    return True
