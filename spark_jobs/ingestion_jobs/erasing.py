"""The erase job: all rows of some keys out of a feed's tables for good, and the keys out of every later load.

First the list of erased keys grows, so that no load that begins from then on brings a row back; then the rows go; then
the files that hold them. Each step may be repeated: a later run finishes what retentions and running loads have left.

Keys are handed to Spark as data, never in the text of a statement or as literals: Delta keeps the conditions of each
commit in the table's log, Databricks the text and the plan of each query.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.encodings import decoded, read_as
from ingestion_jobs.erased import PLACE, drop_places, drop_quarantined, empty_matching, empty_staged, key_hash
from ingestion_jobs.erasure import read_erasure, read_keys, texts_of
from ingestion_jobs.manifest import Feed, Tables
from ingestion_jobs.names import quoted, quoted_table
from ingestion_jobs.rows import typed_value
from ingestion_jobs.session import settle
from ingestion_jobs.tables import ensure_erased_table, table_if_exists
from ingestion_jobs.upkeep import purge, vacuum

# Views of the session.
_KEYS, _PATTERNS, _PLACES = "_erased_keys", "_erased_patterns", "_erased_places"
# Delta's own, where a table does not say.
_RETENTIONS = {
    "delta.deletedFileRetentionDuration": "interval 1 week",
    "delta.logRetentionDuration": "interval 30 days",
}


def erase(spark: SparkSession, request_uri: str) -> dict[str, Any]:
    """Erase the keys of a request, and whatever has come of keys that were erased before; returns counts.

    `retention` is how long a table keeps files that rows were taken from, and its log; `archived_files` are those that
    hold a key still. Raises IngestionError, with nothing erased, if the request or its list is not as agreed.
    """
    settle(spark)
    erasure = read_erasure(spark, request_uri)
    keys = read_keys(spark, erasure)
    feed, tables = erasure.feed, erasure.tables
    ensure_erased_table(spark, tables)
    new = _list(spark, tables, set(keys.values()))
    there = _tables_there(spark, tables)
    # All patterns are one row: a row that several keys are found in may match one row of a MERGE's source alone.
    patterns = [([texts_of(key, feed) for key in keys],)]
    spark.createDataFrame(patterns, "patterns array<array<string>>").createOrReplaceTempView(_PATTERNS)
    rows = {f"rows_{role}": 0 for role in ("staging", "quarantine", "target")}
    if "staging" in there and "quarantine" in there:  # stage creates both
        rows["rows_staging"] = _empty_staging(spark, feed, tables)
        rows["rows_quarantine"] = _empty_quarantine(spark, feed, tables)
    if "target" in there:
        rows["rows_target"] = _delete_from_target(spark, feed, tables)
    for table in there.values():
        _rewrite_files(spark, table)
    retention = {role: _retention(spark, table) for role, table in there.items()}
    archived = _archived(spark, feed, erasure.archive) if keys and erasure.archive else []
    counts = {"keys": len(set(keys.values())), "keys_new": new, **rows}
    result = {"step": "erase", "batch_id": erasure.erasure_id, **counts, "retention": retention}
    return result | {"archived_files": archived}


def _tables_there(spark: SparkSession, tables: Tables) -> dict[str, str]:
    """The feed's tables that there are: one that has loaded nothing yet has none."""
    roles = {"staging": tables.staging, "quarantine": tables.quarantine, "target": tables.target}
    return {role: table for role, table in roles.items() if table_if_exists(spark, table) is not None}


def _list(spark: SparkSession, tables: Tables, hashes: set[str]) -> int:
    """Add keys to the list; returns how many were not on it."""
    if not hashes:
        return 0
    now = datetime.now(UTC)
    listed = [(text, now) for text in sorted(hashes)]
    spark.createDataFrame(listed, "key_hash string, erased_at timestamp").createOrReplaceTempView(_KEYS)
    statement = f"""
        MERGE INTO {quoted_table(tables.erased)} AS t USING {_KEYS} AS s ON t.key_hash = s.key_hash
        WHEN NOT MATCHED THEN INSERT (key_hash, erased_at) VALUES (s.key_hash, s.erased_at)
    """  # noqa: S608 - quoted
    return repeat_on_conflict(
        f"writing {tables.erased}", lambda: spark.sql(statement).collect()[0]["num_inserted_rows"]
    )


def _empty_staging(spark: SparkSession, feed: Feed, tables: Tables) -> int:
    """Leave the rows of erased keys empty, and those that cannot be read and in whose text a key of the list stands."""
    no_key = " OR ".join(f"t.{quoted(name)} IS NULL" for name in feed.key)
    unreadable = f"({no_key} OR {_is_broken('t._reasons')}) AND {_found_in('t._raw', 's.patterns')}"
    return empty_staged(spark, feed, tables) + empty_matching(spark, tables, _PATTERNS, unreadable)


