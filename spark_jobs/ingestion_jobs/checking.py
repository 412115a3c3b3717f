"""The check job: what can be seen of an environment only from within a run. It makes a table and drops it again."""

import re
from collections.abc import Callable
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion_jobs.manifest import VERSIONS
from ingestion_jobs.names import quoted_table
from ingestion_jobs.session import settle

OLDEST_SPARK = (4, 0)
# (level, name, text): a line of `airflow ingestion check`.
Finding = tuple[str, str, str]
_OK, _FAIL = "ok", "FAIL"
_LONGEST = 500


def check(spark: SparkSession, check_id: str, schema: str, probe: str | None) -> dict[str, Any]:
    """What is found, and which manifests these scripts read. `probe`: the URI of an object that holds the check's id.

    Nothing is raised for what does not work: each thing is a finding.
    """
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("Spark", lambda: _spark(spark)),
        (f"schema {schema}", lambda: _table(spark, schema, check_id)),
    ]
    if probe:
        looks.append(("external location", lambda: _probe(spark, probe, check_id)))
    findings = [dict(zip(("level", "name", "text"), _safely(name, look), strict=True)) for name, look in looks]
    return {"step": "check", "batch_id": check_id, "manifest_versions": list(VERSIONS), "findings": findings}


def _safely(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # one thing that cannot be looked at must not hide the others
        return _FAIL, name, f"it cannot be looked at ({type(error).__name__}: {_first_line(error)})"


def _spark(spark: SparkSession) -> Finding:
    settle(spark)
    found = tuple(int(number) for number in re.findall(r"\d+", spark.version)[:2])
    if found < OLDEST_SPARK:
        wanted = "Databricks Runtime 17.3 or newer, or serverless environment 5"
        return _FAIL, "Spark", f"{spark.version} is too old: the jobs need 4.0, which is {wanted}"
    return _OK, "Spark", spark.version


def _table(spark: SparkSession, schema: str, check_id: str) -> Finding:
    """Make a table as those of feeds are, write to it, read it, and drop it whatever comes."""
    name = f"schema {schema}"
    table = quoted_table(f"{schema}.ingestion_check_{re.sub(r'[^A-Za-z0-9]', '_', check_id).lower()}")
    try:
        spark.sql(
            f"CREATE TABLE {table} (id BIGINT) USING delta CLUSTER BY (id) "
            "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
        )
    except PySparkException as error:
        return _FAIL, name, _why_no_table(error, schema)
    try:
        spark.sql(f"INSERT INTO {table} VALUES (1)")  # noqa: S608 - quoted
        spark.sql(f"DELETE FROM {table} WHERE id = 0")  # noqa: S608 - quoted
        rows = spark.table(table).count()
    finally:
        dropped = _drop(spark, table)
    if rows != 1:
        return _FAIL, name, f"a table of it that was given one row has {rows}"
    if dropped:
        return _FAIL, name, f"the table {table} of this check cannot be dropped, drop it by hand ({dropped})"
    return _OK, name, "a Delta table was made, written, read and dropped"


def _why_no_table(error: PySparkException, schema: str) -> str:
    if error.getCondition() == "SCHEMA_NOT_FOUND":
        return f"it does not exist: run CREATE SCHEMA {schema}, or set INGESTION_SCHEMA to one that exists"
    return (
        f"no table can be made ({_first_line(error)}): catalog and schema must exist, and the principal needs "
        "USE CATALOG, USE SCHEMA and CREATE TABLE"
    )


def _drop(spark: SparkSession, table: str) -> str:
    """Nothing, or why not."""
    try:
        spark.sql(f"DROP TABLE IF EXISTS {table}")
    except PySparkException as error:
        return _first_line(error)
    return ""


def _probe(spark: SparkSession, uri: str, check_id: str) -> Finding:
    name = "external location"
    folder = uri.rpartition("/")[0]
    try:
        lines = [row["value"] for row in spark.read.text(uri).collect()]
    except PySparkException as error:
        return (
            _FAIL,
            name,
            f"{uri} cannot be read ({_first_line(error)}): the principal needs READ FILES on an external location of "
            f"{folder}/, and the location's own account storage.objects.get and .list there",
        )
    if not any(check_id in line for line in lines):
        return _FAIL, name, f"{uri} is another object for Databricks than for Airflow: is it the same bucket?"
    return _OK, name, f"{folder}/ can be read"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:_LONGEST].rstrip(". ")
