"""The tables: created where missing, given columns the feed has gained, and otherwise held against the feed."""

from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from ingestion_jobs import comments
from ingestion_jobs.comments import Comments
from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.errors import RefusedError
from ingestion_jobs.manifest import Feed, Manifest, Tables
from ingestion_jobs.names import quoted, quoted_table, sql_string

NO_TABLE = "TABLE_OR_VIEW_NOT_FOUND"  # Spark's condition

# (name, Spark SQL type, NOT NULL or nothing)
Definition = tuple[str, str, str]

LINEAGE: list[Definition] = [
    ("_delivered_at", "timestamp", "NOT NULL"),
    ("_source_file", "string", "NOT NULL"),
    ("_generation", "bigint", "NOT NULL"),
    ("_record", "bigint", "NOT NULL"),
]
STAGING_EXTRA: list[Definition] = [
    ("_batch_id", "string", ""),
    ("_reasons", "array<string>", ""),
    ("_raw", "string", ""),
    ("_staged_at", "timestamp", ""),  # NULL where an older version has staged
]
QUARANTINE: list[Definition] = [
    *((name, type_, "") for name, type_, _ in LINEAGE),
    ("file_date", "date", ""),
    ("reasons", "array<string>", ""),
    ("raw", "string", ""),
    ("_batch_id", "string", ""),
]
LOG: list[Definition] = [
    ("feed", "string", ""),
    ("batch_id", "string", ""),
    ("object", "string", ""),
    ("generation", "bigint", ""),
    *((f"rows_{count}", "bigint", "") for count in ("read", "staged", "quarantined", "erased")),
    *((f"rows_{count}", "bigint", "") for count in ("inserted", "updated", "stale", "duplicate")),
    ("staged_at", "timestamp", ""),
    ("merged_at", "timestamp", ""),
    ("dag_run_id", "string", ""),
]
MAINTENANCE: list[Definition] = [
    ("maintenance_id", "string", ""),
    ("table_name", "string", ""),
    ("outcome", "string", ""),
    ("message", "string", ""),
    *((f"batches_{what}", "bigint", "") for what in ("dropped", "waiting")),
    *((f"{what}_{when}", "bigint", "") for what in ("files", "bytes") for when in ("before", "after")),
    ("started_at", "timestamp", ""),
    ("ended_at", "timestamp", ""),
]
ERASED_KEYS: list[Definition] = [("key_hash", "string", "NOT NULL"), ("erased_at", "timestamp", "NOT NULL")]
# What a table was built for; changing it under existing rows would make two winners of one key.
_KEY, _ORDER_BY = "ingestion.key", "ingestion.order_by"
_MOST_CLUSTERING_COLUMNS = 4
_DELETION_VECTORS = {"delta.enableDeletionVectors": "true"}


def ensure_staging_tables(spark: SparkSession, manifest: Manifest) -> None:
    """Staging and quarantine as the feed needs them. Raises RefusedError for a missing schema or a changed type."""
    staging = [*_business(manifest.feed), *_nullable(LINEAGE), *STAGING_EXTRA]
    # It is read as a whole, batch by batch: statistics of its columns would skip nothing.
    properties, tables = {"delta.dataSkippingNumIndexedCols": "0"}, manifest.tables
    layout, texts = "PARTITIONED BY (_batch_id)", comments.of_staging(tables)
    _ensure(spark, manifest, tables.staging, staging, texts, layout, properties)
    _ensure(spark, manifest, tables.quarantine, QUARANTINE, comments.of_quarantine(tables))


def ensure_target_tables(spark: SparkSession, manifest: Manifest) -> str:
    """Target and log as the feed needs them. Returns why the target's comments are not the feed's, or nothing.

    Raises RefusedError for a missing schema, a changed type, key or order column.
    """
    feed, target = manifest.feed, manifest.tables.target
    purpose = {_KEY: ",".join(feed.key), _ORDER_BY: feed.order_by}
    texts = comments.of_target(feed)
    properties = _DELETION_VECTORS | {"delta.isolationLevel": "Serializable"} | _statistics(feed) | purpose
    properties[comments.GIVEN] = texts.digest
    created = _ensure(spark, manifest, target, [*_business(feed), *LINEAGE], texts, _clustered(feed), properties)
    without_comments = ""
    if not created:
        found = _properties(spark, target)
        _refuse_changed_purpose(manifest, found, purpose)
        if found.get(comments.GIVEN) != texts.digest:
            without_comments = comments.change(spark, target, texts)
    _ensure(spark, manifest, manifest.tables.log, LOG, comments.LOG)
    return without_comments


def ensure_erased_table(spark: SparkSession, tables: Tables) -> None:
    """The table of the keys that are not loaded any more. Raises RefusedError for a missing schema."""
    texts = comments.of_erased(tables)
    repeat_on_conflict(f"creating {tables.erased}", lambda: _create(spark, tables.erased, ERASED_KEYS, texts, "", {}))


def ensure_maintenance_table(spark: SparkSession, table: str) -> None:
    """The table of what maintenance did. Raises RefusedError for a missing schema."""
    repeat_on_conflict(f"creating {table}", lambda: _create(spark, table, MAINTENANCE, comments.MAINTENANCE, "", {}))


