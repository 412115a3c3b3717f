"""What people read beside the tables: the words of a feed, set once, and changed when they have changed."""

from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.spark_jobs.conftest import ORDER_COLUMNS, Lake, order

# Spark puts the values of variables into the text of every statement, also within quotes.
HOSTILE = "it's \"one\" \\ \\' ${spark.sql.session.timeZone} ${env:PATH}\n`x`; -- {{ params }} /* \u00e9"
OF_LINEAGE = ["_delivered_at", "_generation", "_record", "_source_file"]


def described(**texts: str) -> list[dict[str, Any]]:
    """The columns, some with words of their feed."""
    return [column | {"description": texts.get(column["name"])} for column in ORDER_COLUMNS]


def of_table(lake: Lake, table: str) -> str | None:
    return DeltaTable(str(lake.tables / table)).metadata().description


def of_columns(lake: Lake, table: str) -> dict[str, str]:
    fields = DeltaTable(str(lake.tables / table)).schema().fields
    return {field.name: field.metadata["comment"] for field in fields if "comment" in field.metadata}


def operations(lake: Lake, since: int) -> list[str]:
    """What was committed to the target after that version."""
    history = DeltaTable(str(lake.tables / "order_tracking")).history()
    return [entry["operation"] for entry in reversed(history) if entry["version"] > since]


@pytest.fixture(scope="module")
def loaded(module_lake: Lake) -> Lake:
    file = module_lake.orders(order("first", "ok", "09:00:00"), generation=1)
    module_lake.load(file, description=HOSTILE, columns=described(status=HOSTILE, address="A"))
    return module_lake


def test_tables_are_made_with_the_words_of_the_feed_and_with_ours(loaded: Lake) -> None:
    assert of_table(loaded, "order_tracking") == HOSTILE
    of_target = of_columns(loaded, "order_tracking")
    assert sorted(of_target) == sorted([*OF_LINEAGE, "address", "status"])
    assert (of_target["status"], of_target["address"]) == (HOSTILE, "A")
    for table in ("order_tracking_staging", "order_tracking_quarantine"):
        assert sorted(of_columns(loaded, table)) == OF_LINEAGE
        assert f"{loaded.schema}.order_tracking" in (of_table(loaded, table) or "")
    assert "batch" in (of_table(loaded, "ingestion_log") or "")
    assert operations(loaded, -1) == ["CREATE TABLE", "MERGE"]


def test_they_are_changed_when_the_words_have_changed_and_only_then(loaded: Lake) -> None:
    loaded.spark.sql(f"ALTER TABLE {loaded.schema}.order_tracking ALTER COLUMN order_num COMMENT 'by hand'")
    version = loaded.version("order_tracking")
    words: dict[str, Any] = {"description": HOSTILE + "!", "columns": described(status="B")}
    uri = loaded.manifest(loaded.orders(order("changed", "ok", "09:00:00"), generation=2), **words)
    stage(loaded.spark, uri)
    result = merge(loaded.spark, uri)
    assert operations(loaded, version) == ["CHANGE COLUMNS", "SET TBLPROPERTIES", "MERGE"]
    assert of_table(loaded, "order_tracking") == HOSTILE + "!"
    # Words that were taken away, or that somebody has written by hand, stay.
    of_target = of_columns(loaded, "order_tracking")
    assert (of_target["status"], of_target["address"], of_target["order_num"]) == ("B", "A", "by hand")

    version = loaded.version("order_tracking")
    loaded.load(loaded.orders(order("same words", "ok", "09:00:00"), generation=3), **words)
    assert operations(loaded, version) == ["MERGE"]
    loaded.load(loaded.orders(order("other words", "ok", "09:00:00"), generation=4), description="C")
    version = loaded.version("order_tracking")
    assert merge(loaded.spark, uri) == result, "of a batch from before"
    assert loaded.version("order_tracking") == version


def test_a_load_goes_on_where_comments_are_refused_and_says_so(loaded: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    run = type(loaded.spark).sql

    def refusing(spark: SparkSession, statement: str, *arguments: Any, **options: Any) -> DataFrame:
        if statement.startswith("ALTER TABLE"):
            raise AnalysisException("User does not have MODIFY\non it")
        return run(spark, statement, *arguments, **options)

    before = of_table(loaded, "order_tracking")
    with monkeypatch.context() as patched:
        patched.setattr(type(loaded.spark), "sql", refusing)
        result = loaded.load(loaded.orders(order("refused", "ok", "09:00:00"), generation=5), description="D")
    assert result["rows_inserted"] == 1
    assert result["without_comments"] == (
        f"the comments of {loaded.schema}.order_tracking could not be changed: User does not have MODIFY"
    )
    assert of_table(loaded, "order_tracking") == before
    result = loaded.load(loaded.orders(order("allowed", "ok", "09:00:00"), generation=6), description="D")
    assert "without_comments" not in result
    assert of_table(loaded, "order_tracking") == "D"
