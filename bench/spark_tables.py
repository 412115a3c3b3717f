"""Managed Delta tables of the Spark server, filled with a target file by file and put back to it."""

from collections.abc import Sequence

from pyspark.sql import SparkSession

from bench.target import Target


def insert_parts(spark: SparkSession, table: str, values: Sequence[str], target: Target) -> None:
    """Insert the target into an existing table so that each of its files becomes one file there.

    `values` are SQL expressions over the target's columns, in the order of the table's. A read partition that is as
    large as the largest file takes exactly one, as Spark adds 4 MB for opening each.
    """
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    largest = max(file.stat().st_size for file in target.files)
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(largest))
    rows = spark.read.parquet(*(str(file) for file in target.files))
    times = [name for name, type_ in rows.dtypes if type_ == "timestamp_ntz"]
    rows = rows.withColumns({name: rows[name].cast("timestamp") for name in times})
    rows.selectExpr(*values).write.format("delta").mode("append").saveAsTable(table)
    files = spark.sql(f"DESCRIBE DETAIL {table}").collect()[0]["numFiles"]
    if files != len(target.files):
        raise RuntimeError(f"{table} was laid out in {files} files instead of {len(target.files)}")


def version_of(spark: SparkSession, table: str) -> int:
    """The newest version of a table."""
    return spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()[0]["version"]


def restore(spark: SparkSession, table: str, version: int) -> None:
    """Put the table back to a version."""
    spark.sql(f"RESTORE TABLE {table} TO VERSION AS OF {version}").collect()
