"""What people read beside a table and its columns: the feed's own words for its target, ours for all else.

They are set when a table is made. Of the target they are changed when those of the feed have changed, and only then: a
property of the table says which it was given, so a load that changes none makes no commit, and a comment that somebody
has written by hand stays until then.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from ingestion_jobs.manifest import Feed, Tables
from ingestion_jobs.names import quoted, quoted_table, sql_string

# The property with the digest of the comments that the table was given last.
GIVEN = "ingestion.comments"

_LINEAGE = {
    "_delivered_at": "When the file of this row was delivered to the bucket.",
    "_source_file": "Name under which the file of this row was delivered to the bucket.",
    "_generation": "Number that the bucket gave this delivery of the file: delivered again, the same name has another.",
    "_record": "Place of this row in its file, counted in records. The header is 0.",
}


@dataclass(frozen=True)
class Comments:
    """The comment of a table, and of its columns by their names; not every column has one."""

    table: str
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The same for the same texts."""
        return hashlib.sha256(json.dumps([self.table, dict(self.columns)]).encode()).hexdigest()[:16]


def of_target(feed: Feed) -> Comments:
    """As the feed describes itself and its columns."""
    described = {column.name: column.description for column in feed.columns if column.description}
    return Comments(feed.description, described | _LINEAGE)


def of_staging(tables: Tables) -> Comments:
    """Of the table between files and target."""
    return Comments(
        f"Rows of files, typed, of one batch in each partition, before they are merged into {tables.target}. "
        "A row with _reasons is bad and is not merged.",
        _LINEAGE,
    )


def of_quarantine(tables: Tables) -> Comments:
    """Of the bad rows."""
    return Comments(
        f"Rows of files that cannot be loaded into {tables.target}, each with every reason and its raw text.", _LINEAGE
    )


LOG = Comments(
    "What each batch of files has loaded: one row for each file, and one for the whole batch, whose object is NULL."
)
MAINTENANCE = Comments("What each run of the maintenance has done to each table.")


def of_erased(tables: Tables) -> Comments:
    """Of the keys that are not loaded any more."""
    return Comments(f"Hashes of the keys that were erased from {tables.target}: rows of these are not loaded any more.")


def change(spark: SparkSession, table: str, comments: Comments) -> str:
    """Give the table these comments; returns why that was not possible, or nothing.

    A load needs no comments, so it goes on without: where others own the table, say, or write to it at this moment.
    The next batch tries again.
    """
    name = quoted_table(table)
    columns = ", ".join(f"{quoted(column)} COMMENT {sql_string(text)}" for column, text in comments.columns.items())
    properties = {GIVEN: comments.digest} | ({"comment": comments.table} if comments.table else {})
    pairs = ", ".join(f"{sql_string(key)} = {sql_string(value)}" for key, value in properties.items())
    try:
        spark.sql(f"ALTER TABLE {name} ALTER COLUMN {columns}")
        # Last, as it says that all is done.
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({pairs})")
    except Exception as error:  # whatever it is, the rows matter more; the result of the job says it
        return f"the comments of {table} could not be changed: {str(error).strip().splitlines()[0]}"
    return ""
