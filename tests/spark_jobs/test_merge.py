import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion_jobs import merging
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.spark_jobs.conftest import LATER, Lake, order

COUNTS = ("rows_staged", "rows_inserted", "rows_updated", "rows_stale", "rows_duplicate")
NO_ROWS = (None, None, None, None)


def counts(result: dict[str, Any]) -> tuple[int, ...]:
    return tuple(result[name] for name in COUNTS)


def test_the_newest_row_of_each_key_wins(lake: Lake) -> None:
    first = lake.orders(
        order("T1", "received", "09:00:00"),
        order("T1", "shipped", "09:30:00"),  # newest of T1 in this file
        order("T1", "late", "09:10:00"),
        order("T2", "received", "09:00:00"),
        order(" T2 ", "same key but for blanks", "08:00:00"),
        order("t2", "another key by its case", "09:00:00"),
        generation=1,
        name="a.csv",
    )
    assert counts(lake.load(first)) == (6, 3, 0, 0, 3)

    older = lake.orders(order("T1", "old", "09:29:59"), order("T3", "new", "07:00:00"), generation=2, name="b.csv")
    newer = lake.orders(
        order("T2", "shipped", "10:00:00"), order("T3", "newer", "07:00:01"), generation=3, name="c.csv"
    )
    assert counts(lake.load(older, newer)) == (4, 1, 1, 1, 1)

    assert lake.target("tracking_num", "status", "last_update_timestamp", "_source_file", "_generation", "_record") == [
        ("T1", "shipped", datetime(2026, 11, 20, 9, 30, tzinfo=UTC), "source/a.csv", 1, 2),
        ("T2", "shipped", datetime(2026, 11, 20, 10, 0, tzinfo=UTC), "source/c.csv", 3, 1),
        ("T3", "newer", datetime(2026, 11, 20, 7, 0, 1, tzinfo=UTC), "source/c.csv", 3, 2),
        ("t2", "another key by its case", datetime(2026, 11, 20, 9, 0, tzinfo=UTC), "source/a.csv", 1, 6),
    ]


@pytest.mark.parametrize("batching", ["one batch", "in order", "in reverse"])
def test_ties_are_decided_by_delivery_then_generation_then_object_then_record(lake: Lake, batching: str) -> None:
    tie = "09:00:00"
    files = [
        lake.orders(*(order(key, "no", tie) for key in "DGOR"), generation=2, name="z.csv"),
        lake.orders(order("G", "higher generation", tie), order("O", "no", tie), generation=3, name="a.csv"),
        lake.orders(
            order("O", "later object name", tie),
            order("R", "no", tie),
            order("R", "later record", tie),
            order("U", "newer update delivered earlier", "09:00:01"),
            generation=3,
            name="b.csv",
        ),
        # Delivered later with a lower generation: GCS promises that generations differ, not that they grow.
        lake.orders(
            order("D", "later delivery", tie), order("U", "no", tie), generation=1, name="a.csv", delivered_at=LATER
        ),
    ]
    if batching == "one batch":
        lake.load(*files)
    else:
        for file in files if batching == "in order" else reversed(files):
            lake.load(file)

    assert lake.target("tracking_num", "status") == [
        ("D", "later delivery"),
        ("G", "higher generation"),
        ("O", "later object name"),
        ("R", "later record"),
        ("U", "newer update delivered earlier"),
    ]


def test_a_replayed_batch_adds_no_version_and_gives_the_same_counts(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    file = lake.orders(order("T1", "newer", "10:00:00"), order("T2", "ok", "09:00:00"), generation=2)
    uri = lake.manifest(file, batch="b2")
    stage(lake.spark, uri)
    first = merge(lake.spark, uri)
    assert counts(first) == (2, 1, 1, 0, 0)
    versions = [lake.version(table) for table in ("order_tracking", "ingestion_log")]

    assert merge(lake.spark, uri) == first
    # The same file generation in another batch finds its own rows in the target.
    assert counts(lake.load(file)) == (2, 0, 0, 2, 0)

    assert lake.version("order_tracking") == versions[0]
    assert lake.version("ingestion_log") == versions[1] + 1
    assert lake.target("tracking_num", "status", "_generation") == [("T1", "newer", 2), ("T2", "ok", 2)]


def test_a_redelivery_wins_its_ties_also_with_a_lower_generation(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "first", "09:00:00"), order("T2", "first", "09:00:00"), generation=2))
    again = lake.orders(
        order("T1", "corrected", "09:00:00"), order("T2", "older", "08:00:00"), generation=1, delivered_at=LATER
    )
    assert counts(lake.load(again)) == (2, 0, 1, 1, 0)
    assert lake.target("tracking_num", "status", "_delivered_at", "_generation") == [
        ("T1", "corrected", datetime(2026, 11, 20, 10, 14, 58, 1, tzinfo=UTC), 1),
        ("T2", "first", datetime(2026, 11, 20, 10, 14, 58, tzinfo=UTC), 2),
    ]


