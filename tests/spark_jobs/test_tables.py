"""The tables are created as agreed, and held against a feed that has changed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ingestion_jobs.errors import RefusedError
from ingestion_jobs.merging import merge
from tests.spark_jobs.conftest import HEADER, ORDER_COLUMNS, Lake, order


@pytest.fixture(scope="module")
def loaded(module_lake: Lake) -> Lake:
    """Tables with a row T1, made once, as it takes Spark seconds."""
    module_lake.load(module_lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    return module_lake


def test_tables_are_laid_out_as_the_contract_says(loaded: Lake) -> None:
    def entries(table: str) -> dict[str, Any]:
        """The last of each kind of entry in the table's first commit."""
        log = Path(loaded.tables / table / "_delta_log" / "00000000000000000000.json").read_text()
        return {key: value for line in log.splitlines() for key, value in json.loads(line).items()}

    def columns(of_table: dict[str, Any]) -> dict[str, Any]:
        return {field["name"]: field for field in json.loads(of_table["metaData"]["schemaString"])["fields"]}

    target = entries("order_tracking")
    schema = columns(target)
    assert list(schema) == [
        *("order_num", "tracking_num", "pck_recieved_date", "package_deliver_date", "status", "address"),
        *("last_update_timestamp", "_delivered_at", "_source_file", "_generation", "_record"),
    ]
    assert schema["_delivered_at"]["type"] == "timestamp"
    assert [name for name, column in schema.items() if not column["nullable"]] == [
        "_delivered_at",
        "_source_file",
        "_generation",
        "_record",
    ]
    configuration = target["metaData"]["configuration"]
    assert re.fullmatch("[0-9a-f]{16}", configuration.pop("ingestion.comments"))
    assert configuration == {
        "delta.dataSkippingStatsColumns": (
            "`tracking_num`, `last_update_timestamp`, `pck_recieved_date`, `package_deliver_date`"
        ),
        "delta.enableDeletionVectors": "true",
        "delta.isolationLevel": "Serializable",
        "ingestion.key": "tracking_num",
        "ingestion.order_by": "last_update_timestamp",
    }
    assert "clustering" in target["protocol"]["writerFeatures"]
    staging = entries("order_tracking_staging")
    assert staging["metaData"]["partitionColumns"] == ["_batch_id"]
    assert list(columns(staging)) == [*schema, "_batch_id", "_reasons", "_raw", "_staged_at"]
    assert list(columns(entries("order_tracking_quarantine"))) == [
        *("_delivered_at", "_source_file", "_generation", "_record"),
        *("file_date", "reasons", "raw", "_batch_id"),
    ]


def test_a_changed_key_or_order_column_is_refused(loaded: Lake) -> None:
    version = loaded.version("order_tracking")
    again = loaded.orders(order("T2", "ok", "09:00:00"), generation=2)
    for changes, message in (
        ({"key": ["order_num"]}, r"key of .*\.order_tracking is tracking_num, feed order_tracking says order_num: "),
        ({"order_by": "pck_recieved_date"}, r"order_by of .* is last_update_timestamp, .* says pck_recieved_date: "),
    ):
        with pytest.raises(RefusedError, match=message + "undo the change, or rebuild: drop "):
            merge(loaded.spark, loaded.manifest(again, **changes))
    assert loaded.version("order_tracking") == version


def test_a_new_column_is_added_and_a_changed_type_is_refused(loaded: Lake) -> None:
    wider = [*ORDER_COLUMNS, {"name": "carrier", "type": "string", "formats": [], "optional": True}]
    new = f"{HEADER},carrier\n{order('T2', 'ok', '09:00:00').strip()},DHL\n"
    old = loaded.orders(order("T1", "newer", "10:00:00"), order("T3", "ok", "bad"), generation=3, name="old.csv")

    loaded.load(loaded.deliver(new, 2, columns=[*HEADER.split(","), "carrier"]), old, columns=wider)

    assert loaded.target("tracking_num", "status", "carrier") == [("T1", "newer", None), ("T2", "ok", "DHL")]
    ((raw,),) = loaded.rows("order_tracking_quarantine", "raw")
    assert '"tracking_num":"T3"' in raw
    versions = [loaded.version(table) for table in ("order_tracking", "order_tracking_staging")]
    changed = [{**column, "type": "date"} if column["name"] == "status" else column for column in ORDER_COLUMNS]
    with pytest.raises(RefusedError) as refused:
        loaded.stage(loaded.orders(order("T3", "ok", "09:00:00"), generation=4), columns=changed)
    assert str(refused.value) == (
        f"column status of {loaded.schema}.order_tracking_staging is string, feed order_tracking says date: "
        f"undo the change, or rebuild: drop {loaded.schema}.order_tracking and {loaded.schema}.order_tracking_staging, "
        "then backfill the feed from its archive"
    )
    assert [loaded.version(table) for table in ("order_tracking", "order_tracking_staging")] == versions


def test_a_missing_schema_is_named(lake: Lake) -> None:
    lake.spark.sql(f"DROP SCHEMA {lake.schema}")
    with pytest.raises(RefusedError, match=f"schema {lake.schema} does not exist.*CREATE SCHEMA {lake.schema}"):
        lake.stage(lake.orders(generation=1))
