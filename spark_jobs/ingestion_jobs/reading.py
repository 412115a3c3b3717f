"""The files of a batch as rows of text, each with its place in its file. Every file is parsed once."""

from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as sf
from pyspark.sql.types import StringType, StructField, StructType

from ingestion_jobs.manifest import Feed, Manifest, SourceFile
from ingestion_jobs.names import quoted
from ingestion_jobs.typing_rules import BLANKS

CORRUPT = "_corrupt_record"
# A record of more fields makes Spark fail the whole batch. The parser makes arrays of that size for each file.
MAX_FIELDS = 2_000_000
# monotonically_increasing_id is the partition's number above these bits and the row's position in it below.
_POSITION_BITS = 33


def files_by_header(manifest: Manifest) -> dict[tuple[str, ...], list[SourceFile]]:
    """The files of the batch that share a header are read as one: 365 reads in a union take half a minute to plan."""
    by_header: dict[tuple[str, ...], list[SourceFile]] = {}
    for file in manifest.files:
        by_header.setdefault(file.columns, []).append(file)
    return by_header


def read_files(
    spark: SparkSession, feed: Feed, header: tuple[str, ...], files: list[SourceFile], file_per_partition: bool
) -> DataFrame:
    """One row per record of the files, all of them with this header.

    The business columns as text, NULL where empty; `_corrupt_record`, the parser's text of a record that does not fit
    its header; `_delivered_at`, `_source_file` and `_generation` of its file; `_record`, its position there. Record 0,
    the header, is there only if it is not the one that the manifest gives.

    `file_per_partition` tells that Spark gives each file a partition of its own, in which `_record` needs no sorting.
    """
    fields = [sf.col(quoted(name)) for name in header]
    rows = (_parse if feed.multiline else _parse_lines)(spark, feed, header, files)
    absent = [sf.lit(None).cast("string").alias(column.name) for column in feed.columns if column.name not in header]
    # Without multiLine Spark cuts a large file into several partitions.
    in_partition = feed.multiline and (file_per_partition or len(files) == 1)
    record = sf.col("_id").bitwiseAND(sf.lit((1 << _POSITION_BITS) - 1)) if in_partition else _position_in_file()
    file_of = _file_facts(files)
    return (
        rows.select(
            *fields[:-1],
            _without_carriage_return(fields[-1]).alias(header[-1]),
            sf.rtrim(sf.col(CORRUPT), sf.lit("\r\n")).alias(CORRUPT),
            file_of["delivered_at"].alias("_delivered_at"),
            file_of["object"].alias("_source_file"),
            file_of["generation"].alias("_generation"),
            record.alias("_record"),
        )
        .where((sf.col("_record") > 0) | ~_is_header(header))
        .select("*", *absent)
    )


def _parse(spark: SparkSession, feed: Feed, header: tuple[str, ...], files: list[SourceFile]) -> DataFrame:
    """The fields of each record, `_corrupt_record`, `_id`, which rises within a file, and `_file`, its `_metadata`."""
    schema = StructType([StructField(name, StringType()) for name in (*header, CORRUPT)])
    options = _csv_options(feed, files) | {
        # The header is read as record 0, which shows for free whether it is the one plan_batch saw.
        "header": False,
        "encoding": "UTF-8",
        # With pruning a query that needs few columns does not see every corrupt record.
        "columnPruning": False,
        "multiLine": True,
        # Else line ends are guessed from the file's first, CRLF in quotes is rewritten, and mixed ends join two rows.
        "lineSep": "\n",
    }
    records = spark.read.schema(schema).options(**options).csv([file.input for file in files])
    # A line of blanks is no record; in a file with CRLF an empty line still holds its CR.
    return records.where(sf.col(CORRUPT).isNull() | ~_is_blank(sf.col(CORRUPT), feed)).select("*", *_place())


def _parse_lines(spark: SparkSession, feed: Feed, header: tuple[str, ...], files: list[SourceFile]) -> DataFrame:
    """The same for records of one line each. The parser closes a quote at the end of a line in silence: seen here."""
    lines = spark.read.option("lineSep", "\n").text([file.input for file in files])
    line = sf.regexp_replace(sf.rtrim(sf.col("value"), sf.lit("\r")), "^\ufeff", "")
    lines = lines.where(~_is_blank(line, feed)).select(line.alias("_line"), *_place())
    schema = ", ".join(f"{quoted(name)} STRING" for name in (*header, CORRUPT))
    options = {name: str(value) for name, value in _csv_options(feed, files).items()}
    quotes = sf.length(sf.regexp_replace("_line", '[^"]', ""))
    opens_one = sf.col("_line").rlike(f'(^|\\Q{feed.delimiter}\\E)"')
    unclosed = sf.when(opens_one & (quotes % 2 == 1), sf.col("_line"))
    return lines.withColumn("_row", sf.from_csv("_line", schema, options)).select(
        *(sf.col(f"_row.{quoted(name)}") for name in header),
        sf.coalesce(sf.col(f"_row.{CORRUPT}"), unclosed).alias(CORRUPT),
        "_id",
        "_file",
    )


def _csv_options(feed: Feed, files: list[SourceFile]) -> dict[str, str | int | bool]:
    return {
        "sep": feed.delimiter,
        "quote": '"',
        "escape": '"',
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
        "maxColumns": min(2 + max(file.size for file in files), MAX_FIELDS),
    }


def _place() -> list[Column]:
    return [sf.monotonically_increasing_id().alias("_id"), sf.col("_metadata").alias("_file")]


def _is_blank(text: Column, feed: Feed) -> Column:
    # A line of delimiters is a row, also where they are tabs.
    return sf.btrim(text, sf.lit(BLANKS.replace(feed.delimiter, ""))) == ""


def _position_in_file() -> Column:
    """Counted in order: several files may share a partition, and without multiLine a file may span several."""
    in_file = Window.partitionBy("_file.file_path").orderBy("_file.file_block_start", "_id")
    return sf.row_number().over(in_file).cast("bigint") - 1


def _file_facts(files: list[SourceFile]) -> Column:
    """Struct of object, generation and delivered_at of the file that a row came from.

    A map even for one file: Spark writes numbers into the code it compiles, and would compile anew for every file.
    """
    facts = [
        sf.struct(
            sf.lit(file.object).alias("object"),
            sf.lit(file.generation).cast("bigint").alias("generation"),
            sf.lit(file.delivered_at).cast("timestamp").alias("delivered_at"),
        )
        for file in files
    ]
    names = [sf.lit(file.input_name) for file in files]
    by_name = sf.create_map(*(part for pair in zip(names, facts, strict=True) for part in pair))
    return by_name[sf.col("_file.file_name")]


def _without_carriage_return(text: Column) -> Column:
    return sf.nullif(sf.rtrim(text, sf.lit("\r")), sf.lit(""))


def _is_header(header: tuple[str, ...]) -> Column:
    """Whether the fields of a row are the names of the header, apart from case and blanks around them."""
    same = [
        sf.lower(sf.btrim(sf.col(quoted(name)), sf.lit(BLANKS))).eqNullSafe(name.strip().lower()) for name in header
    ]
    return reduce(Column.__and__, same, sf.col(CORRUPT).isNull())