def test_the_log_has_a_row_per_file_and_one_per_batch(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    before = datetime.now(UTC)
    a = lake.orders(order("T1", "newer", "09:30:00"), order("", "bad", "09:00:00"), generation=2, name="a.csv")
    b = lake.orders(
        order("T2", "older", "09:00:00"), order("T2", "newer", "10:00:00"), order("T1", "dup", "08:00:00"), generation=3
    )

    lake.load(a, b, lake.orders(generation=4, name="empty.csv"), batch="b9")

    names = "feed, object, generation, rows_read, rows_staged, rows_quarantined, rows_inserted, rows_updated, "
    names += "rows_stale, rows_duplicate, dag_run_id"
    logged = lake.rows("ingestion_log", f"{names}, batch_id", order_by="object NULLS LAST")
    assert [row[:-1] for row in logged if row[-1] == "b9"] == [
        ("order_tracking", "source/a.csv", 2, 2, 1, 1, *NO_ROWS, "run of b9"),
        ("order_tracking", "source/empty.csv", 4, 0, 0, 0, *NO_ROWS, "run of b9"),
        ("order_tracking", "source/orders.csv", 3, 3, 3, 0, *NO_ROWS, "run of b9"),
        ("order_tracking", None, None, 5, 4, 1, 1, 1, 0, 2, "run of b9"),
    ]
    times = {row[:2] for row in lake.rows("ingestion_log", "staged_at, merged_at, batch_id") if row[2] == "b9"}
    ((staged_at, merged_at),) = times
    assert before <= staged_at <= merged_at <= datetime.now(UTC)


def test_a_key_may_have_several_columns(lake: Lake) -> None:
    key = ["order_num", "tracking_num"]
    line = order("T1", "ok", "09:00:00")
    first = lake.orders(line, line.replace("O1", "O2"), line, generation=1)
    assert counts(lake.load(first, key=key)) == (3, 2, 0, 0, 1)
    second = lake.orders(line.replace("O1", "O2"), line.replace("O1", "O3"), generation=2)
    assert counts(lake.load(second, key=key)) == (2, 1, 1, 0, 0)


def test_a_batch_that_is_not_staged_is_refused(lake: Lake) -> None:
    def file(generation: int) -> dict[str, Any]:
        return lake.orders(order(f"T{generation}", "ok", "09:00:00"), generation=generation)

    with pytest.raises(IngestionError, match="batch never is not staged, its tables do not exist: run stage first"):
        merge(lake.spark, lake.manifest(file(1), batch="never"))
    lake.load(file(2))
    with pytest.raises(IngestionError, match=r"orders\.csv \(generation 3\) has rows, but none was staged.*run stage"):
        merge(lake.spark, lake.manifest(file(3)))

    uri = lake.manifest(lake.orders(*(order(f"T{n}", "ok", "09:00:00") for n in (1, 2, 3)), generation=4), batch="b4")
    stage(lake.spark, uri)
    lake.spark.sql(f"DELETE FROM {lake.schema}.order_tracking_staging WHERE _batch_id = 'b4' AND _record = 2")
    with pytest.raises(IngestionError, match=r"\(generation 4\): 3 rows read, but 2 staged and 0 quarantined"):
        merge(lake.spark, uri)
    assert lake.target("tracking_num") == [("T2",)]


def test_a_changed_key_or_order_column_is_refused(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    again = lake.orders(order("T2", "ok", "09:00:00"), generation=2)
    for changes, message in (
        ({"key": ["order_num"]}, r"key of .*\.order_tracking is tracking_num, feed order_tracking says order_num: "),
        ({"order_by": "pck_recieved_date"}, r"order_by of .* is last_update_timestamp, .* says pck_recieved_date: "),
    ):
        with pytest.raises(IngestionError, match=message + "undo the change, or rebuild: drop "):
            lake.load(again, **changes)
    assert lake.target("tracking_num") == [("T1",)]


def test_a_merge_killed_before_its_log_is_healed_with_true_counts(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    uri = lake.manifest(
        lake.orders(order("T1", "x", "10:00:00"), order("T2", "x", "10:00:00"), generation=2), batch="b2"
    )
    stage(lake.spark, uri)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(merging, "write_log", killed)
        with pytest.raises(KeyboardInterrupt):
            merge(lake.spark, uri)
    assert counts(merge(lake.spark, uri)) == (2, 1, 1, 0, 0)

    logged = lake.rows("ingestion_log", "batch_id, object, rows_inserted, rows_updated, rows_stale")
    assert [row for row in logged if row[1] is None and row[0] == "b2"] == [("b2", None, 1, 1, 0)]


@pytest.mark.parametrize(
    "loss",
    [
        "RESTORE TABLE {target} TO VERSION AS OF 1",
        "DELETE FROM {target} WHERE tracking_num = 'T2'",
        "DROP TABLE {target}",
    ],
)
def test_a_batch_is_merged_again_into_a_target_that_lost_it(lake: Lake, loss: str) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    uri = lake.manifest(lake.orders(order("T2", "ok", "09:00:00"), generation=2))
    stage(lake.spark, uri)
    merge(lake.spark, uri)
    lake.spark.sql(loss.format(target=f"{lake.schema}.order_tracking"))
    assert counts(merge(lake.spark, uri)) == (1, 1, 0, 0, 0)
    assert ("T2",) in lake.target("tracking_num")


def test_housekeeping_and_later_batches_take_nothing_back(lake: Lake) -> None:
    uri = lake.manifest(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    stage(lake.spark, uri)
    first = merge(lake.spark, uri)
    lake.load(lake.orders(order("T1", "newer", "10:00:00"), generation=2))
    lake.spark.sql(f"OPTIMIZE {lake.schema}.order_tracking")
    version = lake.version("order_tracking")
    assert merge(lake.spark, uri) == first
    assert lake.version("order_tracking") == version
    assert lake.target("tracking_num", "status") == [("T1", "newer")]


def test_an_attempt_that_comes_late_writes_no_second_log(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = lake.manifest(lake.orders(order("T1", "ok", "09:00:00"), generation=1))
    stage(lake.spark, uri)
    write_log = merging.write_log

    def overtaken(*arguments: Any) -> None:
        """Another attempt has written the log since this one looked for it."""
        write_log(*arguments)
        write_log(*arguments)

    monkeypatch.setattr(merging, "write_log", overtaken)
    merge(lake.spark, uri)
    assert len(lake.rows("ingestion_log")) == 2, "a row for the file and one for the batch"


def test_a_batch_whose_bad_rows_are_not_in_quarantine_is_refused(lake: Lake) -> None:
    uri = lake.manifest(lake.orders(order("T1", "ok", "09:00:00"), order("", "bad", "09:00:00"), generation=1))
    stage(lake.spark, uri)
    lake.spark.sql(f"DELETE FROM {lake.schema}.order_tracking_quarantine")
    with pytest.raises(IngestionError, match="1 bad rows staged, but 0 in quarantine: run stage to its end first"):
        merge(lake.spark, uri)
    stage(lake.spark, uri)
    assert counts(merge(lake.spark, uri)) == (1, 1, 0, 0, 0)


def test_tables_are_laid_out_as_the_contract_says(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1))

    def entries(table: str) -> dict[str, Any]:
        """The last of each kind of entry in the table's first commit."""
        log = Path(lake.tables / table / "_delta_log" / "00000000000000000000.json").read_text()
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
    assert target["metaData"]["configuration"] == {
        "delta.enableDeletionVectors": "true",
        "delta.isolationLevel": "Serializable",
        "ingestion.key": "tracking_num",
        "ingestion.order_by": "last_update_timestamp",
    }
    assert "clustering" in target["protocol"]["writerFeatures"]
    staging = entries("order_tracking_staging")
    assert staging["metaData"]["partitionColumns"] == ["_batch_id"]
    assert list(columns(staging)) == [*schema, "_batch_id", "_reasons", "_raw"]
    assert list(columns(entries("order_tracking_quarantine"))) == [
        *("_delivered_at", "_source_file", "_generation", "_record"),
        *("file_date", "reasons", "raw", "_batch_id"),
    ]
