"""Records of text become typed rows, each with the reasons why it is bad, if it is."""

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from ingestion_jobs.encodings import UNDECODABLE
from ingestion_jobs.expressions import any_of
from ingestion_jobs.manifest import Column, Feed
from ingestion_jobs.names import quoted
from ingestion_jobs.reading import CORRUPT, Layout
from ingestion_jobs.runaway import swallowed_lines
from ingestion_jobs.typing_rules import BLANKS, INVISIBLE, is_out_of_range, trimmed, typed, without_nulls

LINEAGE = ("_delivered_at", "_source_file", "_generation", "_record")
HEADER_DIFFERS = "header: not the one in the manifest"
BROKEN_RECORD = "record: wrong number of fields or broken quotes"


def typed_rows(records: DataFrame, feed: Feed, layout: Layout) -> DataFrame:
    """The business columns typed, the lineage, and for a bad row `_reasons` and `_raw`, NULL for a good one.

    Nearly all rows are good, which a cheap look tells; the reasons are looked for in the odd ones alone. A lambda keeps
    them apart: Spark evaluates it for the elements of its array only, and an array of no odd row is NULL.
    """
    values = [typed_value(column, feed).alias(_named(column.name)) for column in feed.columns]
    names = [column.name for column in feed.columns]
    texts = dict.fromkeys((*names, *layout.field_names))
    row = sf.struct(*(quoted(name) for name in (*texts, *map(_named, names), CORRUPT, "_record", "_delivered_at")))
    judged = sf.transform(sf.when(_is_odd(feed), sf.array(row)), lambda row: _judged(row, feed, layout))
    bad = sf.filter(judged, lambda row: sf.size(row["reasons"]) > 0)
    rows = records.select("*", *values).withColumn("_bad", sf.get(bad, sf.lit(0)))
    return rows.select(
        *(_readable_value(column).alias(column.name) for column in feed.columns),
        *LINEAGE,
        sf.col("_bad.reasons").alias("_reasons"),
        sf.col("_bad.raw").alias("_raw"),
    )


def _named(column: str) -> str:
    """Where the typed value of a column stands beside its text."""
    return f"_typed_{column}"


def typed_value(column: Column, feed: Feed) -> SparkColumn:
    """The value of a column whose text stands under its name; NULL if that cannot be read."""
    text = without_nulls(sf.col(quoted(column.name)), column)
    is_key_text = column.type == "string" and column.name in _needed(feed)
    return typed(trimmed(text) if is_key_text else text, column, feed.time_zone)


def _readable_value(column: Column) -> SparkColumn:
    """The value, or NULL instead of one for which a row is bad and which not every reader of staging could read."""
    value = sf.col(quoted(_named(column.name)))
    out_of_range = is_out_of_range(value, column)
    return value if out_of_range is None else sf.when(~out_of_range, value)


def _needed(feed: Feed) -> tuple[str, ...]:
    return (*feed.key, feed.order_by)


def _is_odd(feed: Feed) -> SparkColumn:
    """Whether a row may be bad: true for every bad one, and for a few good ones."""
    signs = [sf.col(CORRUPT).isNotNull(), sf.col("_record") == 0]
    # Text without any of these was cut as its producer meant it.
    odd_in_text = [odd for odd in (feed.csv.quote, "\n", UNDECODABLE) if odd]
    for column in feed.columns:
        text, value = sf.col(quoted(column.name)), sf.col(quoted(_named(column.name)))
        if column.type == "string":
            signs += [text.contains(odd) for odd in odd_in_text]
        else:
            signs.append(without_nulls(text, column).isNotNull() & value.isNull())
        if column.name in _needed(feed):
            signs.append(value.isNull())
            if column.type == "string":
                signs.append(_has_invisible_edge(value))
        if _has_latest(column, feed):
            signs.append(value > _latest(sf.col("_delivered_at"), feed))
        if (out_of_range := is_out_of_range(value, column)) is not None:
            signs.append(out_of_range)
    return any_of(signs)


def _has_invisible_edge(value: SparkColumn) -> SparkColumn:
    return sf.btrim(value, sf.lit(INVISIBLE)) != value


def _has_latest(column: Column, feed: Feed) -> bool:
    return column.name == feed.order_by and column.type in ("date", "timestamp")


def _latest(delivered_at: SparkColumn, feed: Feed) -> SparkColumn:
    return delivered_at + sf.make_dt_interval(secs=sf.lit(feed.max_future_skew_seconds))


