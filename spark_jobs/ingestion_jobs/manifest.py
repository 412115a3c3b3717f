"""The manifest of a batch: which files, what they hold, and the tables they go to.

Airflow's `plan_batch` writes it and has validated the feed; here it is read and held against what the jobs rely on.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion_jobs.errors import IngestionError

VERSIONS = (1, 2)
_BATCH_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
# Spark reads a name that starts with "_" or "." as zero rows, and takes wildcards in a name for a pattern.
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A business column. `type` is a Spark SQL type; `formats` are Spark datetime patterns, tried in order.

    A file may lack an `optional` column, and its rows then have NULL there. `nulls` are texts that mean NULL.
    `description` is for people; empty if there is none.
    """

    name: str
    type: str
    formats: tuple[str, ...]
    optional: bool = False
    nulls: tuple[str, ...] = ()
    decimal_separator: str = "."
    thousands_separator: str = ""
    description: str = ""


@dataclass(frozen=True)
class Csv:
    """How the text of a file is cut into records and fields. `quote` is empty for files without any."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    multiline: bool = True
    ignore_lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feed:
    """What the files of a feed hold.

    `order_by` names the column whose greatest value wins; `time_zone` is that of values which do not say theirs.
    `description` is for people.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    order_by: str
    time_zone: str
    max_future_skew_seconds: int
    csv: Csv = Csv()
    is_compressed: bool = False
    description: str = ""

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class SourceFile:
    """A delivered file: named by object and generation, read from its pinned copy `input`.

    `columns` are the columns of its fields, None for one that is passed over; `header` is what its header says, empty
    without one; the records after number `header_record` are its rows.
    """

    object: str
    generation: int
    date: str
    delivered_at: str
    size: int
    columns: tuple[str | None, ...]
    input: str
    header: tuple[str, ...]
    header_record: int = 0

    @property
    def input_name(self) -> str:
        """The last part of `input`, unique in its batch."""
        return self.input.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Tables:
    """The tables of a feed by what they are for, each as `schema.table` or `catalog.schema.table`."""

    target: str
    staging: str
    quarantine: str
    log: str

    @property
    def erased(self) -> str:
        """The keys that are not loaded any more. Only a feed of which somebody was erased has this table."""
        return f"{self.target}_erased"


@dataclass(frozen=True)
class Manifest:
    """A batch as `plan_batch` pinned it; it never changes. One without files has nothing to stage and to merge."""

    batch_id: str
    run_id: str
    feed: Feed
    tables: Tables
    files: tuple[SourceFile, ...]


def read_manifest(spark: SparkSession, uri: str) -> Manifest:
    """The manifest at `uri` (gs://, /Volumes or a local path). Raises IngestionError if missing or not as agreed."""
    return read_document(spark, uri, parse_manifest, f"manifest {uri}", "plan_batch", "it writes one per batch")


def read_document(
    spark: SparkSession, uri: str, parse: Callable[[dict[str, Any]], T], name: str, writer: str, habit: str
) -> T:
    """What `parse` makes of the JSON at `uri`. Raises IngestionError if it is missing, or not as its writer agreed."""
    try:
        lines = spark.read.text(uri).collect()
    except PySparkException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            raise IngestionError(f"{name} does not exist: run {writer} again, {habit}") from error
        raise
    try:
        return parse(json.loads("\n".join(line.value for line in lines)))
    except KeyError as error:
        raise IngestionError(f"{name}: {error} is missing; it must be one that {writer} wrote") from error
    except (ValueError, TypeError) as error:
        raise IngestionError(f"{name}: {error}; it must be one that {writer} wrote") from error


def parse_manifest(document: dict[str, Any]) -> Manifest:
    """The manifest in a JSON document. Raises KeyError, ValueError or TypeError for one that is not as agreed."""
    if document["version"] not in VERSIONS:
        raise ValueError(f"version is {document['version']}, these jobs read {' and '.join(map(str, VERSIONS))}")
    if not _BATCH_ID.fullmatch(document["batch_id"]):
        raise ValueError(f"batch_id {document['batch_id']!r} is no batch id")
    manifest = Manifest(
        batch_id=document["batch_id"],
        run_id=document["run_id"],
        feed=parse_feed(document["feed"]),
        tables=parse_tables(document["tables"]),
        files=tuple(_source_file(entry) for entry in document["files"]),
    )
    _check(manifest)
    return manifest


def parse_tables(document: dict[str, Any]) -> Tables:
    """The tables in a JSON document. Raises KeyError for one that is missing."""
    return Tables(**{role: document[role] for role in ("target", "staging", "quarantine", "log")})


def parse_feed(document: dict[str, Any]) -> Feed:
    """The feed in a JSON document. Raises KeyError or TypeError for one that is not as agreed."""
    columns = tuple(
        Column(
            name=column["name"],
            type=column["type"].replace(" ", "").lower(),
            formats=tuple(column.get("formats", ())),
            optional=column.get("optional", False),
            nulls=tuple(column.get("nulls") or ()),
            decimal_separator=column.get("decimal_separator") or ".",
            thousands_separator=column.get("thousands_separator") or "",
            description=column.get("description") or "",
        )
        for column in document["columns"]
    )
    return Feed(
        name=document["name"],
        columns=columns,
        key=tuple(document["key"]),
        order_by=document["order_by"],
        time_zone=document["time_zone"],
        max_future_skew_seconds=document["max_future_skew_seconds"],
        csv=_csv(document["csv"]),
        is_compressed=document.get("compression", "none") != "none",
        description=document.get("description", ""),
    )


def _csv(document: dict[str, Any]) -> Csv:
    quote = document.get("quote", '"')
    return Csv(
        delimiter=document["delimiter"],
        quote=quote,
        escape=document.get("escape") or quote,
        encoding=document.get("encoding", "utf-8"),
        multiline=document["multiline"],
        ignore_lines=tuple(document.get("ignore_lines", ())),
    )


def _source_file(entry: dict[str, Any]) -> SourceFile:
    return SourceFile(
        object=entry["object"],
        generation=int(entry["generation"]),
        date=entry["date"],
        delivered_at=entry["delivered_at"],
        size=int(entry["size"]),
        columns=tuple(entry["columns"]),
        input=entry["input"],
        header=tuple(entry["columns"] if entry.get("header") is None else entry["header"]),
        header_record=entry.get("header_record", 0),
    )


def _check(manifest: Manifest) -> None:
    names = {column.name for column in manifest.feed.columns}
    if reserved := sorted(name for name in names if name.startswith("_")):
        raise ValueError(f"column names that start with '_' are kept for lineage: {', '.join(reserved)}")
    if unknown := sorted({*manifest.feed.key, manifest.feed.order_by} - names):
        raise ValueError(f"key or order_by names no column: {', '.join(unknown)}")
    required = {column.name for column in manifest.feed.columns if not column.optional}
    for file in manifest.files:
        found = [name for name in file.columns if name is not None]
        if len(set(found)) != len(found) or not required <= set(found) <= names:
            raise ValueError(f"the columns of {file.object} are not those of feed {manifest.feed.name}")
        if not _SAFE_NAME.fullmatch(file.input_name):
            raise ValueError(
                f"Spark would not read {file.input} for certain: plain letters, digits, '.', '_', '-' are safe"
            )
    if len({file.input_name for file in manifest.files}) != len(manifest.files):
        raise ValueError("two files have inputs of the same name")
    if len({(file.object, file.generation) for file in manifest.files}) != len(manifest.files):
        raise ValueError("a file generation is listed twice")
