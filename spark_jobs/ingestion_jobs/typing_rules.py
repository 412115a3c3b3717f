"""How the text of a field becomes a value of its column's type."""

import re

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Column

# What surrounds a key or a typed value without being part of it: the blanks of Unicode, as plan_batch strips names.
BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# Letters without a look: a key with one of them at its edge would be another key to every reader's surprise.
INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
)
# Dates and times that every reader of the tables has a value for.
FIRST_TIME, LAST_TIME = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_QUOTED_IN_PATTERN = re.compile(r"'[^']*'")
_ZONE_LETTERS = set("xXzVOZ")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_SPACES = " \xa0\u2009\u202f"  # that part thousands
# Texts of these shapes are the same instant to a cast as to the format, which takes twice as long to read them. Other
# texts that a cast reads, such as 2026-11-1T, the format refuses.
_READ_BY_CAST = {
    "yyyy-MM-dd": r"^\d{4}-\d\d-\d\d$",
    "yyyy-MM-dd HH:mm:ss": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$",
}


def trimmed(text: SparkColumn) -> SparkColumn:
    """The text without blanks around it; NULL when nothing is left."""
    return sf.nullif(sf.btrim(text, sf.lit(BLANKS)), sf.lit(""))


def without_nulls(text: SparkColumn, column: Column) -> SparkColumn:
    """The text, or NULL where the feed says that it means NULL."""
    return sf.when(~trimmed(text).isin(*column.nulls), text) if column.nulls else text


def typed(text: SparkColumn, column: Column, time_zone: str) -> SparkColumn:
    """The text of one field as the column's type, blanks around it left out but for strings; NULL if it cannot be read.

    A date or time may still be outside of the years 1 to 9999. The session's time zone must be UTC.
    """
    if column.type == "string":
        return text
    if column.type == "timestamp":
        return sf.coalesce(*(_instant(text, pattern, time_zone) for pattern in _alternatives(column.formats)))
    if column.type == "date":
        return sf.coalesce(*(_day(text, pattern) for pattern in column.formats))
    text = trimmed(text)
    if column.type == "boolean":
        return text.try_cast("boolean")
    text = _plain_number(text, column)
    if decimal := _DECIMAL.fullmatch(column.type):
        # A cast would round further digits away in silence.
        exact = text.rlike(rf"^[+-]?(\d+\.?\d{{0,{decimal[2]}}}|\.\d{{1,{decimal[2]}}})0*$")
        return sf.when(exact, text.try_cast(column.type))
    if column.type == "double":
        # A cast also reads 12f, 0x1p3 and NaN, and makes 1e400 infinite.
        value = sf.when(text.rlike(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"), text.try_cast("double"))
        return sf.when(sf.abs(value) < sf.lit(float("inf")), value)
    return text.try_cast(column.type)


def is_out_of_range(value: SparkColumn, column: Column) -> SparkColumn | None:
    """Whether a date or time is one that not every reader has a value for; None for columns of other types."""
    if column.type not in ("date", "timestamp"):
        return None
    return ~value.between(*(sf.lit(text).cast("timestamp").cast(column.type) for text in (FIRST_TIME, LAST_TIME)))


def _plain_number(text: SparkColumn, column: Column) -> SparkColumn:
    """The number with a point and without separators of thousands; NULL if it is not written as the column says."""
    decimal, thousands = column.decimal_separator, column.thousands_separator
    if (decimal, thousands) == (".", ""):
        return text
    parting = _SPACES if thousands == " " else thousands
    grouped = rf"|\d{{1,3}}([{parting}]\d{{3}})+" if parting else ""
    is_number = text.rlike(rf"^[+-]?(\d+{grouped})?([{decimal}]\d*)?$")
    return sf.when(is_number, sf.translate(text, decimal + parting, "."))


def _alternatives(formats: tuple[str, ...]) -> list[str]:
    """The formats, each with an optional zone ([XXX]) as two of them: a text without one is in the feed's zone."""
    found: list[str] = []
    for pattern in formats:
        part = next((part for part in _OPTIONAL.finditer(pattern) if _says_zone(part[1])), None)
        if part is None:
            found.append(pattern)
        else:
            without, with_it = (pattern[: part.start()] + text + pattern[part.end() :] for text in ("", part[1]))
            found += _alternatives((without, with_it))
    return found


def _says_zone(pattern: str) -> bool:
    return bool(_ZONE_LETTERS & set(_QUOTED_IN_PATTERN.sub("", pattern)))


def _instant(text: SparkColumn, pattern: str, time_zone: str) -> SparkColumn:
    if pattern == "epoch_seconds":
        microseconds = (trimmed(text).try_cast("decimal(18,6)") * 1000000).cast("bigint")
        return sf.when(trimmed(text).rlike(r"^-?\d{1,12}(\.\d{1,6})?$"), sf.timestamp_micros(microseconds))
    if pattern == "epoch_milliseconds":
        return sf.when(trimmed(text).rlike(r"^-?\d{1,15}$"), sf.timestamp_millis(trimmed(text).try_cast("bigint")))
    parsed = _parsed(text, pattern)
    if _says_zone(pattern) or time_zone == "UTC":
        return parsed
    # An hour that a clock put forward leaves out never was; of one that it has twice, put back, it is the first.
    instant = sf.to_utc_timestamp(parsed, time_zone)
    return sf.when(sf.from_utc_timestamp(instant, time_zone) == parsed, instant)


def _day(text: SparkColumn, pattern: str) -> SparkColumn:
    """The day that the text says, whatever its zone."""
    parsed = _parsed(text, pattern)
    if _says_zone(pattern):
        parsed = sf.when(parsed.isNotNull(), sf.to_timestamp_ntz(trimmed(text), sf.lit(pattern)))
    return parsed.cast("date")


def _parsed(text: SparkColumn, pattern: str) -> SparkColumn:
    parsed = sf.try_to_timestamp(trimmed(text), sf.lit(pattern))
    if shape := _READ_BY_CAST.get(pattern):
        return sf.coalesce(sf.when(text.rlike(shape), text.try_cast("timestamp")), parsed)
    return parsed
