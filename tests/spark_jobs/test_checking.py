"""What the job `check` finds of schema, tables and files, and that it leaves no table behind."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from ingestion_jobs import checking
from ingestion_jobs.checking import check
from tests.spark_jobs.conftest import Lake

CHECK_ID = "20261128T120000Z-0a1b2c3d"


def found(spark: SparkSession, schema: str, probe: Path | None = None) -> dict[str, tuple[str, str]]:
    """Level and text by name."""
    result = check(spark, CHECK_ID, schema, str(probe) if probe else None)
    assert (result["step"], result["batch_id"]) == ("check", CHECK_ID)
    assert 2 in result["manifest_versions"], "what plan_batch writes"
    return {item["name"]: (item["level"], item["text"]) for item in result["findings"]}


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    path = tmp_path / "probe.json"
    path.write_text(f'{{\n  "ingestion_check": "{CHECK_ID}"\n}}\n')
    return path


def test_all_is_right_and_no_table_is_left(module_lake: Lake, probe: Path) -> None:
    levels = {name: level for name, (level, _) in found(module_lake.spark, module_lake.schema, probe).items()}
    assert levels == {"Spark": "ok", f"schema {module_lake.schema}": "ok", "external location": "ok"}
    assert module_lake.spark.sql(f"SHOW TABLES IN {module_lake.schema}").collect() == []
    assert list(module_lake.tables.iterdir()) == []


def test_a_schema_that_is_missing_and_a_file_that_is(spark: SparkSession, tmp_path: Path) -> None:
    lines = found(spark, "no_such_schema", tmp_path / "none.json")
    level, text = lines["schema no_such_schema"]
    assert level == "FAIL"
    assert "run CREATE SCHEMA no_such_schema, or set INGESTION_SCHEMA" in text
    level, text = lines["external location"]
    assert level == "FAIL"
    assert "PATH_NOT_FOUND" in text
    assert "READ FILES" in text


def test_a_catalog_that_is_missing(spark: SparkSession) -> None:
    level, text = found(spark, "no_such_catalog.orders")["schema no_such_catalog.orders"]
    assert level == "FAIL"
    assert "USE CATALOG" in text


def test_another_object_of_that_name(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    level, text = found(spark, "no_such_schema", tmp_path / "other.json")["external location"]
    assert (level, "is it the same bucket?" in text) == ("FAIL", True)


def test_the_table_goes_though_it_cannot_be_read(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: SparkSession, __: str) -> None:
        raise AnalysisException("[INSUFFICIENT_PERMISSIONS] no SELECT")

    monkeypatch.setattr(type(module_lake.spark), "table", refuse)
    level, text = found(module_lake.spark, module_lake.schema)[f"schema {module_lake.schema}"]
    assert level == "FAIL"
    assert "INSUFFICIENT_PERMISSIONS" in text
    assert module_lake.spark.sql(f"SHOW TABLES IN {module_lake.schema}").collect() == []


def test_a_spark_that_is_too_old() -> None:
    old = SimpleNamespace(version="3.5.2", conf=SimpleNamespace(set=lambda *_: None))
    level, name, text = checking._spark(old)
    assert (level, name) == ("FAIL", "Spark")
    assert "3.5.2 is too old" in text