def _empty_quarantine(spark: SparkSession, feed: Feed, tables: Tables) -> int:
    """Delete the rows whose staged row was left empty, and by their own text those that staging does not hold any more.

    A batch may be staged anew from then on without them.
    """
    dropped = drop_quarantined(spark, tables)
    erased = spark.table(quoted_table(tables.erased)).select("key_hash").distinct()
    rows = _keyed(spark, feed, tables).crossJoin(sf.broadcast(spark.table(_PATTERNS)))
    marked = rows.join(sf.broadcast(erased), sf.col("_hash") == sf.col("key_hash"), "left")
    unreadable = f"(_hash IS NULL OR {_is_broken('_reasons')}) AND {_found_in('_raw', 'patterns')}"
    found = marked.where(f"key_hash IS NOT NULL OR ({unreadable})").select(*PLACE).distinct()
    found.createOrReplaceTempView(_PLACES)
    return dropped + drop_places(spark, tables, _PLACES)


def _is_broken(reasons: str) -> str:
    """SQL: whether the row has the text of a whole record or of several, of which its key may be none."""
    return f"exists({reasons}, reason -> reason LIKE 'record: %')"


def _found_in(text: str, patterns: str) -> str:
    """SQL: whether all values of one of the keys stand in the text."""
    return f"exists({patterns}, of_key -> forall(of_key, pattern -> {text} RLIKE pattern))"


def _keyed(spark: SparkSession, feed: Feed, tables: Tables) -> DataFrame:
    """The quarantined rows with the hash of their key, typed from their text as `stage` would; NULL if it cannot be."""
    columns = [feed.column(name) for name in feed.key]
    schema = ", ".join(f"{quoted(column.name)} STRING" for column in columns)
    # Named as no column of a feed can be.
    kept = (*PLACE, "_reasons", "_raw")
    named = [sf.col("reasons").alias("_reasons"), sf.col("raw").alias("_raw")]
    rows = spark.table(quoted_table(tables.quarantine)).select(
        *PLACE, *named, sf.from_json("raw", schema).alias("_key")
    )
    texts = rows.select(*kept, *(sf.col(f"_key.{quoted(column.name)}").alias(column.name) for column in columns))
    typed = texts.select(*kept, *(typed_value(column, feed).alias(column.name) for column in columns))
    return typed.select(*kept, sf.expr(key_hash(feed)).alias("_hash"))


def _delete_from_target(spark: SparkSession, feed: Feed, tables: Tables) -> int:
    statement = f"""
        MERGE INTO {quoted_table(tables.target)} AS t
        USING (SELECT DISTINCT key_hash FROM {quoted_table(tables.erased)}) AS s
        ON {key_hash(feed, "t.")} = s.key_hash WHEN MATCHED THEN DELETE
    """  # noqa: S608 - quoted
    return repeat_on_conflict(
        f"erasing in {tables.target}", lambda: spark.sql(statement).collect()[0]["num_deleted_rows"]
    )


def _rewrite_files(spark: SparkSession, table: str) -> None:
    """Rewrite files of which rows are only marked as deleted, and remove those that the table's retention lets go."""
    repeat_on_conflict(f"rewriting {table}", lambda: purge(spark, table))
    repeat_on_conflict(f"vacuuming {table}", lambda: vacuum(spark, table))


def _retention(spark: SparkSession, table: str) -> dict[str, str]:
    rows = spark.sql(f"SHOW TBLPROPERTIES {quoted_table(table)}").collect()
    found = {row["key"]: row["value"] for row in rows}
    files, log = (found.get(name, default) for name, default in _RETENTIONS.items())
    return {"files": files, "log": log}


def _archived(spark: SparkSession, feed: Feed, archive: str) -> list[str]:
    """The files below this URI with a line in which a key stands as the list has it; those of UTF-16 as a whole."""
    encoding = feed.csv.encoding
    options = {"recursiveFileLookup": "true", "wholetext": str(encoding.startswith("utf-16")).lower()}
    try:
        files = spark.read.options(**options).text(archive).select("value", sf.col("_metadata.file_path").alias("file"))
        text = sf.col("value")
        if encoding != "utf-8":
            text = decoded(sf.decode(text.cast("binary"), read_as(encoding)), encoding)
        lines = files.select("file", text.alias("text")).crossJoin(sf.broadcast(spark.table(_PATTERNS)))
        found = lines.where(_found_in("text", "patterns")).select("file").distinct().collect()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":  # nothing was archived yet
            return []
        raise
    return sorted(unquote(row["file"]) for row in found)
