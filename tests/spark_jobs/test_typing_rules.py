"""Texts and the values they are, held against Python's own reading of the same format."""

import contextlib
import sys
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from ingestion.pipeline import columns
from ingestion_jobs.manifest import Column
from ingestion_jobs.session import settle
from ingestion_jobs.typing_rules import BLANKS, is_out_of_range, typed
from tests.ingestion.pipeline.formats import READABLE, UNREADABLE

DAYS = [
    *("2026-11-20", "2024-02-29", "2026-02-29", "2026-13-01", "2026-00-10", "2026-11-31", "0001-01-01", "9999-12-31"),
    # Of these a cast reads most.
    *("2026-11-1T", "2026-11-20T", "2026-1-05", "2026-11", "2026", "+2026-11-20", "20261-1-01", "12026-11-20"),
    *("2026-11-20 09:00:00", "2026-11-20\n", "٢٠٢٦-11-20", "now", "today", "epoch", "", "-"),
]
TIMES = [
    *("2026-11-20 09:00:00", "2026-11-20 23:59:59", "2026-11-20 24:00:00", "2026-11-20 09:60:00"),
    *("2016-12-31 23:59:60", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "1582-10-10 12:00:00"),
    *("2026-11-20 09:00:00.5", "2026-11-20 09:00", "2026-11-20T09:00:00", "2026-11-20 9:00:00", "2026-11-20"),
    *("2026-11-20 09:00:00Z", "2026-11-20 09:00:0", "yesterday", ""),
]
BLANKS_AROUND = ["  {}", "{} ", "\t{}\r", "\u00a0{}"]


def by_python(text: str, pattern: str) -> datetime | None:
    """The value, if the text is written with all its digits, which strptime does not ask for."""
    try:
        value = datetime.strptime(text, pattern).replace(tzinfo=UTC)
    except ValueError:
        return None
    # Of the year 1 strftime writes one digit; isoformat writes four.
    written = value.replace(tzinfo=None).isoformat(" ")[: 10 if pattern == "%Y-%m-%d" else None]
    return value if written == text else None


@pytest.mark.parametrize(
    ("type_", "format_", "pattern", "texts"),
    [
        ("date", "yyyy-MM-dd", "%Y-%m-%d", DAYS),
        ("timestamp", "yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S", TIMES),
    ],
)
def test_dates_and_times_are_what_python_reads(
    spark: SparkSession, type_: str, format_: str, pattern: str, texts: list[str]
) -> None:
    settle(spark)
    expected = {text: by_python(text.strip(), pattern) for text in texts}
    expected |= {form.format(texts[0]): expected[texts[0]] for form in BLANKS_AROUND}
    value = typed(sf.col("text"), Column("c", type_, (format_,), optional=False), "UTC")
    # As text, for Python has no value for what a mistake might give.
    rows = spark.createDataFrame([(text,) for text in expected], "text string").select("text", value.cast("string"))

    found = dict(rows.collect())

    length = 10 if type_ == "date" else 19
    assert found == {text: read and read.isoformat(" ")[:length] for text, read in expected.items()}
    assert [read for read in found.values() if read] != []


def test_times_without_a_zone_are_of_the_feeds_zone(spark: SparkSession) -> None:
    settle(spark)
    column = Column("c", "timestamp", ("yyyy-MM-dd HH:mm:ss",), optional=False)
    texts = spark.createDataFrame([("2026-07-01 12:00:00",), ("2026-01-01 12:00:00",)], "text string")
    values = texts.select(typed(sf.col("text"), column, "Europe/Berlin").cast("string")).collect()
    assert [row[0] for row in values] == ["2026-07-01 10:00:00", "2026-01-01 11:00:00"]


def of(type_: str, *formats: str, **settings: Any) -> Column:
    return Column("c", type_, formats, **settings)


