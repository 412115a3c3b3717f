"""How the text of a field becomes a value of its column's type."""

import re

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Column

# What surrounds a key or a typed value without being part of it; the last is the no-break space of spreadsheets.
BLANKS = " \t\r\n\f\v\u00a0"
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_QUOTED_IN_PATTERN = re.compile(r"'[^']*'")
_ZONE_LETTERS = set("xXzVOZ")
# Texts of these shapes are the same instant to a cast as to the format, which takes twice as long to read them. Other
# texts that a cast reads, such as 2026-11-1T, the format refuses.
_READ_BY_CAST = {
    "yyyy-MM-dd": r"^\d{4}-\d\d-\d\d$",
    "yyyy-MM-dd HH:mm:ss": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$",
}


def trimmed(text: SparkColumn) -> SparkColumn:
    """The text without blanks around it; NULL when nothing is left."""
    return sf.nullif(sf.btrim(text, sf.lit(BLANKS)), sf.lit(""))


def typed(text: SparkColumn, column: Column, time_zone: str) -> SparkColumn:
    """The text of one field as the column's type, blanks around it left out but for strings; NULL if it cannot be read.

    The session's time zone must be UTC.
    """
    if column.type == "string":
        return text
    if column.type == "timestamp":
        return _timestamp(text, column.formats, time_zone)
    if column.type == "date":
        # A date is what its text says, whatever the zone.
        return _timestamp(text, column.formats, "UTC").cast("date")
    text = trimmed(text)
    if decimal := _DECIMAL.fullmatch(column.type):
        # A cast would round further digits away in silence.
        exact = text.rlike(rf"^[+-]?(\d+\.?\d{{0,{decimal[2]}}}|\.\d{{1,{decimal[2]}}})0*$")
        return sf.when(exact, text.try_cast(column.type))
    return text.try_cast(column.type)


def _timestamp(text: SparkColumn, formats: tuple[str, ...], time_zone: str) -> SparkColumn:
    """The instant of the first format that fits."""
    return sf.coalesce(*(_instant(text, pattern, time_zone) for pattern in formats))


def _instant(text: SparkColumn, pattern: str, time_zone: str) -> SparkColumn:
    parsed = sf.try_to_timestamp(trimmed(text), sf.lit(pattern))
    if shape := _READ_BY_CAST.get(pattern):
        parsed = sf.coalesce(sf.when(text.rlike(shape), text.try_cast("timestamp")), parsed)
    says_its_zone = _ZONE_LETTERS & set(_QUOTED_IN_PATTERN.sub("", pattern))
    return parsed if says_its_zone or time_zone == "UTC" else sf.to_utc_timestamp(parsed, time_zone)
