"""What an erasure is asked for: the feed, its tables, and the list of keys, which no parameter of a job may hold.

Databricks keeps the parameters of a job for months, so they name an object in the bucket. No key is put into a message
either: a line of the list is told by its number.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.erased import key_hash
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.manifest import Feed, Tables, parse_feed, parse_tables, read_document
from ingestion_jobs.names import quoted
from ingestion_jobs.rows import typed_value

VERSION = 1
_SHOWN_LINES = 10

Key = tuple[str, ...]


@dataclass(frozen=True)
class Erasure:
    """A request. `keys` is the URI of the list, None to finish what earlier requests began."""

    erasure_id: str
    feed: Feed
    tables: Tables
    keys: str | None
    archive: str | None


def read_erasure(spark: SparkSession, uri: str) -> Erasure:
    """The request at `uri`. Raises IngestionError if it is missing or not as agreed."""
    return read_document(spark, uri, parse_erasure, f"request {uri}", "plan_erasure", "it writes one for each DAG run")


def parse_erasure(document: dict[str, Any]) -> Erasure:
    """The request in a JSON document. Raises KeyError, ValueError or TypeError for one that is not as agreed."""
    if document["version"] != VERSION:
        raise ValueError(f"version is {document['version']}, this job reads {VERSION}")
    return Erasure(
        erasure_id=document["erasure_id"],
        feed=parse_feed(document["feed"]),
        tables=parse_tables(document["tables"]),
        keys=document["keys"],
        archive=document["archive"],
    )


def read_keys(spark: SparkSession, erasure: Erasure) -> dict[Key, str]:
    """The hash of each key of the list, by its values as they are written there; none without a list.

    Raises IngestionError for a list that does not exist or is empty, and for lines that are no key of the feed.
    """
    if erasure.keys is None:
        return {}
    try:
        lines = [row["value"] for row in spark.read.text(erasure.keys).collect()]
    except PySparkException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            raise IngestionError(
                f"the list of keys {erasure.keys} does not exist: upload it, a key on each line"
            ) from None
        raise
    feed = erasure.feed
    written = {n: _key(line, len(feed.key)) for n, line in enumerate(lines, 1) if line.strip("\ufeff \t")}
    if not written:
        raise IngestionError(f"the list of keys {erasure.keys} is empty: upload it, a key on each line")
    hashes = _hashes(spark, feed, {n: key for n, key in written.items() if key})
    if wrong := [str(n) for n in written if hashes.get(n) is None]:
        more = f" and {len(wrong) - _SHOWN_LINES} more" if len(wrong) > _SHOWN_LINES else ""
        raise IngestionError(
            f"the list of keys {erasure.keys}: line {', '.join(wrong[:_SHOWN_LINES])}{more} is no key of {feed.name} "
            f"({', '.join(feed.key)}): write it as files of the feed do, a key of several columns as a JSON array. "
            "Nothing was erased"
        )
    return {key: hashes[n] for n, key in written.items() if key}


def _key(line: str, columns: int) -> Key | None:
    """The values that a line says: those of a JSON array, or for a key of one column the line as it is."""
    line = line.removeprefix("\ufeff")
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, list):
        return (line,) if columns == 1 else None
    is_key = len(values) == columns and all(isinstance(value, str) for value in values)
    return tuple(values) if is_key else None


def _hashes(spark: SparkSession, feed: Feed, keys: dict[int, Key]) -> dict[int, str | None]:
    """By line, the hash of the key as `stage` would type it; None where it could not."""
    columns = [feed.column(name) for name in feed.key]
    schema = ", ".join(["_line int", *(f"{quoted(column.name)} string" for column in columns)])
    written = spark.createDataFrame([(n, *key) for n, key in keys.items()], schema)
    typed = written.select("_line", *(typed_value(column, feed).alias(column.name) for column in columns))
    return dict(typed.select("_line", sf.expr(key_hash(feed))).collect())


def texts_of(key: Key, feed: Feed) -> list[str]:
    """Patterns that find the key's values in the text of a row that cannot be read, one for each value.

    As a word of its own: the key 7 is not in 1977. Written as it is, or as JSON or CSV would have it between quotes.
    """
    return [_pattern(value.strip(), feed) for value in key]


def _pattern(value: str, feed: Feed) -> str:
    in_json = json.dumps(value, ensure_ascii=False)[1:-1]
    quote = feed.csv.quote
    in_quotes = value.replace(quote, feed.csv.escape + quote) if quote else value
    forms = "|".join(re.escape(form) for form in dict.fromkeys((value, in_json, in_quotes)))
    return rf"(?<![\p{{L}}\p{{N}}])({forms})(?![\p{{L}}\p{{N}}])"
