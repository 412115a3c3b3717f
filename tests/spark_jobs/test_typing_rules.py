"""Texts and the values they are, held against Python's own reading of the same format."""

from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Column
from ingestion_jobs.session import settle
from ingestion_jobs.typing_rules import typed

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
