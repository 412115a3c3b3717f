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


def trimmed(text: SparkColumn) -> SparkColumn:
    """The text without blanks around it; NULL when nothing is left."""
    return sf.nullif(sf.btrim(text, sf.lit(BLANKS)), sf.lit(""))


def typed(text: SparkColumn, column: Column, time_zone: str) -> SparkColumn:
    """The text of one field as the column's type; NULL when it cannot be read. `text` is trimmed, but for strings."""
    if column.type == "string":
        return text
    if column.type == "timestamp":
        return _timestamp(text, column.formats, time_zone)
    if column.type == "date":
        # A date is what its text says, whatever the zone.
        return _timestamp(text, column.formats, "UTC").cast("date")
    if decimal := _DECIMAL.fullmatch(column.type):
        # A cast would round further digits away in silence.
        exact = text.rlike(rf"^[+-]?(\d+\.?\d{{0,{decimal[2]}}}|\.\d{{1,{decimal[2]}}})0*$")
        return sf.when(exact, text.try_cast(column.type))
    return text.try_cast(column.type)


def _timestamp(text: SparkColumn, formats: tuple[str, ...], time_zone: str) -> SparkColumn:
    """The instant of the first format that fits, the session's time zone being UTC."""
    return sf.coalesce(*(_instant(text, pattern, time_zone) for pattern in formats))


def _instant(text: SparkColumn, pattern: str, time_zone: str) -> SparkColumn:
    parsed = sf.try_to_timestamp(text, sf.lit(pattern))
    says_its_zone = _ZONE_LETTERS & set(_QUOTED_IN_PATTERN.sub("", pattern))
    return parsed if says_its_zone or time_zone == "UTC" else sf.to_utc_timestamp(parsed, time_zone)
