"""The files of a batch as rows of text, each with its place in its file. Every file is parsed once."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as sf
from pyspark.sql.types import StringType, StructField, StructType

from ingestion_jobs.encodings import as_read, decoded, read_as
from ingestion_jobs.expressions import any_of
from ingestion_jobs.manifest import Feed, Manifest, SourceFile
from ingestion_jobs.names import quoted
from ingestion_jobs.typing_rules import BLANKS, trimmed

CORRUPT = "_corrupt_record"
# A record of more fields makes Spark fail the whole batch. The parser makes arrays of that size for each file.
MAX_FIELDS = 2_000_000
# monotonically_increasing_id is the partition's number above these bits and the row's position in it below.
_POSITION_BITS = 33


@dataclass(frozen=True)
class Layout:
    """What the records of a file hold: the names of their fields, the header's texts, and its place among them."""

    field_names: tuple[str, ...]
    header: tuple[str, ...]
    header_record: int


def layout_of(file: SourceFile) -> Layout:
    """Its layout. A field that is passed over has a name too, which no column can have."""
    fields = (name or f"_passed_over_{n}" for n, name in enumerate(file.columns, 1))
    return Layout(tuple(fields), file.header, file.header_record)


def files_by_layout(manifest: Manifest) -> dict[Layout, list[SourceFile]]:
    """The files of the batch that share a layout are read as one: 365 reads in a union take half a minute to plan."""
    by_layout: dict[Layout, list[SourceFile]] = {}
    for file in manifest.files:
        by_layout.setdefault(layout_of(file), []).append(file)
    return by_layout


def read_files(
    spark: SparkSession, feed: Feed, layout: Layout, files: list[SourceFile], file_per_partition: bool
) -> DataFrame:
    """One row per record of the files, all of them of this layout.

    The fields as text, NULL where empty; `_corrupt_record`, the parser's text of a record that does not fit its layout;
    `_delivered_at`, `_source_file` and `_generation` of its file; `_record`, its position there, counted from the
    header. Record 0, the header, is there only if it is not the one that the manifest gives.

    `file_per_partition` tells that Spark gives each file a partition of its own, in which `_record` needs no sorting.
    """
    fields = [sf.col(quoted(name)) for name in layout.field_names]
    rows = (_parse if feed.csv.multiline else _parse_lines)(spark, feed, layout, files)
    absent = [column.name for column in feed.columns if column.name not in layout.field_names]
    # Without multiLine Spark cuts a large file into several partitions.
    in_partition = feed.csv.multiline and (file_per_partition or len(files) == 1)
    position = sf.col("_id").bitwiseAND(sf.lit((1 << _POSITION_BITS) - 1)) if in_partition else _position_in_file()
    file_of = _file_facts(files)
    rows = rows.select(
        *fields[:-1],
        _without_carriage_return(fields[-1]).alias(layout.field_names[-1]),
        sf.rtrim(sf.col(CORRUPT), sf.lit("\r\n")).alias(CORRUPT),
        file_of["delivered_at"].alias("_delivered_at"),
        file_of["object"].alias("_source_file"),
        file_of["generation"].alias("_generation"),
        (position - layout.header_record if layout.header_record else position).alias("_record"),
    )
    of_rows = sf.col("_record") > 0
    if layout.header:
        of_rows |= (sf.col("_record") == 0) & ~_is_header(layout)
    return rows.where(of_rows).select("*", *(sf.lit(None).cast("string").alias(name) for name in absent))


def _parse(spark: SparkSession, feed: Feed, layout: Layout, files: list[SourceFile]) -> DataFrame:
    """The fields of each record, `_corrupt_record`, `_id`, which rises within a file, and `_file`, its `_metadata`."""
    names = (*layout.field_names, CORRUPT)
    schema = StructType([StructField(name, StringType()) for name in names])
    options = _csv_options(feed, files) | {
        # The header is read as a record, which shows for free whether it is the one plan_batch saw.
        "header": False,
        "encoding": read_as(feed.csv.encoding),
        # With pruning a query that needs few columns does not see every corrupt record.
        "columnPruning": False,
        "multiLine": True,
        # Else line ends are guessed from the file's first, CRLF in quotes is rewritten, and mixed ends join two rows.
        "lineSep": "\n",
    }
    records = spark.read.schema(schema).options(**options).csv([file.input for file in files])
    texts = [decoded(sf.col(quoted(name)), feed.csv.encoding).alias(name) for name in names]
    # A line of blanks is no record; in a file with CRLF an empty line still holds its CR.
    records = records.select(*texts, "_metadata").where(sf.col(CORRUPT).isNull() | ~_is_blank(sf.col(CORRUPT), feed))
    return _without_ignored(records, feed, layout).select(*names, *_place())


