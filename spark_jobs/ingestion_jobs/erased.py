"""Keys that are not loaded any more, because the person behind them was erased: `<feed>_erased` lists their hashes.

A row of such a key stays in staging with its place in its file alone, so that the rows of a file still add up, whenever
its batch is staged or merged again. Without the table, which most feeds never have, all this is one look into the
catalog.
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.manifest import Feed, Tables
from ingestion_jobs.names import quoted, quoted_table, sql_string
from ingestion_jobs.tables import table_if_exists

# The one reason of a row in staging whose content is gone.
ERASED = "erased"
# SQL conditions on rows of staging.
IS_ERASED = f"_reasons = array('{ERASED}')"
IS_BAD = f"_reasons <> array('{ERASED}')"
_HASH = "_erased_hash"
# Which row of which file in which batch.
PLACE = ("_batch_id", "_source_file", "_generation", "_record")


def key_hash(feed: Feed, of: str = "") -> str:
    """SQL: the SHA-256 of a row's key in hex, NULL without a whole key. `of` is `t.` for the columns of a table `t`.

    Of the feed's name and the typed values as text, each behind its length and a colon: no two keys give the same text,
    and no engine has an escape of its own in it, as it might have in JSON. The session's time zone must be UTC.
    """
    values = [f"CAST({of}{quoted(name)} AS STRING)" for name in feed.key]
    parts = [f"CAST(length({value}) AS STRING), ':', {value}" for value in (sql_string(feed.name), *values)]
    return f"sha2(concat({', '.join(parts)}), 256)"


def erased_keys(spark: SparkSession, tables: Tables) -> DataFrame | None:
    """The hashes of the feed's erased keys, each once; None if nobody was erased yet."""
    listed = table_if_exists(spark, tables.erased)
    return None if listed is None else listed.select(sf.col("key_hash").alias(_HASH)).distinct()


def left_empty(rows: DataFrame, feed: Feed, keys: DataFrame) -> DataFrame:
    """The rows, those of these keys without all but their place in their file."""
    marked = rows.join(sf.broadcast(keys), sf.expr(key_hash(feed)) == sf.col(_HASH), "left")
    is_erased = sf.col(_HASH).isNotNull()
    emptied = {name: sf.when(~is_erased, sf.col(quoted(name))) for name in _content(rows)}
    emptied["_reasons"] = sf.when(is_erased, sf.array(sf.lit(ERASED))).otherwise(sf.col("_reasons"))
    return marked.select(*(emptied.get(name, sf.col(quoted(name))).alias(name) for name in rows.columns))


def empty_staged(spark: SparkSession, feed: Feed, tables: Tables, batch: str = "true") -> int:
    """Leave rows of erased keys in staging empty, those of one batch or of all; returns how many there were.

    They may have been staged before the key was erased, or by a job that had looked at the list before.
    `batch` is an SQL condition on the rows.
    """
    hashes = f"SELECT DISTINCT key_hash AS {_HASH} FROM {quoted_table(tables.erased)}"  # noqa: S608 - quoted
    return empty_matching(spark, tables, f"({hashes})", f"{batch} AND {key_hash(feed, 't.')} = s.{_HASH}")


def empty_matching(spark: SparkSession, tables: Tables, source: str, condition: str) -> int:
    """Leave the staged rows `t` that match a row `s` of the source empty; returns how many there were.

    By a MERGE, as Delta keeps the text of each condition in the table's log: no key may stand in it.
    """
    content = _content(spark.table(quoted_table(tables.staging)))
    emptied = ", ".join(f"t.{quoted(name)} = NULL" for name in content)
    statement = f"""
        MERGE INTO {quoted_table(tables.staging)} AS t USING {source} AS s ON {condition}
        WHEN MATCHED THEN UPDATE SET {emptied}, t._reasons = array('{ERASED}')
    """
    return repeat_on_conflict(
        f"erasing in {tables.staging}", lambda: spark.sql(statement).collect()[0]["num_updated_rows"]
    )


def drop_quarantined(spark: SparkSession, tables: Tables, batch: str = "true") -> int:
    """Delete the quarantined rows whose staged row was left empty, of one batch or of all; returns how many."""
    of_erased = f"SELECT DISTINCT {', '.join(PLACE)} FROM {quoted_table(tables.staging)} WHERE {batch} AND {IS_ERASED}"  # noqa: S608 - quoted
    return drop_places(spark, tables, f"({of_erased})")


def drop_places(spark: SparkSession, tables: Tables, source: str) -> int:
    """Delete the quarantined rows that are at a place of the source; returns how many."""
    same_place = " AND ".join(f"q.{name} = s.{name}" for name in PLACE)
    statement = f"""
        MERGE INTO {quoted_table(tables.quarantine)} AS q USING {source} AS s ON {same_place} WHEN MATCHED THEN DELETE
    """
    return repeat_on_conflict(
        f"erasing in {tables.quarantine}", lambda: spark.sql(statement).collect()[0]["num_deleted_rows"]
    )


def _content(staged: DataFrame) -> list[str]:
    """The columns that hold what a file says, those included that the feed once had and has no more."""
    return [name for name in staged.columns if name not in (*PLACE, "_delivered_at", "_reasons", "_staged_at")]
