"""Plain Spark as people write it: typed CSV into a staging table, a window to dedupe, MERGE with copy on write."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from bench.data import COLUMNS, KEY, ORDER_BY, Batch, types_of
from bench.peer import Clock, Seconds, Staged
from bench.server import Server
from bench.spark_tables import insert_parts, restore, version_of
from bench.target import Target

# The options that quoted fields with commas, quotes and line ends need: the jobs read with the same.
OPTIONS = {
    "header": "true",
    "quote": '"',
    "escape": '"',
    "multiLine": "true",
    "mode": "PERMISSIVE",
    "dateFormat": "yyyy-MM-dd",
    "timestampFormat": "yyyy-MM-dd HH:mm:ss",
}


def schema_of(width: int) -> str:
    """The columns of files of that width, as Spark wants them."""
    return ", ".join(f"{name} {type_}" for name, type_ in types_of(width).items())


def typed_csv(spark: SparkSession, batch: Batch, schema: str) -> DataFrame:
    """The rows of a batch as bare Spark reads them."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark.read.schema(schema).options(**OPTIONS).csv([str(file) for file in batch.files])


class PlainSpark:
    """One session for each load; staging is overwritten each time."""

    name = "plain Spark MERGE"
    why = "checks, counts and logs nothing, keeps no bad rows; rewrites every file that holds one of the keys"

    def __init__(self, server: Server, schema: str, width: int) -> None:
        self._server, self._schema, self._width = server, schema, width
        self._target, self._staging = f"{schema}.orders", f"{schema}.orders_staging"
        self._built = 0

    @property
    def table(self) -> Path:
        """The target's folder."""
        return self._server.lakehouse / f"{self._schema}.db" / "orders"

    def build(self, target: Target) -> None:
        """A plain Delta table: no clustering, no deletion vectors."""
        with self._server.session() as spark:
            spark.sql(f"CREATE SCHEMA {self._schema}")
            for table in (self._target, self._staging):
                spark.sql(f"CREATE TABLE {table} ({schema_of(self._width)}) USING delta")
            insert_parts(spark, self._target, tuple(types_of(self._width)), target)
            self._built = version_of(spark, self._target)

    def reset(self) -> None:
        """Restored by a commit of Delta's own: cheap, and the server knows of it."""
        with self._server.session() as spark:
            restore(spark, self._target, self._built)

    def load(self, batch: Batch) -> Seconds:
        """Stage, then merge."""
        clock = Clock()
        with self._server.session() as spark:
            with clock.step("stage"):
                rows = typed_csv(spark, batch, schema_of(self._width))
                rows.write.format("delta").mode("overwrite").saveAsTable(self._staging)
            self._merge(spark, clock)
        return clock.seconds

    def repeat(self) -> Seconds:
        """The MERGE again, from the staging table as it is."""
        clock = Clock()
        with self._server.session() as spark:
            self._merge(spark, clock)
        return clock.seconds

    def _merge(self, spark: SparkSession, clock: Clock) -> None:
        newest = f"row_number() OVER (PARTITION BY {KEY} ORDER BY {ORDER_BY} DESC)"
        statement = f"""
            MERGE INTO {self._target} AS t
            USING (SELECT * EXCEPT (_rank) FROM (SELECT *, {newest} AS _rank FROM {self._staging}) WHERE _rank = 1) AS s
            ON t.{KEY} = s.{KEY}
            WHEN MATCHED AND s.{ORDER_BY} > t.{ORDER_BY} THEN UPDATE SET *
            WHEN NOT MATCHED THEN INSERT *
        """  # noqa: S608 - names of ours
        with clock.step("merge"):
            spark.sql(statement).collect()


class BareSpark:
    """Typed CSV appended to a Delta table and nothing else: what staging costs at the least."""

    name = "bare Spark"
    why = "keeps bad values as NULL in silence; gives rows no place in their file; counts nothing"

    def __init__(self, server: Server, schema: str) -> None:
        self._server, self._schema = server, schema
        self._number = 0

    def build(self) -> None:
        """A schema for its tables."""
        with self._server.session() as spark:
            spark.sql(f"CREATE SCHEMA {self._schema}")

    def stage(self, batch: Batch) -> Staged:
        """Into a new table each time, made before the time runs."""
        self._number += 1
        name, schema = f"bare_{self._number}", schema_of(len(COLUMNS))
        clock = Clock()
        with self._server.session() as spark:
            spark.sql(f"CREATE TABLE {self._schema}.{name} ({schema}) USING delta")
        with self._server.session() as spark, clock.step("stage"):
            typed_csv(spark, batch, schema).write.format("delta").mode("append").saveAsTable(f"{self._schema}.{name}")
        return Staged(clock.seconds, self._server.lakehouse / f"{self._schema}.db" / name)

    def forget(self, staged: Staged) -> None:
        """Drop the table."""
        with self._server.session() as spark:
            spark.sql(f"DROP TABLE {self._schema}.{staged.table.name}")