def _clustered(feed: Feed) -> str:
    """By as many columns of the key as Delta takes, and of the types that it takes."""
    columns = _skippable(feed)[:_MOST_CLUSTERING_COLUMNS]
    return f"CLUSTER BY ({', '.join(map(quoted, columns))})" if columns else ""


def _statistics(feed: Feed) -> dict[str, str]:
    """Statistics of the columns by which files may be skipped, key and times; of all others they only cost time.

    Wherever the key stands: Delta's own choice, the first 32 columns, would leave out a key behind them.
    """
    times = (column.name for column in feed.columns if column.type in ("date", "timestamp"))
    columns = dict.fromkeys((*_skippable(feed), feed.order_by, *times))
    return {"delta.dataSkippingStatsColumns": ", ".join(map(quoted, columns))}


def _skippable(feed: Feed) -> list[str]:
    """The columns of the key by which files may be skipped: Delta has no statistics of a boolean."""
    return [name for name in feed.key if feed.column(name).type != "boolean"]


def _business(feed: Feed) -> list[Definition]:
    return [(column.name, column.type, "") for column in feed.columns]


def _nullable(columns: Sequence[Definition]) -> list[Definition]:
    return [(name, type_, "") for name, type_, _ in columns]


def _ensure(
    spark: SparkSession,
    manifest: Manifest,
    table: str,
    columns: Sequence[Definition],
    texts: Comments,
    layout: str = "",
    properties: dict[str, str] | None = None,
) -> bool:
    """True if the table had to be created."""
    existing = _column_types(spark, table)
    if existing is None:
        repeat_on_conflict(f"creating {table}", lambda: _create(spark, table, columns, texts, layout, properties or {}))
        return True
    for name, type_, _ in columns:
        found = existing.get(name.lower(), type_)
        if found != type_:
            raise RefusedError(
                f"column {name} of {table} is {found}, feed {manifest.feed.name} says {type_}: undo the change, "
                f"or rebuild: {_rebuild(manifest)}"
            )
    added = [(name, type_) for name, type_, _ in columns if name.lower() not in existing]
    if added:
        clause = ", ".join(f"{quoted(name)} {type_}" for name, type_ in added)
        statement = f"ALTER TABLE {quoted_table(table)} ADD COLUMNS ({clause})"
        repeat_on_conflict(f"adding columns to {table}", lambda: spark.sql(statement))
    return False


def _column_types(spark: SparkSession, table: str) -> dict[str, str] | None:
    """Spark SQL types by lower-case column name; None if there is no such table."""
    found = table_if_exists(spark, table)
    if found is None:
        return None
    return {field.name.lower(): field.dataType.simpleString() for field in found.schema}


def table_if_exists(spark: SparkSession, table: str) -> DataFrame | None:
    """The table, looked up in the catalog; None if there is none."""
    try:
        found = spark.table(quoted_table(table))
        _ = found.schema  # classic Spark has asked the catalog by now, Spark Connect does here
    except AnalysisException as error:
        if error.getCondition() == NO_TABLE:
            return None
        raise
    return found


def _create(
    spark: SparkSession,
    table: str,
    columns: Sequence[Definition],
    texts: Comments,
    layout: str,
    properties: dict[str, str],
) -> None:
    definition = ", ".join(
        f"{quoted(name)} {type_} {constraint} {_comment(texts.columns.get(name))}"
        for name, type_, constraint in columns
    )
    pairs = ", ".join(f"{sql_string(name)} = {sql_string(value)}" for name, value in properties.items())
    settings = f"{_comment(texts.table)} {f'TBLPROPERTIES ({pairs})' if pairs else ''}"
    try:
        spark.sql(f"CREATE TABLE IF NOT EXISTS {quoted_table(table)} ({definition}) USING delta {layout} {settings}")
    except AnalysisException as error:
        if error.getCondition() != "SCHEMA_NOT_FOUND":
            raise
        schema = table.rpartition(".")[0]
        raise RefusedError(
            f"schema {schema} does not exist, so table {table} cannot be created: run CREATE SCHEMA {schema}, "
            "or set INGESTION_SCHEMA to one that exists"
        ) from error


def _comment(text: str | None) -> str:
    return f"COMMENT {sql_string(text)}" if text else ""


def _properties(spark: SparkSession, table: str) -> dict[str, str]:
    rows = spark.sql(f"SHOW TBLPROPERTIES {quoted_table(table)}").collect()
    return {row["key"]: row["value"] for row in rows}


def _refuse_changed_purpose(manifest: Manifest, found: dict[str, str], purpose: dict[str, str]) -> None:
    for name, value in purpose.items():
        if found.get(name, value) != value:
            raise RefusedError(
                f"{name.removeprefix('ingestion.')} of {manifest.tables.target} is {found[name]}, "
                f"feed {manifest.feed.name} says {value}: undo the change, or rebuild: {_rebuild(manifest)}"
            )


def _rebuild(manifest: Manifest) -> str:
    tables = manifest.tables
    return f"drop {tables.target} and {tables.staging}, then backfill the feed from its archive"
