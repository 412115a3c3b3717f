"""What the tables hold of a batch, per file, and whether it adds up with what its files hold."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.erased import ERASED
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.expressions import any_of
from ingestion_jobs.manifest import Feed, Manifest, SourceFile
from ingestion_jobs.names import quoted_table, sql_string
from ingestion_jobs.typing_rules import BLANKS

_BYTE_ORDER_MARK = 3


@dataclass
class FileCounts:
    """Rows of one file generation, as its tables hold them."""

    read: int = 0  # the greatest `_record`
    good: int = 0
    bad: int = 0
    erased: int = 0  # of keys that are not loaded any more: of these the place in the file is all that is left
    quarantined: int = 0
    staged_at: datetime | None = None
    reasons: Counter[str] = field(default_factory=Counter)  # of the bad rows

    @property
    def complete(self) -> bool:
        """Whether staging holds every record once."""
        return self.read == self.good + self.bad + self.erased


Counts = dict[SourceFile, FileCounts]
# What is told of each file and of the whole batch: the first is the sum of the others.
FILE_COUNTS = ("rows_read", "rows_staged", "rows_quarantined", "rows_erased")


def in_batch(manifest: Manifest) -> str:
    """SQL condition: the staging partition of the batch."""
    return f"_batch_id = {sql_string(manifest.batch_id)}"


def good_rows(manifest: Manifest) -> str:
    """SQL, for a FROM: the rows of the batch that are to be merged."""
    return f"{quoted_table(manifest.tables.staging)} WHERE {in_batch(manifest)} AND _reasons IS NULL"


def in_generations(manifest: Manifest) -> str:
    """SQL condition: rows of exactly the file generations of the batch, whichever batch wrote them."""
    pairs = (f"(_source_file = {sql_string(f.object)} AND _generation = {f.generation})" for f in manifest.files)
    return " OR ".join(pairs)


def staged_counts(spark: SparkSession, manifest: Manifest) -> Counts:
    """The counts of every file of the batch, those without a row included."""
    counts = {file: FileCounts() for file in manifest.files}
    files = {(file.object, file.generation): file for file in manifest.files}
    for group in _groups(spark, manifest).collect():
        file = files.get((group["_source_file"], group["_generation"]))
        if file is not None:  # else another generation of the same object, quarantined before
            _count(counts[file], group)
    return counts


def _count(of_file: FileCounts, group: Row) -> None:
    if not group["in_staging"]:
        of_file.quarantined += group["rows"]
        return
    of_file.read = max(of_file.read, group["last"])
    if group["staged_at"] is not None:
        of_file.staged_at = max(of_file.staged_at or group["staged_at"], group["staged_at"])
    if group["reasons"] is None:
        of_file.good += group["rows"]
    elif group["reasons"] == [ERASED]:
        of_file.erased += group["rows"]
    else:
        of_file.bad += group["rows"]
        of_file.reasons.update(dict.fromkeys(group["reasons"], group["rows"]))


def _groups(spark: SparkSession, manifest: Manifest) -> DataFrame:
    """Rows of the batch in staging, and of its objects in quarantine, by file generation and reasons."""
    staging = spark.table(quoted_table(manifest.tables.staging)).where(in_batch(manifest))
    # A batch may have been staged by a version that did not write it.
    staged_at = "_staged_at" if "_staged_at" in staging.columns else "CAST(NULL AS timestamp)"
    objects = sf.col("_source_file").isin(sorted({file.object for file in manifest.files}))
    quarantine = spark.table(quoted_table(manifest.tables.quarantine)).where(objects)
    facts = _facts(staging, sf.lit(True), sf.col("_reasons"), sf.expr(staged_at)).union(
        _facts(quarantine, sf.lit(False), sf.col("reasons"), sf.lit(None).cast("timestamp"))
    )
    return facts.groupBy("_source_file", "_generation", "in_staging", "reasons").agg(
        sf.count("*").alias("rows"), sf.max("_record").alias("last"), sf.max("staged_at").alias("staged_at")
    )


def _facts(rows: DataFrame, in_staging: Column, reasons: Column, staged_at: Column) -> DataFrame:
    return rows.select(
        "_source_file",
        "_generation",
        "_record",
        in_staging.alias("in_staging"),
        reasons.alias("reasons"),
        staged_at.alias("staged_at"),
    )


def check_staged(spark: SparkSession, manifest: Manifest, counts: Counts) -> None:
    """Raise IngestionError unless every record of every file is staged once."""
    for file, of_file in counts.items():
        if not of_file.complete:
            raise IngestionError(
                f"{file.object} (generation {file.generation}): {of_file.read} rows read, but {of_file.good} staged, "
                f"{of_file.bad} quarantined and {of_file.erased} erased: clear stage, and if that does not help "
                "report it with the file's manifest entry"
            )
    for file, of_file in counts.items():
        if of_file.read == 0:
            _check_empty_file(spark, manifest.feed, file)


def _check_empty_file(spark: SparkSession, feed: Feed, file: SourceFile) -> None:
    """Raise IngestionError if the file, of which staging holds no row, has more lines than a header needs."""
    # At its longest a lone header has every name quoted, a byte order mark and a line end.
    lone_header = _BYTE_ORDER_MARK + sum(len(text.encode()) + 3 for text in file.header) + 1
    if file.size <= lone_header and not feed.is_compressed:
        return
    above_rows = file.header_record + 1 + sum(text.count("\n") for text in file.header)
    try:
        lines = _written_lines(spark, feed, file).limit(above_rows + 1).count()
    except AnalysisException as error:  # the batch was archived, and its staged rows dropped since
        raise IngestionError(
            f"{file.object} (generation {file.generation}): no row is staged (any more), and {file.input} "
            "cannot be read: clear stage, which loads the batch again from the archive"
        ) from error
    if lines > above_rows:
        raise IngestionError(
            f"{file.object} (generation {file.generation}) has rows, but none was staged or quarantined: clear stage"
        )


def _written_lines(spark: SparkSession, feed: Feed, file: SourceFile) -> DataFrame:
    """The lines of a file that are records, or parts of one."""
    # Of UTF-16 a line end leaves a NUL behind.
    line = sf.btrim("value", sf.lit(BLANKS + "\0"))
    lines = spark.read.text(file.input).where(line != "")
    if not feed.csv.ignore_lines:
        return lines
    return lines.where(~any_of([sf.ltrim(line, sf.lit(feed.csv.quote)).startswith(t) for t in feed.csv.ignore_lines]))