def _parse_lines(spark: SparkSession, feed: Feed, layout: Layout, files: list[SourceFile]) -> DataFrame:
    """The same for records of one line each. The parser closes a quote at the end of a line in silence: seen here."""
    lines = spark.read.option("lineSep", "\n").text([file.input for file in files])
    line = sf.regexp_replace(sf.rtrim(sf.col("value"), sf.lit("\r")), "^\ufeff", "")
    lines = lines.where(~_is_blank(line, feed)).select(line.alias("_line"), "_metadata")
    schema = ", ".join(f"{quoted(name)} STRING" for name in (*layout.field_names, CORRUPT))
    options = {name: str(value) for name, value in _csv_options(feed, files).items()}
    rows = lines.withColumn("_row", sf.from_csv("_line", schema, options)).select(
        *(sf.col(f"_row.{quoted(name)}") for name in layout.field_names),
        sf.coalesce(sf.col(f"_row.{CORRUPT}"), _unclosed(sf.col("_line"), feed)).alias(CORRUPT),
        "_metadata",
    )
    return _without_ignored(rows, feed, layout).select(*layout.field_names, CORRUPT, *_place())


def _unclosed(line: Column, feed: Feed) -> Column:
    """The line, if it opens a quote that it does not close; else NULL."""
    quote, escape = feed.csv.quote, feed.csv.escape
    if not quote:
        return sf.lit(None).cast("string")
    unescaped = line if escape == quote else sf.regexp_replace(line, f"\\Q{escape}\\E.", "")
    quotes = sf.length(sf.regexp_replace(unescaped, f"[^\\Q{quote}\\E]", ""))
    opens_one = unescaped.rlike(f"(^|\\Q{feed.csv.delimiter}\\E)\\Q{quote}\\E")
    return sf.when(opens_one & (quotes % 2 == 1), line)


def _without_ignored(records: DataFrame, feed: Feed, layout: Layout) -> DataFrame:
    """The records that do not begin with a text that marks comments or totals."""
    if not feed.csv.ignore_lines:
        return records
    first = sf.coalesce(sf.col(quoted(layout.field_names[0])), sf.lit(""))
    return records.where(~any_of([first.startswith(text) for text in feed.csv.ignore_lines]))


def _csv_options(feed: Feed, files: list[SourceFile]) -> dict[str, str | int | bool]:
    letters = {"sep": feed.csv.delimiter, "quote": feed.csv.quote, "escape": feed.csv.escape}
    most_fields = MAX_FIELDS if feed.is_compressed else 2 + max(file.size for file in files)
    return {name: as_read(letter, feed.csv.encoding) for name, letter in letters.items()} | {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
        "maxColumns": min(most_fields, MAX_FIELDS),
    }


def _place() -> list[Column]:
    return [sf.monotonically_increasing_id().alias("_id"), sf.col("_metadata").alias("_file")]


def _is_blank(text: Column, feed: Feed) -> Column:
    # A line of delimiters is a row, also where they are tabs.
    return sf.btrim(text, sf.lit(BLANKS.replace(feed.csv.delimiter, ""))) == ""


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


def _is_header(layout: Layout) -> Column:
    """Whether the fields of a row are those of the header, apart from case and blanks around them.

    As two arrays, for a comparison for each of hundreds of columns would take long to plan.
    """
    fields = sf.array(*(sf.col(quoted(name)) for name in layout.field_names))
    found = sf.transform(fields, lambda text: sf.coalesce(sf.lower(trimmed(text)), sf.lit("")))
    # plan_batch takes no header with NUL.
    wanted = sf.split(sf.lower(sf.lit("\0".join(layout.header))), "\0")
    return sf.col(CORRUPT).isNull() & (found == wanted)