EUROPEAN = {"decimal_separator": ",", "thousands_separator": "."}
SWISS = {"thousands_separator": "\u2019"}
SPACED = {"decimal_separator": ",", "thousands_separator": " "}
ZONED = of("timestamp", "yyyy-MM-dd HH:mm:ss[XXX]")
# (column, text, what is read by hand, None for what is quarantined)
VALUES = [
    # A zone that a text says, and that of the feed, New York, where it says none.
    (ZONED, "2026-07-01 10:00:00", "2026-07-01 14:00:00"),
    (ZONED, "2026-07-01 10:00:00+02:00", "2026-07-01 08:00:00"),
    (ZONED, "2026-07-01 10:00:00Z", "2026-07-01 10:00:00"),
    (of("timestamp", "yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]"), "2026-12-01T10:00:00.500", "2026-12-01 15:00:00.5"),
    # An hour that was left out, and one that was twice.
    (ZONED, "2026-03-08 02:30:00", None),
    (ZONED, "2026-03-08 03:00:00", "2026-03-08 07:00:00"),
    (ZONED, "2026-11-01 01:30:00", "2026-11-01 05:30:00"),
    # A day is what its text says.
    (of("date", "yyyy-MM-dd'T'HH:mm:ssXXX"), "2026-11-18T23:30:00-05:00", "2026-11-18"),
    (of("date", "yyyy-MM-dd'T'HH:mm:ssXXX"), "2026-11-18T00:30:00+14:00", "2026-11-18"),
    (of("date", "yyyy-MM-dd'T'HH:mm:ssXXX"), "2026-11-18", None),
    (of("date", "yyyy-MM-dd[ HH:mm:ss]"), "2026-11-18 23:59:59", "2026-11-18"),
    (of("timestamp", "M/d/yyyy h:mm a"), "7/4/2026 1:05 pm", "2026-07-04 17:05:00"),
    (of("timestamp", "M/d/yyyy h:mm a"), "7/4/2026 13:05 PM", None),
    # Numbers that count from 1970.
    (of("timestamp", "epoch_seconds"), "1795342483", "2026-11-22 10:14:43"),
    (of("timestamp", "epoch_seconds"), "1795342483.25", "2026-11-22 10:14:43.25"),
    (of("timestamp", "epoch_seconds"), "-1", "1969-12-31 23:59:59"),
    (of("timestamp", "epoch_seconds"), "1.7e9", None),
    (of("timestamp", "epoch_milliseconds"), " 1795342483251 ", "2026-11-22 10:14:43.251"),
    (of("timestamp", "epoch_milliseconds"), "x", None),
    (of("timestamp", "epoch_seconds", "yyyy-MM-dd HH:mm:ssXXX"), "2026-11-22 09:34:43Z", "2026-11-22 09:34:43"),
    # What a cast reads and nobody wrote as a number.
    *(
        (of("double"), text, None)
        for text in ("123f", "00123d", "0x1p3", "1e400", "-1e400", "nan", "NaN", "inf", "1,5")
    ),
    *(
        (of("double"), text, value)
        for text, value in [("1.5", "1.5"), (" -2e3", "-2000.0"), (".5", "0.5"), ("7", "7.0")]
    ),
    # Separators.
    (of("decimal(10,2)", **EUROPEAN), "1.234,50", "1234.50"),
    (of("decimal(10,2)", **EUROPEAN), "-1.234.567,5", "-1234567.50"),
    (of("decimal(10,2)", **EUROPEAN), "1234,5", "1234.50"),
    (of("decimal(10,2)", **EUROPEAN), ",5", "0.50"),
    (of("decimal(10,2)", **EUROPEAN), "1.5", None),
    (of("decimal(10,2)", **EUROPEAN), "12.34,5", None),
    (of("decimal(10,2)", **EUROPEAN), "1,234", None),
    (of("decimal(10,2)", **EUROPEAN), ",", None),
    (of("decimal(10,2)", **SWISS), "1\u2019234.5", "1234.50"),
    (of("decimal(10,2)", **SPACED), "1\u202f234 567,5", "1234567.50"),
    (of("bigint", **EUROPEAN), "1.234.567", "1234567"),
    (of("int", **EUROPEAN), "12,0", None),
    (of("double", **EUROPEAN), "1.234,5", "1234.5"),
    (of("decimal(10,2)"), "1,234.50", None),
    (of("decimal(10,2)", thousands_separator=","), "1,234.50", "1234.50"),
]


def test_each_value_is_what_its_text_says(spark: SparkSession) -> None:
    settle(spark)
    rows = [
        spark.createDataFrame([(n, text)], "n int, text string").select(
            "n", typed(sf.col("text"), column, "America/New_York").cast("string").alias("value")
        )
        for n, (column, text, _) in enumerate(VALUES)
    ]
    found = {row["n"]: row["value"] for row in reduce(DataFrame.union, rows).collect()}
    wrong = {n: (found[n], *VALUES[n][1:]) for n in found if found[n] != VALUES[n][2]}
    assert not wrong
    assert len(found) == len(VALUES)


@pytest.mark.parametrize(
    ("type_", "text", "is_out"),
    [
        *(("date", text, True) for text in ("0000-01-01", "0000-12-31", "-0001-01-01", "+10000-01-01")),
        *(("date", text, False) for text in ("0001-01-01", "9999-12-31")),
        *(("timestamp", text, True) for text in ("0000-12-31 23:59:59", "+10000-01-01 00:00:00")),
        *(("timestamp", text, False) for text in ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999")),
    ],
)
def test_years_are_those_that_every_reader_has(spark: SparkSession, type_: str, text: str, is_out: bool) -> None:
    settle(spark)
    out_of_range = is_out_of_range(sf.col("value"), of(type_))
    assert out_of_range is not None
    row = spark.createDataFrame([(text,)], "text string")
    assert row.select(sf.col("text").cast(type_).alias("value")).where(out_of_range).count() == int(is_out)


def test_blanks_are_the_same_to_plan_batch_and_to_python() -> None:
    assert BLANKS == columns.BLANKS
    assert set(BLANKS) == {chr(n) for n in range(sys.maxunicode + 1) if chr(n).isspace()}


def test_spark_reads_by_the_patterns_that_a_feed_may_have(spark: SparkSession) -> None:
    settle(spark)
    spark.range(1).select(*(sf.try_to_timestamp(sf.lit("x"), sf.lit(pattern)) for pattern in READABLE)).collect()


@pytest.mark.parametrize("pattern", [pattern for pattern in UNREADABLE if pattern.strip() and "HH24:MI" not in pattern])
def test_spark_reads_nothing_by_the_others(spark: SparkSession, pattern: str) -> None:
    settle(spark)
    parsed = sf.try_to_timestamp(sf.lit("2026-11-18"), sf.lit(pattern))
    read = spark.range(1).select(parsed.isNotNull().alias("is_read"))
    with contextlib.suppress(PySparkException):
        assert not read.collect()[0]["is_read"]
