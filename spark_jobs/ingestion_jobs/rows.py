"""Records of text become typed rows, each with the reasons why it is bad, if it is."""

from functools import reduce
from operator import or_

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Column, Feed
from ingestion_jobs.names import quoted
from ingestion_jobs.reading import CORRUPT
from ingestion_jobs.runaway import swallowed_lines
from ingestion_jobs.typing_rules import trimmed, typed

LINEAGE = ("_delivered_at", "_source_file", "_generation", "_record")
HEADER_DIFFERS = "header: not the one in the manifest"
BROKEN_RECORD = "record: wrong number of fields or broken quotes"
_NOT_UTF8 = "\ufffd"  # what a decoder puts in place of bytes that are no UTF-8
# Text without any of these was cut as its producer meant it.
_ODD_IN_TEXT = ('"', "\n", _NOT_UTF8)


def typed_rows(records: DataFrame, feed: Feed, header: tuple[str, ...]) -> DataFrame:
    """The business columns typed, the lineage, and for a bad row `_reasons` and `_raw`, NULL for a good one.

    Nearly all rows are good, which a cheap look tells; the reasons are looked for in the odd ones alone. A lambda keeps
    them apart: Spark evaluates it for the elements of its array only, and an array of no odd row is NULL.
    """
    values = [_value(column, feed).alias(_named(column.name)) for column in feed.columns]
    names = [column.name for column in feed.columns]
    fields = [quoted(name) for name in (*names, *map(_named, names), CORRUPT, "_record", "_delivered_at")]
    row = sf.struct(*fields)
    judged = sf.transform(sf.when(_is_odd(feed), sf.array(row)), lambda row: _judged(row, feed, header))
    bad = sf.filter(judged, lambda row: sf.size(row["reasons"]) > 0)
    rows = records.select("*", *values).withColumn("_bad", sf.get(bad, sf.lit(0)))
    return rows.select(
        *(sf.col(quoted(_named(name))).alias(name) for name in names),
        *LINEAGE,
        sf.col("_bad.reasons").alias("_reasons"),
        sf.col("_bad.raw").alias("_raw"),
    )


def _named(column: str) -> str:
    """Where the typed value of a column stands beside its text."""
    return f"_typed_{column}"


def _value(column: Column, feed: Feed) -> SparkColumn:
    text = sf.col(quoted(column.name))
    is_key_text = column.type == "string" and column.name in _needed(feed)
    return typed(trimmed(text) if is_key_text else text, column, feed.time_zone)


def _needed(feed: Feed) -> tuple[str, ...]:
    return (*feed.key, feed.order_by)


def _is_odd(feed: Feed) -> SparkColumn:
    """Whether a row may be bad: true for every bad one, and for a few good ones."""
    signs = [sf.col(CORRUPT).isNotNull(), sf.col("_record") == 0]
    for column in feed.columns:
        text, value = sf.col(quoted(column.name)), sf.col(quoted(_named(column.name)))
        if column.type == "string":
            signs += [text.contains(odd) for odd in _ODD_IN_TEXT]
        else:
            signs.append(text.isNotNull() & value.isNull())
        if column.name in _needed(feed):
            signs.append(value.isNull())
        if _has_latest(column, feed):
            signs.append(value > _latest(sf.col("_delivered_at"), feed))
    return reduce(or_, signs)


def _has_latest(column: Column, feed: Feed) -> bool:
    return column.name == feed.order_by and column.type in ("date", "timestamp")


def _latest(delivered_at: SparkColumn, feed: Feed) -> SparkColumn:
    return delivered_at + sf.make_dt_interval(secs=sf.lit(feed.max_future_skew_seconds))


def _judged(row: SparkColumn, feed: Feed, header: tuple[str, ...]) -> SparkColumn:
    """Struct of `reasons`, every reason why a row is bad, as `<column>: <what>`, and `raw`, its text.

    The fields of a broken record are not judged one by one: they are shifted, or belong to several rows.
    """
    swallowed = swallowed_lines(feed, header, row, row[CORRUPT])
    broken = sf.array_compact(
        sf.array(
            sf.when(row[CORRUPT].isNotNull(), BROKEN_RECORD),
            sf.when(swallowed > 0, sf.format_string("record: an unclosed quote took in %d more lines", swallowed)),
        )
    )
    of_columns = sf.array_compact(sf.array(*(why for column in feed.columns for why in _reasons(column, row, feed))))
    reasons = (
        sf.when(row["_record"] == 0, sf.array(sf.lit(HEADER_DIFFERS)))
        .when(sf.size(broken) > 0, broken)
        .otherwise(of_columns)
    )
    texts = sf.struct(*(row[column.name].alias(column.name) for column in feed.columns))
    raw = sf.coalesce(row[CORRUPT], sf.to_json(texts, {"ignoreNullFields": "false"}))
    return sf.struct(reasons.alias("reasons"), raw.alias("raw"))


def _reasons(column: Column, row: SparkColumn, feed: Feed) -> list[SparkColumn]:
    """One expression per rule: the reason, or NULL where the rule holds."""
    text, value = row[column.name], row[_named(column.name)]
    reasons = [sf.when(text.contains(_NOT_UTF8), f"{column.name}: not UTF-8")]
    if column.name in _needed(feed):
        reasons.append(sf.when(trimmed(text).isNull(), f"{column.name}: missing"))
        # A stray quote beside a delimiter becomes part of the field: the row would be loaded under a key of its own.
        reasons.append(sf.when(trimmed(text).rlike('^"|"$'), f"{column.name}: a stray quote"))
    if column.type != "string":
        reasons.append(sf.when(trimmed(text).isNotNull() & value.isNull(), f"{column.name}: not a {column.type}"))
    if _has_latest(column, feed):
        reasons.append(sf.when(value > _latest(row["_delivered_at"], feed), f"{column.name}: in the future"))
    return reasons