def _judged(row: SparkColumn, feed: Feed, layout: Layout) -> SparkColumn:
    """Struct of `reasons`, every reason why a row is bad, as `<column>: <what>`, and `raw`, its text.

    The fields of a broken record are not judged one by one: they are shifted, or belong to several rows.
    """
    swallowed = swallowed_lines(feed, layout.field_names, row, row[CORRUPT])
    broken = sf.array_compact(
        sf.array(
            sf.when(row[CORRUPT].isNotNull(), BROKEN_RECORD),
            sf.when(swallowed > 0, sf.format_string("record: an unclosed quote took in %d more lines", swallowed)),
        )
    )
    facts = sf.array(*(_facts(column, row, feed) for column in feed.columns))
    of_columns = sf.flatten(sf.transform(facts, lambda fact: _reasons(fact, feed)))
    reasons = (
        sf.when(row["_record"] == 0, sf.array(sf.lit(HEADER_DIFFERS)))
        .when(sf.size(broken) > 0, broken)
        .otherwise(of_columns)
    )
    texts = sf.struct(*(row[column.name].alias(column.name) for column in feed.columns))
    raw = sf.coalesce(row[CORRUPT], sf.to_json(texts, {"ignoreNullFields": "false"}))
    return sf.struct(reasons.alias("reasons"), raw.alias("raw"))


def _facts(column: Column, row: SparkColumn, feed: Feed) -> SparkColumn:
    """What the reasons of a column are told by: a struct, as the rules then stand in the plan once for all columns."""
    written, value = row[column.name], row[_named(column.name)]
    no, out_of_range = sf.lit(False), is_out_of_range(value, column)
    is_unreadable = no if column.type == "string" else value.isNull()
    is_ahead = value > _latest(row["_delivered_at"], feed) if _has_latest(column, feed) else no
    return sf.struct(
        sf.lit(column.name).alias("name"),
        sf.lit(column.type).alias("type"),
        sf.lit(column.name in _needed(feed)).alias("is_needed"),
        written.alias("written"),
        without_nulls(written, column).alias("text"),
        (is_unreadable if out_of_range is None else is_unreadable | out_of_range).alias("is_unreadable"),
        is_ahead.alias("is_ahead"),
    )


def _reasons(fact: SparkColumn, feed: Feed) -> SparkColumn:
    """Array of the reasons why a row is bad for a column's sake, by rule."""
    encoding = feed.csv.encoding.upper() if feed.csv.encoding == "utf-8" else feed.csv.encoding
    is_needed, is_string, text = fact["is_needed"], fact["type"] == "string", trimmed(fact["text"])
    rules = [
        (fact["written"].contains(UNDECODABLE), f"not {encoding}"),
        (is_needed & text.isNull(), "missing"),
        *_rules_of_quotes(is_needed, is_string, fact["text"], feed),
        (is_needed & is_string & _has_invisible_edge(text), "an invisible character at its edge"),
        (text.isNotNull() & fact["is_unreadable"], sf.concat(sf.lit("not a "), fact["type"])),
        (fact["is_ahead"], "in the future"),
    ]
    reasons = (
        sf.when(is_broken, sf.concat(fact["name"], sf.lit(": "), sf.lit(what) if isinstance(what, str) else what))
        for is_broken, what in rules
    )
    return sf.array_compact(sf.array(*reasons))


def _rules_of_quotes(
    is_needed: SparkColumn, is_string: SparkColumn, text: SparkColumn, feed: Feed
) -> list[tuple[SparkColumn, str]]:
    """Quotes that did not quote: the parser keeps them in the text when they are not written as the feed says."""
    quote = feed.csv.quote
    if not quote:
        return []
    # One beside a delimiter becomes part of the field: the row would be loaded under another key.
    at_an_edge = rf"^\Q{quote}\E|\Q{quote}\E$"
    after_a_blank = rf"(?s)^[{BLANKS}]+\Q{quote}\E.*\Q{quote}\E[{BLANKS}]*$"
    is_free_text = ~is_needed & is_string
    rules = [
        (is_needed & trimmed(text).rlike(at_an_edge), "a stray quote"),
        (is_free_text & text.rlike(after_a_blank), "a blank before its quote"),
    ]
    if feed.csv.escape == quote:
        has_escaped = text.startswith(quote) & text.contains(f"\\{quote}")
        rules.append((is_free_text & has_escaped, "a quote after a backslash"))
    return rules
