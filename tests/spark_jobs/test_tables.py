import pytest

from ingestion_jobs.errors import IngestionError
from tests.spark_jobs.conftest import HEADER, ORDER_COLUMNS, Lake, order


def test_a_new_column_is_added_and_a_changed_type_is_refused(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    wider = [*ORDER_COLUMNS, {"name": "carrier", "type": "string", "formats": [], "optional": True}]
    new = f"{HEADER},carrier\n{order('T2', 'ok', '09:00:00').strip()},DHL\n"
    old = lake.orders(order("T1", "newer", "10:00:00"), order("T3", "ok", "bad"), generation=3, name="old.csv")

    lake.load(lake.deliver(new, 2, columns=[*HEADER.split(","), "carrier"]), old, columns=wider)

    assert lake.target("tracking_num", "status", "carrier") == [("T1", "newer", None), ("T2", "ok", "DHL")]
    ((raw,),) = lake.rows("order_tracking_quarantine", "raw")
    assert '"tracking_num":"T3"' in raw
    versions = [lake.version(table) for table in ("order_tracking", "order_tracking_staging")]
    changed = [{**column, "type": "date"} if column["name"] == "status" else column for column in ORDER_COLUMNS]
    with pytest.raises(IngestionError) as refused:
        lake.stage(lake.orders(order("T3", "ok", "09:00:00"), generation=4), columns=changed)
    assert str(refused.value) == (
        f"column status of {lake.schema}.order_tracking_staging is string, feed order_tracking says date: "
        f"undo the change, or rebuild: drop {lake.schema}.order_tracking and {lake.schema}.order_tracking_staging, "
        "then backfill the feed from its archive"
    )
    assert [lake.version(table) for table in ("order_tracking", "order_tracking_staging")] == versions


def test_a_missing_schema_is_named(lake: Lake) -> None:
    lake.spark.sql(f"DROP SCHEMA {lake.schema}")
    with pytest.raises(IngestionError, match=f"schema {lake.schema} does not exist.*CREATE SCHEMA {lake.schema}"):
        lake.stage(lake.orders(generation=1))
