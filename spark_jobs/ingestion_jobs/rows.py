"""Records of text become typed rows, each with the reasons why it is bad, if it is."""

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Column, Feed
from ingestion_jobs.names import quoted
from ingestion_jobs.reading import CORRUPT
from ingestion_jobs.typing_rules import trimmed, typed

LINEAGE = ("_source_file", "_generation", "_record")
HEADER_DIFFERS = "header: not the one in the manifest"
BROKEN_RECORD = "record: wrong number of fields or broken quotes"
_NOT_UTF8 = "\ufffd"  # what a decoder puts in place of bytes that are no UTF-8


def typed_rows(records: DataFrame, feed: Feed) -> DataFrame:
    """The business columns typed, the lineage, and for a bad row `_reasons` and `_raw`, NULL for a good one."""
    texts = sf.struct(*(sf.col(quoted(column.name)) for column in feed.columns))
    values = [_value(column, feed).alias(column.name) for column in feed.columns]
    rows = records.select(texts.alias("_text"), *values, *LINEAGE, CORRUPT, "_swallowed", "_delivered_at")
    rows = rows.withColumn("_reasons", _reasons(feed))
    raw = sf.coalesce(sf.col(CORRUPT), sf.to_json("_text", {"ignoreNullFields": "false"}))
    return rows.select(
        *(quoted(column.name) for column in feed.columns),
        *LINEAGE,
        sf.when(sf.size("_reasons") > 0, sf.col("_reasons")).alias("_reasons"),
        sf.when(sf.size("_reasons") > 0, raw).alias("_raw"),
    )


def _value(column: Column, feed: Feed) -> SparkColumn:
    text = sf.col(quoted(column.name))
    is_free_text = column.type == "string" and column.name not in (*feed.key, feed.order_by)
    return typed(text if is_free_text else trimmed(text), column, feed.time_zone)


def _reasons(feed: Feed) -> SparkColumn:
    """Every reason why a row is bad, as `<column>: <what>`.

    The fields of a broken record are not judged one by one: they are shifted, or belong to several rows.
    """
    swallowed = sf.col("_swallowed")
    broken = sf.array_compact(
        sf.array(
            sf.when(sf.col(CORRUPT).isNotNull(), BROKEN_RECORD),
            sf.when(swallowed > 0, sf.format_string("record: an unclosed quote took in %d more lines", swallowed)),
        )
    )
    of_columns = [reason for column in feed.columns for reason in _column_reasons(column, feed)]
    return (
        sf.when(sf.col("_record") == 0, sf.array(sf.lit(HEADER_DIFFERS)))
        .when(sf.size(broken) > 0, broken)
        .otherwise(sf.array_compact(sf.array(*of_columns)))
    )


def _column_reasons(column: Column, feed: Feed) -> list[SparkColumn]:
    """One expression per rule: the reason, or NULL where the rule holds."""
    text, value = sf.col("_text")[column.name], sf.col(quoted(column.name))
    reasons = [sf.when(text.contains(_NOT_UTF8), f"{column.name}: not UTF-8")]
    if column.name in (*feed.key, feed.order_by):
        reasons.append(sf.when(trimmed(text).isNull(), f"{column.name}: missing"))
        # A stray quote beside a delimiter becomes part of the field: the row would be loaded under a key of its own.
        reasons.append(sf.when(trimmed(text).rlike('^"|"$'), f"{column.name}: a stray quote"))
    if column.type != "string":
        reasons.append(sf.when(trimmed(text).isNotNull() & value.isNull(), f"{column.name}: not a {column.type}"))
    if column.name == feed.order_by and column.type in ("date", "timestamp"):
        latest = sf.col("_delivered_at") + sf.make_dt_interval(secs=sf.lit(feed.max_future_skew_seconds))
        reasons.append(sf.when(value > latest, f"{column.name}: in the future"))
    return reasons
